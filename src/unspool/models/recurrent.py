"""A stack of cells."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.cell import Cell, cells
from unspool.nn.core import Core, cores, needed
from unspool.nn.part import CoreState
from unspool.nn.state_projection import StateProjection, last_present
from unspool.nn.unroll import unroll
from unspool.schema import Count, Depth, Natural, Share


@cores.register("recurrent")
class Recurrent(Core):
    """A stack of recurrent cells.

    Args:
        width: the size of the state of each layer, and of the output.
        input_width: the size of the input at each position; 0: as `width`.
        cell: a kind of cell, or a table of a kind and its options.
        layers: how many cells lie above each other.
        dropout: between the layers (Zaremba et al. 2014, arXiv:1409.2329).
        residual: whether each layer's input is added to its output.
        bidirectional: whether it reads from both ends, each direction with half of the width. Such a core cannot
            generate; it is for encoders and classifiers.
        conditioning: how it uses a source, of which it takes the last vector: "initial" as every cell's initial state
            (Sutskever et al. 2014, arXiv:1409.3215), "always" also as an input of the first layer at every position
            (Cho et al. 2014, arXiv:1406.1078). The encoder should read forwards.
        source_width: the size of the source's vectors; 0: the encoder's.

    >>> core = Recurrent(width=8, cell="gru", layers=2)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        cell: str | Mapping[str, Any] = "lstm",
        layers: Depth = 1,
        dropout: Share = 0.0,
        residual: bool = False,
        bidirectional: bool = False,
        conditioning: Literal["none", "initial", "always"] = "none",
        source_width: Natural = 0,
    ) -> None:
        super().__init__(width, input_width)
        if bidirectional and width % 2:
            raise ConfigError(f"core.width = {width} cannot be halved", hint="a bidirectional core needs an even width")
        self.causal, self.residual = not bidirectional, residual
        self.needs_source, self.shown = conditioning != "none", conditioning == "always"
        source_width = source_width or width
        ways = 2 if bidirectional else 1
        sizes = [self.input_width + source_width * self.shown] + [width] * (layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(
                cells.build("core.cell", cell, input_size=size, hidden_size=width // ways) for _ in range(ways)
            )
            for size in sizes
        )
        for ways_of_layer in self._stack() if bidirectional else ():
            _cell(ways_of_layer[1]).backwards = True
        self.dropout = nn.Dropout(dropout)
        if self.needs_source:
            self.bridges = nn.ModuleList(
                nn.ModuleList(StateProjection(_cell(cell), source_width) for cell in ways) for ways in self._stack()
            )

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """The initial state of every cell, for each direction of each layer, conditioned on a source where it is used.

        With conditioning="always" the source vector is the last element of the state.

        Raises:
            ConfigError: where a source is needed and there is none.
        """
        state = tuple(tuple(_cell(cell).start(like) for cell in ways) for ways in self._stack())
        if not self.needs_source:
            return state
        vector = last_present(needed("recurrent", source), source_mask)
        made = zip(self.bridges, state, strict=True)
        state = tuple(
            tuple(b(vector, s) for b, s in zip(bridges, ways, strict=True))  # type: ignore[call-overload]
            for bridges, ways in made
        )
        return (*state, vector) if self.shown else state

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Run the layers one after the other, each over all positions."""
        after, own, shown = [], state[: len(self.layers)], state[len(self.layers) :]
        for vector in shown:
            x = torch.cat([x, vector.unsqueeze(1).expand(-1, x.shape[1], -1)], dim=-1)
        for number, (ways, before) in enumerate(zip(self._stack(), own, strict=True)):
            x = self.dropout(x) if number else x
            y, last = self._both_ways(ways, x, before, mask)
            x = x + y if self.residual and x.shape == y.shape else y
            after.append(last)
        return x, (*after, *shown)

    def _stack(self) -> list[nn.ModuleList]:
        return list(self.layers)  # type: ignore[arg-type]

    def _both_ways(
        self, ways: nn.ModuleList, x: Tensor, before: CoreState, mask: Tensor | None
    ) -> tuple[Tensor, CoreState]:
        y, last = unroll(_cell(ways[0]), x, before[0], mask)
        if self.causal:
            return y, (last,)
        flipped = None if mask is None else mask.flip(1)
        behind, first = unroll(_cell(ways[1]), x.flip(1), before[1], flipped)
        return torch.cat([y, behind.flip(1)], dim=-1), (last, first)


def _cell(module: nn.Module) -> Cell:
    return module  # type: ignore[return-value]
