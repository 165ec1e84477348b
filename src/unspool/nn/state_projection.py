"""The initial state of a decoder, projected from the output of an encoder."""

from math import prod

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell
from unspool.nn.part import CoreState, Part, tensors


def last_present(source: Float[Tensor, "B S D"], mask: Bool[Tensor, "B S"] | None = None) -> Float[Tensor, "B D"]:
    """The vector at the last present position of each row; zeros for rows without any.

    Args:
        source: (B, S, D).
        mask: which positions are present, (B, S); None: all.

    Returns:
        (B, D).

    >>> last_present(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[True, False]])).tolist()
    [[1.0]]
    """
    source = F.pad(source, (0, 0, 1, 0))  # a position of zeros in front, for rows without any
    if mask is None:
        return source[:, -1]
    places = torch.arange(source.shape[1], device=source.device) * F.pad(mask, (1, 0))
    return source[torch.arange(len(source), device=source.device), places.amax(dim=1)]


class StateProjection(Part):
    """A cell's initial state from one vector, with a linear layer for each tensor (Cho et al. 2014, arXiv:1406.1078).

    state = start + tanh(W vector + b)
    """

    def __init__(self, cell: Cell, source_width: int) -> None:
        super().__init__()
        sizes = [prod(s.shape[1:]) for _, s in tensors(cell.start(torch.zeros(1, cell.input_size)))]
        self.layers = nn.ModuleList(nn.Linear(source_width, size) for size in sizes)

    def forward(self, vector: Float[Tensor, "B D"], start: CoreState) -> CoreState:
        """The cell's own initial state plus the projection of the vector."""
        layers = iter(self.layers)
        return tuple(s + torch.tanh(next(layers)(vector)).view_as(s) for s in start)
