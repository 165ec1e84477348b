"""Residual stacks of recurrent cells and feed-forward networks."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.blocks import FeedForward, FeedForwardName, make_norm
from unspool.nn.cell import cells
from unspool.nn.core import Core, cores
from unspool.nn.part import CoreState, Part
from unspool.nn.short_convolution import ShortConv
from unspool.nn.unroll import unroll
from unspool.schema import Count, Depth, Natural, Share


class CellBlock(Part):
    """A residual block: a recurrent cell over time, then a position-wise feed-forward network.

    x' = x + W cell(conv(norm(x)))      y = x' + feed_forward(norm(x'))
    """

    def __init__(
        self,
        width: Count,
        cell: str | Mapping[str, Any],
        hidden_size: Count,
        convolution: Natural,
        feed_forward: FeedForwardName | Literal["none"],
        dropout: Share,
    ) -> None:
        super().__init__()
        self.cell_norm = make_norm("rms", width)
        self.short_conv = ShortConv(width, convolution) if convolution else None
        self.cell = cells.build("core.cell", cell, input_size=width, hidden_size=hidden_size)
        self.project = nn.Linear(hidden_size, width, bias=False)
        self.feed_forward_norm, self.feed_forward = None, None
        if feed_forward != "none":
            self.feed_forward_norm, self.feed_forward = make_norm("rms", width), FeedForward(width, feed_forward)
        self.dropout = nn.Dropout(dropout)

    def start(self, like: Tensor) -> CoreState:
        """The state of the short convolution, and that of the cell."""
        return () if self.short_conv is None else self.short_conv.start(like), self.cell.start(like)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """The output (B, T, D) and the next state."""
        seen, before = state
        y = self.cell_norm(x)
        if self.short_conv is not None:
            y, seen = self.short_conv(y, seen, mask)
        y, after = unroll(self.cell, y, before, mask)
        x = x + self.dropout(self.project(y))
        if self.feed_forward is not None and self.feed_forward_norm is not None:
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return self.tap("hidden", x), (seen, after)


@cores.register("blocks")
class Blocks(Core):
    """A pre-norm residual stack in which a cell mixes time, as in Griffin and Mamba (De et al. 2024, arXiv:2402.19427).

    Args:
        width: the size of the vector at each position.
        input_width: the size of the input at each position; 0: as `width`.
        cell: a kind of cell, or a table of a kind and its options.
        layers: how many blocks lie above each other.
        convolution: how many of the last inputs a short causal convolution mixes before the cell (0: only the present
            one).
        feed_forward: the activation of the feed-forward network behind the cell, or "none".
        expand: the cell is so many times as wide as the stack.
        dropout: on what each block adds.

    >>> core = Blocks(width=8, cell="mingru", layers=2)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        cell: str | Mapping[str, Any] = "mingru",
        layers: Depth = 2,
        convolution: Natural = 4,
        feed_forward: FeedForwardName | Literal["none"] = "relu-squared",
        expand: Count = 1,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(width, input_width)
        same = self.input_width == width
        self.enter = nn.Identity() if same else nn.Linear(self.input_width, width, bias=False)
        self.layers = nn.ModuleList(
            CellBlock(width, cell, expand * width, convolution, feed_forward, dropout) for _ in range(layers)
        )
        self.norm = make_norm("rms", width)
        with torch.no_grad():  # the deeper the stack, the less each branch adds at first (GPT-2)
            for name, weight in self.named_parameters():
                if name.endswith(("project.weight", "feed_forward.down.weight")):
                    weight.mul_((2 * layers) ** -0.5)

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """Every layer's own start."""
        x = self.enter(like)
        return tuple(_block(layer).start(x) for layer in self.layers)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Layer upon layer, each along the whole time."""
        if mask is not None and bool(mask.all()):
            mask = None
        x, after = self.enter(x), []
        for layer, before in zip(self.layers, state, strict=True):
            x, last = _block(layer)(x, before, mask)
            after.append(last)
        return self.norm(x), tuple(after)


def _block(module: nn.Module) -> CellBlock:
    return module  # type: ignore[return-value]
