"""The minimal LSTM."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.cells.mingru import positive
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import scan, settle, where_present
from unspool.nn.part import CoreState
from unspool.schema import Count


@cells.register("minlstm")
class MinLSTM(Cell):
    """An LSTM whose gates depend on the input alone and sum to one (Feng et al. 2024, arXiv:2410.01201).

    i, f = sigmoid(W x + b)      n = positive(W_n x + b_n)      positive(x) = x + 1/2 above zero, sigmoid(x) below
    h' = f / (f + i) * h + i / (f + i) * n

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        forget_bias: the bias of the forget gate before training; above 0 the memory is kept at first.

    >>> cell = MinLSTM(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "forget"

    def __init__(self, input_size: Count, hidden_size: Count, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 3 * hidden_size)
        with torch.no_grad():
            self.input.bias[hidden_size : 2 * hidden_size].add_(forget_bias)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of gates and candidate."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state."""
        (h,) = state
        keep, candidate = self._gates(read)
        return (self.tap("hidden", keep * h + (1 - keep) * candidate),)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By a parallel scan over time."""
        keep, candidate = self._gates(self.read(x))
        keep = where_present(mask, keep, 1.0)
        y, h = settle(scan(keep, (1 - keep) * candidate, state[0]), state[0], mask)
        return y, (h,)

    def _gates(self, read: Tensor) -> tuple[Tensor, Tensor]:
        i, f, n = at_least_float32(read).chunk(3, dim=-1)  # each (..., H)
        keep = torch.sigmoid(F.logsigmoid(f) - F.logsigmoid(i))  # f / (f + i), also where both gates are near zero
        return self.tap("forget", keep), self.tap("candidate", positive(n))
