"""The contract of one tick."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from unspool.nn.part import CoreState, Part
from unspool.registry import Registry
from unspool.schema import Count


class Cell(Part):
    """One tick: an input and a state give the next state; the output is the state's first tensor.

    A cell states its weights, how it reads an input (`read`, done for all time steps at once) and how it moves on
    (`tick`). Everything else, from unrolling to plots, comes for free. A cell with a fast twin overrides `fused`.

    >>> import torch
    >>> cell = cells.build("cell", "gru", input_size=2, hidden_size=3)
    >>> x = torch.zeros(1, 2)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 3])
    """

    keeps: ClassVar[str] = ""
    """The name of the gate that says what share of its memory it keeps, where it shows one."""
    backwards: bool = False
    """Whether it reads from the end, so that what it shows comes in that order."""

    def __init__(self, input_size: Count, hidden_size: Count) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size

    def start(self, like: Tensor) -> CoreState:
        """The state before the first tick: zeros for as many rows as `like` has, on its device."""
        return (like.new_zeros(like.shape[0], self.hidden_size),)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """What the input says to the gates; it does not depend on the state, so all times are read at once."""
        raise NotImplementedError

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next state."""
        raise NotImplementedError

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """All ticks in one kernel, equal to the loop over `tick`; None where there is no such kernel."""
        return None


cells: Registry[Cell] = Registry("cell", "unspool.nn.cells")
