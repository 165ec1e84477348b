"""Gated linear attention."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import settle
from unspool.nn.linear_attention import FADE, norm_heads, recall, recall_all, split_heads
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural, Positive


@cells.register("gla")
class GLA(Cell):
    """Gated linear attention: a decay rate for every key (Yang et al. 2023, arXiv:2312.06635).

    q, k, v = W x + b (q divided by the root of its size)      a = sigmoid(W_a V_a x + b_a) ^ (1 / slowness)
    S' = a * S + k v^T      h' = silu(W_o x + b_o) * norm(S'^T q)

    Keys are half as wide as values. a is at least exp(-4), so that its inverse fits into float32 for some steps. The
    state is (h, S).

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        heads: the number of heads; 0: four, or two or one where four would be too narrow.
        rank: the rank of the projection W_a V_a from which the decay is computed.
        slowness: the decay is the sigmoid to the power of 1 / slowness: the larger, the longer the memory.

    >>> cell = GLA(input_size=2, hidden_size=8, rank=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, memory = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 8])
    """

    keeps = "keep"

    def __init__(
        self,
        input_size: Count,
        hidden_size: Count,
        heads: Natural = 0,
        rank: Count = 16,
        slowness: Positive = 16.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.heads, self.slowness = split_heads(hidden_size, heads), slowness
        self.size = hidden_size // self.heads
        self.keys = max(1, self.size // 2)
        self.input = nn.Linear(input_size, 2 * self.heads * self.keys + 2 * hidden_size)
        self.narrow = nn.Linear(input_size, rank, bias=False)
        self.decay = nn.Linear(rank, self.heads * self.keys)

    def start(self, like: Tensor) -> CoreState:
        """Hidden state and memory: zeros."""
        return *super().start(like), like.new_zeros(like.shape[0], self.heads, self.keys, self.size)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of query, key, value, output gate and decay."""
        return torch.cat([self.input(x), self.decay(self.narrow(x))], dim=-1)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state and memory."""
        _, memory = state
        q, k, v, o, g = self._parts(read)
        y, memory = recall(q, k, v, self.tap("keep", g.exp()), memory)
        return self.tap("hidden", norm_heads(y) * o), self.tap("memory", memory)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By chunks: attention within a chunk, the recurrence between chunks."""
        h, memory = state
        q, k, v, o, g = self._parts(self.read(x))
        y, memory = recall_all(q, k, v, g, memory, mask)
        y, h = settle(norm_heads(y) * o, h, mask)
        return y, (h, memory)

    def _parts(self, read: Tensor) -> tuple[Tensor, ...]:
        keys = self.heads * self.keys
        q, k, v, o, decay = at_least_float32(read).split([keys, keys, self.hidden_size, self.hidden_size, keys], dim=-1)
        q, k, v, decay = (part.unflatten(-1, (self.heads, -1)) for part in (q, k, v, decay))
        g = (F.logsigmoid(decay) / self.slowness).clamp(min=FADE)
        return q * self.keys**-0.5, k, v, self.tap("output", F.silu(o)), g
