"""The minimal GRU."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import scan, settle, where_present
from unspool.nn.part import CoreState
from unspool.schema import Count


@cells.register("mingru")
class MinGRU(Cell):
    """A GRU whose gate depends on the input alone, so that time is parallel (Feng et al. 2024, arXiv:2410.01201).

    z = sigmoid(W x + b)      n = positive(W_n x + b_n)      positive(x) = x + 1/2 above zero, sigmoid(x) below
    h' = (1 - z) * h + z * n

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.

    >>> cell = MinGRU(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "keep"

    def __init__(self, input_size: Count, hidden_size: Count) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 2 * hidden_size)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of gate and candidate."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state."""
        (h,) = state
        update, candidate = self._gates(read)
        return (self.tap("hidden", self.tap("keep", 1 - update) * h + update * candidate),)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By a parallel scan over time."""
        update, candidate = self._gates(self.read(x))
        update = where_present(mask, update, 0.0)
        y, h = settle(scan(1 - update, update * candidate, state[0]), state[0], mask)
        return y, (h,)

    def _gates(self, read: Tensor) -> tuple[Tensor, Tensor]:
        z, n = at_least_float32(read).chunk(2, dim=-1)  # each (..., H)
        return self.tap("update", z.sigmoid()), self.tap("candidate", positive(n))


def positive(x: Tensor) -> Tensor:
    """A positive, continuous activation.

    >>> positive(torch.tensor([-100.0, 0.0, 1.0]))
    tensor([0.0000, 0.5000, 1.5000])
    """
    return torch.where(x >= 0, x + 0.5, x.sigmoid())
