"""The values of the units of one layer over the tokens: in words, drawn as a heat map, and put on the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unspool.look.canvas import AROUND_ZERO, FROM_ZERO, INK, Picture, token_axis
from unspool.look.encoding import encoded
from unspool.look.measures import Openness, likeness_order
from unspool.look.text_picture import coloured_text, usual
from unspool.look.tokens import TokenRows, with_spaces

WIDE = 80  # tokens that are drawn across
TALL, TALL_STATE = 256, 96  # units that are drawn down: of a gate, and of a state, whose order says less
NAMED = 40  # units of which each is named
MARKS = 12  # named ones of more than those
ROW, HIGHEST = 0.165, 7.5  # inches: of a row of a heat map, and of all of them
UNITS = 96  # of each place that the page can show
PAGED = 1500  # tokens that the page shows, of all rows together; an LSTM of two layers of 512 takes 2 MB


@dataclass(frozen=True)
class Units:
    """The values (B, N, U) at one place, of the first rows and times, with statistics over all that was read."""

    place: str
    name: str
    rows: TokenRows
    values: Tensor  # (B, N, U)
    gate: Openness | None = None  # where it is a gate
    half_lives: Tensor | None = None  # (U) tokens; where it is the gate that says how much of the memory is kept
    saturated: Tensor | None = None  # (U) share of the time; where the activation is bounded
    cell_half_lives: Tensor | None = None  # (U) of the memory that a gate belongs to, by which its units are ordered

    @property
    def size(self) -> int:
        """The number of units."""
        return int(self.values.shape[-1])

    def summary(self) -> list[str]:
        """How long its memory lasts, how open it is, or how often it is saturated."""
        sentences = []
        if self.half_lives is not None:
            longest = int(self.half_lives.argmax())
            sentences.append(
                f"{self.name}: median half-life of the units {duration(float(self.half_lives.median()))}; the longest, "
                f"of unit {longest}, {duration(float(self.half_lives[longest]))}"
            )
        if self.gate is not None:
            opened, shut = self.gate.counts
            sentences.append(
                f"{self.name}: mean activation {float(self.gate.mean.mean()):.2f}; of {self.size} units {opened} are "
                f"open (over 0.9) and {shut} shut (under 0.1) at least 95 % of the time"
            )
        if self.saturated is not None:
            full = int((self.saturated > 0.5).sum())
            sentences.append(
                f"{self.name}: {full} of {self.size} units are saturated (|h| > 0.95) more than half of the time"
            )
        return sentences

    def data(self) -> dict[str, Any]:
        """Values by row, token and unit, and the statistics of each unit."""
        found: dict[str, Any] = {"place": self.place, "tokens": self.rows.tokens}
        found["values"] = [[[round(v, 4) for v in now] for now in row] for row in self.values.float().tolist()]
        if self.gate is not None:
            found |= {"mean": self.gate.mean.tolist(), "open": self.gate.open.tolist(), "shut": self.gate.shut.tolist()}
        if self.half_lives is not None:
            found["half_lives"] = [v if v < float("inf") else None for v in self.half_lives.tolist()]
        if self.saturated is not None:
            found["saturated"] = self.saturated.tolist()
        return found

    def order(self, values: Tensor, units: Sequence[int]) -> tuple[list[int], str]:
        """An order in which a heat map of these units (N, U) can be read, and its name.

        Gates stand by the half-life of the memory, or else by how open they are; states stand beside similar ones.
        """
        if self.cell_half_lives is not None:
            by, name = self.cell_half_lives[list(units)], "longest half-life first (tokens)"
        elif self.gate is not None:
            by, name = self.gate.mean[list(units)], "most open first"
        else:
            return [units[at] for at in likeness_order(values)], "similar units side by side"
        return [units[at] for at in argsort(by)], name

    def plot(self, row: int = 0, units: Sequence[int] | None = None, limit: float | None = None) -> Picture:
        """A heat map of units (down) by tokens (across) of one row: of many units those that change most.

        Args:
            row: of what was read.
            units: which ones; all by default.
            limit: the absolute value that has the strongest colour; what 98 % of the values stay below by default.
        """
        there = [at for at, token in enumerate(self.rows.tokens[row]) if token][:WIDE]
        shown = self.values[row][there].float()
        chosen = (
            list(units) if units is not None else most_varying(shown, TALL if self.gate is not None else TALL_STATE)
        )
        order, name = self.order(shown[:, chosen], chosen)
        table = shown[:, order].T
        most = limit or usual(table.abs().flatten().tolist())
        low, high, colours = (0.0, 1.0, FROM_ZERO) if self.gate is not None else (-most, most, AROUND_ZERO)
        picture = Picture(max(4.5, 1.6 + ROW * len(there)), 1.4 + min(HIGHEST, max(0.8, ROW * len(order))))
        axes = picture.axes[0]
        drawn = axes.imshow(table.numpy(), aspect="auto", interpolation="nearest", cmap=colours, vmin=low, vmax=high)
        marks = range(len(order)) if len(order) <= NAMED else range(0, len(order), -(-len(order) // MARKS))
        axes.set_yticks(marks, [self.unit_label(order[at]) for at in marks], fontsize=7)
        axes.set_ylabel(f"{len(order)} of {self.size} units: {name}" if len(order) > 1 else "unit")
        token_axis(axes, "x", [self.rows.tokens[row][at] for at in there], "token that was read", size=8)
        axes.set_title(self.name, fontsize=10, loc="left", color=INK, parse_math=False)
        axes.spines[:].set_visible(False)
        picture.bar(drawn, axes, "activation of the gate" if self.gate is not None else "value")
        return picture

    def unit_label(self, unit: int) -> str:
        """The number of a unit, with the half-life by which it is ordered."""
        if self.cell_half_lives is None:
            return f"{unit}"
        half_life = float(self.cell_half_lives[unit])
        return f"{unit} (∞)" if half_life == float("inf") else f"{unit} ({half_life:.3g})"

    def text(self, unit: int) -> Picture:
        """The text coloured by one unit."""
        values = self.values[..., unit].float().tolist()
        title = f"{self.name}, unit {unit}"
        return coloured_text(with_spaces(self.rows.tokens), values, title, from_zero=self.gate is not None)

    def trace(self, first: Sequence[int] = ()) -> dict[str, Any]:
        """What the page needs to colour the text: the units `first` and those that change most, as bytes."""
        sizes = paged(self.rows)
        values = self.values[: len(sizes), : max(sizes, default=0)].float()
        some: list[int] = list(dict.fromkeys([*first, *most_varying(values.flatten(0, 1), UNITS)]))[:UNITS]
        units, order = self.order(values.flatten(0, 1)[:, some], some)
        shown, low = values[..., units], 0.0 if self.gate is not None else -1.0
        found: dict[str, Any] = {
            "place": self.place,
            "name": self.name,
            "kind": "state" if self.gate is None else "gate",
            "units": units,
            "start": units.index(some[0]) if some else 0,
            "order": order,
            "of": self.size,
            "low": low,
            "high": 1.0,
            "summary": "; ".join(self.summary()),
        }
        if self.gate is None:  # a unit that counts to a hundred leaves the others their colours
            scales = shown.abs().flatten(0, 1).amax(dim=0).clamp(min=1e-9)
            shown, found["scales"] = shown / scales, [float(f"{scale:.4g}") for scale in scales.tolist()]
        return {**found, "rows": [encoded(row[:size].T, low, 1.0) for row, size in zip(shown, sizes, strict=True)]}


def most_varying(values: Tensor, count: int) -> list[int]:
    """The units of (N, U) that vary most, in the order of their variance.

    >>> import torch
    >>> most_varying(torch.tensor([[0.0, 1.0, 5.0], [0.0, 2.0, 9.0]]), 2)
    [2, 1]
    """
    if not values.numel():
        return list(range(min(count, values.shape[-1])))
    return argsort(values.std(dim=0, correction=0))[:count]


def argsort(values: Tensor) -> list[int]:
    """The indices of a vector's values, the largest first."""
    order: list[int] = values.argsort(descending=True, stable=True).tolist()
    return order


def paged(rows: TokenRows) -> list[int]:
    """How many tokens of each of the first rows the page shows."""
    sizes: list[int] = []
    for row in rows.tokens:
        if sizes and sum(sizes) + len(row) > PAGED:
            break
        sizes.append(min(len(row), PAGED))
    return sizes


def duration(tokens: float) -> str:
    """A time in tokens.

    >>> duration(3.14), duration(float("inf"))
    ('3.1 tokens', 'longer than what was read')
    """
    return "longer than what was read" if tokens == float("inf") else f"{tokens:,.1f} tokens"
