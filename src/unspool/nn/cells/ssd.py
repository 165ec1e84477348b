"""The selective state space in its dual form."""

from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import settle
from unspool.nn.linear_attention import recall, recall_all, split_heads
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural


@cells.register("ssd")
class SSD(Cell):
    """A selective state space model with one decay rate per head (Mamba-2: Dao & Gu 2024, arXiv:2405.21060).

    q, k, v = silu(W x + b)      d = softplus(W_d x + b_d)      a = exp(-exp(p) * d)      o = silu(W_o x + b_o)
    S' = a * S + k (d * v)^T     h' = norm((S'^T q + s * v) * o)

    q and k are the C and B of state space models. The state is (h, S).

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        heads: the number of heads; 0: four, or two or one where four would be too narrow.
        states: the size of queries and keys (the state size N of Mamba-2), which all heads share.

    >>> cell = SSD(input_size=2, hidden_size=4, states=8)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, memory = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "keep"

    def __init__(self, input_size: Count, hidden_size: Count, heads: Natural = 0, states: Count = 64) -> None:
        super().__init__(input_size, hidden_size)
        self.heads, self.states = split_heads(hidden_size, heads), states
        self.size = hidden_size // self.heads
        self.input = nn.Linear(input_size, 2 * states + 2 * hidden_size + self.heads)
        self.decay = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        with torch.no_grad():  # steps between 0.001 and 0.1, as Mamba has them
            step = torch.empty(self.heads).uniform_(log(0.001), log(0.1)).exp()
            self.input.bias[-self.heads :] = step.expm1().log()

    def start(self, like: Tensor) -> CoreState:
        """Hidden state and memory: zeros."""
        return *super().start(like), like.new_zeros(like.shape[0], self.heads, self.states, self.size)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of query, key, value, output gate and step size."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state and memory."""
        _, memory = state
        q, k, v, o, step, g = self._parts(read)
        y, memory = recall(q, k, step * v, self.tap("keep", g.exp()), memory)
        return self.tap("hidden", self._shown(y, v, o)), self.tap("memory", memory)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By chunks: attention within a chunk, the recurrence between chunks."""
        h, memory = state
        q, k, v, o, step, g = self._parts(self.read(x))
        y, memory = recall_all(q, k, step * v, g, memory, mask)
        y, h = settle(self._shown(y, v, o), h, mask)
        return y, (h, memory)

    def _parts(self, read: Tensor) -> tuple[Tensor, ...]:
        sizes = [self.states, self.states, self.hidden_size, self.hidden_size, self.heads]
        q, k, v, o, step = at_least_float32(read).split(sizes, dim=-1)
        step = self.tap("step", F.softplus(step)).unsqueeze(-1)  # (..., heads, 1)
        v = F.silu(v).unflatten(-1, (self.heads, self.size))
        g = -self.decay.exp().unsqueeze(-1) * step
        return F.silu(q).unsqueeze(-2), F.silu(k).unsqueeze(-2), v, self.tap("output", F.silu(o)), step, g

    def _shown(self, y: Tensor, v: Tensor, o: Tensor) -> Tensor:
        return F.rms_norm((y + self.skip.unsqueeze(-1) * v).flatten(-2) * o, (self.hidden_size,), eps=1e-5)
