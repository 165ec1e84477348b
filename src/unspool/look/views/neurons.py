"""Single units that stand for a feature of the text or task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.errors import DataError
from unspool.look.canvas import COLOURS, INK, Picture, token_axis
from unspool.look.inspection import STATES, Inspection
from unspool.look.panels import Panel, Table
from unspool.look.record import place_name
from unspool.look.search import BestUnit, best_unit, is_binary, search_units
from unspool.look.units import WIDE, Units
from unspool.look.view import View, register_view

SEARCHED = 2**14  # positions among which units are searched
FEWEST = 20  # positions that a feature must be known at
DRAWN = 8  # units


@dataclass(frozen=True)
class Neuron:
    """The unit that predicts a feature best, over a row in which the feature changes."""

    feature: str
    place: str
    name: str
    best: BestUnit
    statistic: str  # "AUC" or "|r|"
    tokens: list[str]
    values: list[float]  # of the unit
    on: list[float]  # of the feature

    @property
    def unit(self) -> str:
        """The name of the unit."""
        return f"{self.name}, unit {self.best.unit}"

    def summary(self) -> str:
        """The unit, the feature and how well it is predicted."""
        score = f"{self.statistic} {self.best.score:.2f} (chance {self.best.chance:.2f})"
        return f"{self.unit} predicts '{self.feature}': {score}"


@register_view("neurons")
@dataclass(frozen=True)
class Neurons(View):
    """For each feature the unit that predicts it best, the clearest first."""

    title: ClassVar[str] = "Neurons"
    rank: ClassVar[int] = 10
    most: ClassVar[int] = 12
    best: list[Neuron]
    clearest: Units | None = None  # all units of the place of the first neuron

    @classmethod
    def of(cls, look: Inspection) -> "Neurons":
        """Search the units of all states. Raises: DataError where no feature varies, or there is no state."""
        states, times = look.places(STATES), look.record.times
        known = {name: feature[:, times] for name, feature in look.probe.features.items()}
        stride = max(1, -(-len(times) * len(look.batch.inputs) // SEARCHED))
        features = distinct({name: look.unpadded(v.unsqueeze(-1)).squeeze(-1)[::stride] for name, v in known.items()})
        if not (states and features):
            raise DataError("no feature of what was read varies", hint="give a longer text, or --what hidden,gradient")
        scores = {place: search_units(look.unpadded(look.record.values[place])[::stride], features) for place in states}
        found = []
        for name in features:
            place, best = best_unit({place: some[name] for place, some in scores.items()})
            row = int(balance(known[name]).argmax())
            values, on = look.record.values[place][row, : look.shown, best.unit], known[name][row, : look.shown]
            statistic = "AUC" if is_binary(known[name]) else "|r|"
            shown = look.rows.tokens[row], values.float().tolist(), on.float().tolist()
            found.append(Neuron(name, place, place_name(place), best, statistic, *shown))
        found.sort(key=lambda one: -one.best.margin)
        return cls(found, look.units(found[0].place))

    def summary(self) -> list[str]:
        """The units that are better than chance."""
        return [neuron.summary() for neuron in self.best if neuron.best.beyond_chance]

    def data(self) -> list[dict[str, Any]]:
        """The best unit for every feature."""
        return [
            {
                "feature": one.feature,
                "place": one.place,
                "unit": one.best.unit,
                one.statistic: one.best.score,
                "chance": one.best.chance,
            }
            for one in self.best
        ]

    def plot(self) -> Picture:
        """The clearest units over a row, with their features as a shade."""
        some = self.best[:DRAWN]
        wide = min(WIDE, max(sum(map(bool, one.tokens)) for one in some))
        picture = Picture(max(6.0, 1.5 + 0.125 * wide), 0.4 + 1.45 * len(some), len(some))
        for axes, one in zip(picture.axes, some, strict=True):
            there = window([t for t, token in enumerate(one.tokens) if token], one.on)
            shade = [abs(one.on[t]) if one.on[t] == one.on[t] else 0.0 for t in there]
            most = max(shade, default=0.0) or 1.0
            boxes = [(at - 0.5, 0.0, 1.0, share / most) for at, share in enumerate(shade)]
            picture.boxes(axes, boxes, [COLOURS[4]] * len(boxes), alpha=0.35, transform=axes.get_xaxis_transform())
            axes.plot(range(len(there)), [one.values[t] for t in there], color=COLOURS[0], linewidth=1.2)
            axes.set_title(one.summary(), fontsize=8.5, loc="left", color=INK, parse_math=False)
            token_axis(axes, "x", [one.tokens[t] for t in there], "")
            axes.tick_params(length=0, labelsize=7)
            axes.set_xlim(-0.8, len(there) - 0.2)
            axes.spines[["top", "right"]].set_visible(False)
        picture.figure.supylabel("value of the unit", fontsize=8)
        picture.figure.supxlabel("token that was read (shaded: where the feature is on, or its value)", fontsize=8)
        return picture

    def pictures(self) -> dict[str, Picture]:
        """The units over a row, and the text coloured by the clearest one."""
        text = {} if self.clearest is None else {"text": self.clearest.text(self.best[0].best.unit)}
        return {"": self.plot(), **text}

    def panels(self) -> list[Panel]:
        """A table of all features."""
        cells = [
            (one.feature, one.unit, f"{one.statistic} {one.best.score:.2f}", f"{one.best.chance:.2f}")
            for one in self.best
        ]
        units = [(one.place, one.best.unit) for one in self.best]
        return [Table(["feature", "unit", "score", "chance"], cells, numbers=2, units=units)]


def distinct(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """The features (N) that are known often enough, vary, and are not equal to an earlier one.

    >>> on, off = torch.arange(30) % 2, torch.zeros(30)
    >>> list(distinct({"odd": on, "again": on, "never": off, "short": on[:4]}))
    ['odd']
    """
    kept: dict[str, Tensor] = {}
    for name, feature in features.items():
        known = feature[~feature.isnan()]
        varies = len(known) >= FEWEST and bool((known != known[0]).any())
        if varies and not any(torch.equal(feature, other) for other in kept.values()):
            kept[name] = feature
    return kept


def balance(feature: Tensor) -> Tensor:
    """At how many positions of each row a feature (B, N) is on, or off where those are fewer."""
    on = (feature != 0).sum(dim=1)
    return torch.minimum(on, feature.shape[1] - on)


def window(positions: Sequence[int], on: Sequence[float]) -> Sequence[int]:
    """As many of these positions in a row as are drawn: those among which a feature is on and off most evenly."""
    best, start = -1, 0
    for at in range(0, max(1, len(positions) - WIDE + 1), 8):
        count = sum(on[t] > 0 for t in positions[at : at + WIDE])
        even = min(count, min(WIDE, len(positions)) - count)
        best, start = (even, at) if even > best else (best, start)
    return positions[start : start + WIDE]
