"""The interface of recurrent cells: one time step."""

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from unspool.nn.part import CoreState, Part
from unspool.registry import Registry
from unspool.schema import Count


class Cell(Part):
    """One time step of a recurrence: an input and a state give the next state, whose first tensor is the output.

    A cell defines its weights, the input projection (`read`, computed for all time steps at once) and the time step
    (`tick`). Unrolling, saving, generation and plots need nothing else. A cell with a faster equivalent of the loop
    overrides `fused`.

    Args:
        input_size: the size of the input.
        hidden_size: the size of the output.

    >>> import torch
    >>> cell = cells.build("cell", "gru", input_size=2, hidden_size=3)
    >>> x = torch.zeros(1, 2)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 3])
    """

    keeps: ClassVar[str] = ""
    """The name of the tapped gate that multiplies the old memory, as the forget gate does; empty: none."""
    backwards: bool = False
    """Whether it runs from the end of the sequence, so that tapped values are in that order."""

    def __init__(self, input_size: Count, hidden_size: Count) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size

    def start(self, like: Tensor) -> CoreState:
        """The state before the first time step: zeros, for as many rows as `like` has, on its device."""
        return (like.new_zeros(like.shape[0], self.hidden_size),)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The input projection; it does not depend on the state, so it is one product for all time steps."""
        raise NotImplementedError

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """One time step.

        Args:
            read: the input projection of this time, (B, G).
            state: the state before it.

        Returns:
            The next state, a tuple; its first tensor (B, hidden_size) is the output.
        """
        raise NotImplementedError

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """All time steps in one kernel, equal to the loop over `tick`; None where there is no such kernel."""
        return None


cells: Registry[Cell] = Registry("cell", "unspool.nn.cells")
