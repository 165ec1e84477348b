"""Convolutions over a grid of positions, such as the patches of an image."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.core import Core, cores
from unspool.nn.kernels.pack import order, pack, unpack
from unspool.nn.norms import RMSNorm
from unspool.nn.part import CoreState, Part
from unspool.schema import Count, Depth, Natural, Share


class Neighbourhood(Part):
    """A residual layer: a 3 x 3 convolution over the grid (He et al. 2016).

    y = x + W_o relu(W * norm(x))
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = RMSNorm(width, eps=1e-5)
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B R C D"], there: Float[Tensor, "B R C 1"]) -> Float[Tensor, "B R C D"]:
        """The output of the layer; absent positions are zero, like the border."""
        seen = self.around((self.norm(x) * there).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.dropout(self.output(self.tap("seen", seen.relu())))


@cores.register("grid-convolutional")
class GridConvolutional(Core):
    """Residual convolutions over a grid in reading order: a small encoder of images (He et al. 2015, arXiv:1512.03385).

    Each layer is a 3 x 3 convolution. Each position also gets its row and its column as inputs (Liu et al. 2018,
    arXiv:1807.03247). Reading patches acts as the first, strided convolution of such a network. It is not causal, so it
    is for encoders.

    Args:
        width: the size of the vector at each place.
        input_width: the size of the input at each place; 0: as `width`.
        layers: how many convolutions lie above each other.
        columns: how many columns the grid has.
        dropout: on what each layer adds.

    >>> core = GridConvolutional(width=8, layers=1, columns=2)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    causal = False

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        layers: Depth = 4,
        columns: Count = 4,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(width, input_width)
        self.columns = columns
        self.enter = nn.Linear(self.input_width, width) if self.input_width != width else nn.Identity()
        self.place = nn.Linear(2, width, bias=False)
        self.layers = nn.ModuleList(Neighbourhood(width, dropout) for _ in range(layers))
        self.norm = RMSNorm(width, eps=1e-5)

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """Nothing is remembered between readings."""
        return (like.new_zeros(len(like), 0),)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Layer upon layer; padding is moved out of the way, and the last row of the grid is filled up with nothing."""
        places = None if mask is None else order(mask)
        x = self.enter(x if places is None else pack(x, places))
        time, missing = x.shape[1], -x.shape[1] % self.columns
        there = x.new_ones(x.shape[:2]) if places is None else mask.gather(1, places).to(x.dtype)  # type: ignore
        grid = F.pad(x, (0, 0, 0, missing)).unflatten(1, (-1, self.columns))  # (B, rows, columns, D)
        down, across = (torch.arange(size, device=x.device) / self.columns for size in grid.shape[1:3])
        grid = grid + self.place(torch.cartesian_prod(down, across).to(x.dtype)).view(1, *grid.shape[1:])
        there = F.pad(there, (0, missing)).unflatten(1, (-1, self.columns)).unsqueeze(-1)
        for layer in self.layers:
            grid = layer(grid, there)
        y = self.norm(grid).flatten(1, 2)[:, :time]
        if places is not None and mask is not None:
            y = unpack(y, places) * mask.unsqueeze(-1)
        return y, state
