"""The LSTM whose memory is a matrix."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import scan_of_maxima, settle, where_present
from unspool.nn.linear_attention import norm_heads, recall, recall_all, split_heads
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural


@cells.register("mlstm")
class MLSTM(Cell):
    """The LSTM whose memory is a matrix for each of its heads (xLSTM: Beck et al. 2024, arXiv:2405.04517).

    q, k, v = W x + b (k divided by the root of its size)      i = exp(W_i x + b_i)      f, o = sigmoid(W x + b)
    C' = f * C + i * k v^T      n' = f * n + i * k      h' = o * norm(C'^T q / max(|n' . q|, 1))

    C and n are stored divided by exp(m), m' = max(log f + m, log i), so that nothing overflows; h does not depend on m.
    The state is (h, (C n), m).

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        heads: the number of heads; 0: four, or two or one where four would be too narrow.
        forget_bias: the bias of the forget gate before training; above 0 the memory is kept at first.

    >>> cell = MLSTM(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, memory, stabilizer = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "forget"

    def __init__(self, input_size: Count, hidden_size: Count, heads: Natural = 0, forget_bias: float = 3.0) -> None:
        super().__init__(input_size, hidden_size)
        self.heads = split_heads(hidden_size, heads)
        self.size = hidden_size // self.heads
        self.input = nn.Linear(input_size, 4 * hidden_size + 2 * self.heads)
        with torch.no_grad():
            self.input.bias[-self.heads :].add_(forget_bias)

    def start(self, like: Tensor) -> CoreState:
        """Hidden state, memory with its normalizer as a last column, and stabilizer: zeros."""
        rows = like.shape[0]
        memory = like.new_zeros(rows, self.heads, self.size, self.size + 1)
        return *super().start(like), memory, like.new_zeros(rows, self.heads)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of query, key, value and the three gates."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state, memory and stabilizer."""
        _, memory, m = state
        q, k, v, show, i, log_f = self._parts(read)
        stable = torch.maximum(log_f + m, i).detach()  # h does not depend on it, so it needs no gradient
        keep, write = self.tap("forget", (log_f + m - stable).exp()), self.tap("input", (i - stable).exp())
        y, memory = recall(q, write.unsqueeze(-1) * k, v, keep.unsqueeze(-1), memory)
        return self.tap("hidden", self._shown(y, stable, show)), self.tap("memory", memory), stable

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """A scan for the stabilizers, then by chunks: attention within a chunk, the recurrence between chunks."""
        h, memory, m = state
        q, k, v, show, i, log_f = self._parts(self.read(x))
        i, log_f = where_present(mask, i, -torch.inf), where_present(mask, log_f, 0.0)
        stable = scan_of_maxima(log_f.detach(), i.detach(), m.detach())  # (B, T, heads)
        keep = log_f + torch.cat([m.unsqueeze(1), stable[:, :-1]], dim=1) - stable
        y, memory = recall_all(q, (i - stable).exp().unsqueeze(-1) * k, v, keep.unsqueeze(-1), memory, mask)
        y, h = settle(self._shown(y, stable, show), h, mask)
        return y, (h, memory, stable[:, -1])

    def _parts(self, read: Tensor) -> tuple[Tensor, ...]:
        wide, i, f = at_least_float32(read).split([4 * self.hidden_size, self.heads, self.heads], dim=-1)
        q, k, v, o = wide.unflatten(-1, (4, self.heads, self.size)).unbind(-3)  # each (..., heads, size)
        v = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)  # a column of ones makes n the last column of C
        return q, k * self.size**-0.5, v, self.tap("output", o.sigmoid()), i, F.logsigmoid(f)

    def _shown(self, y: Tensor, stable: Tensor, show: Tensor) -> Tensor:
        value, normalizer = y[..., :-1], y[..., -1:]
        least = (-stable).exp().unsqueeze(-1)
        return norm_heads(value / (torch.maximum(normalizer.abs(), least) + 1e-6)) * show.flatten(-2)
