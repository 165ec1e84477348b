"""The real-gated linear recurrent unit."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import scan, settle, where_present
from unspool.nn.part import CoreState
from unspool.schema import Count, Positive


@cells.register("rglru")
class RGLRU(Cell):
    """The real-gated linear recurrent unit of Griffin (De et al. 2024, arXiv:2402.19427).

    r, i = sigmoid(W x + b)      a = sigmoid(p) ^ (c * r)      v = W_v x + b_v
    h' = a * h + sqrt(1 - a^2) * i * v

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        sharpness: c, how strongly the gate r changes the decay.
        shortest, longest: the decay a of a unit is initialized between these two, with its gate r at 1: the share of
            the
            state that is kept at a step.

    >>> cell = RGLRU(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "keep"

    def __init__(
        self,
        input_size: Count,
        hidden_size: Count,
        sharpness: Positive = 8.0,
        shortest: Positive = 0.9,
        longest: Positive = 0.999,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.sharpness = sharpness
        self.input = nn.Linear(input_size, 3 * hidden_size)
        share = torch.empty(hidden_size).uniform_(shortest, longest) ** (1 / sharpness)
        self.decay = nn.Parameter(share.logit())

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The projections of the two gates and the value."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state."""
        (h,) = state
        keep, write = self._gates(read)
        return (self.tap("hidden", keep * h + write),)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By a parallel scan over time."""
        keep, write = self._gates(self.read(x))
        keep, write = where_present(mask, keep, 1.0), where_present(mask, write, 0.0)
        y, h = settle(scan(keep, write, state[0]), state[0], mask)
        return y, (h,)

    def _gates(self, read: Tensor) -> tuple[Tensor, Tensor]:
        r, i, v = at_least_float32(read).chunk(3, dim=-1)  # each (..., H)
        log_a = self.sharpness * self.tap("recurrence", r.sigmoid()) * F.logsigmoid(self.decay)
        rest = -torch.expm1(2 * log_a)  # 1 - a^2
        scale = rest.clamp(min=1e-8).sqrt()  # the root has no slope at zero
        return self.tap("keep", log_a.exp()), self.tap("write", scale * self.tap("input", i.sigmoid()) * v)
