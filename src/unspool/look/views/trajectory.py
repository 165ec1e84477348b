"""The trajectory of a state through its first two principal components."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from unspool.errors import DataError
from unspool.look.canvas import CYCLE, Picture, labels, plain
from unspool.look.inspection import STATES, Inspection
from unspool.look.measures import principal_components
from unspool.look.record import place_name
from unspool.look.tokens import TokenRows, join_tokens
from unspool.look.view import View, register_view

LABEL = 30  # characters of a row in the legend
READABLE = 60  # tokens of several rows that can still be read


@register_view("trajectory")
@dataclass(frozen=True)
class Trajectory(View):
    """The positions of a state in the plane of its first two principal components, row by row."""

    title: ClassVar[str] = "Trajectory of the state"
    rank: ClassVar[int] = 70
    name: str
    rows: TokenRows
    coordinates: list[list[list[float]]]  # row, time, two coordinates
    explained: list[float]  # share of the variance of each component

    @classmethod
    def of(cls, look: Inspection, place: str = "", rows: int = 6, length: int = 100) -> "Trajectory":
        """The first tokens of the first rows.

        Args:
            look: an inspection.
            place: of a state; the last one by default.
            rows: how many rows.
            length: how many tokens of each.

        Raises:
            DataError: for a model that has no state.
        """
        states = look.places(STATES - {"neurons"})
        if not (place or states):
            raise DataError("this model has no state with a trajectory", hint="--what gradient,attention")
        values = look.units(place or states[-1]).values[:rows, :length].float()
        mask = torch.tensor([[bool(token) for token in row[:length]] for row in look.rows.tokens[:rows]])
        projection = principal_components(values[mask])
        paths = [row.tolist() for row in projection.coordinates.split(mask.sum(dim=1).tolist())]
        return cls(place_name(place or states[-1]), look.rows, paths, projection.explained.tolist())

    def summary(self) -> list[str]:
        """The share of the variance in the plane."""
        share = 100 * sum(self.explained)
        return [f"{self.name}: the first two principal components explain {share:.0f} % of the variance over time"]

    def data(self) -> dict[str, Any]:
        """Coordinates by row and time, and shares of the variance."""
        return {"name": self.name, "coordinates": self.coordinates, "explained": self.explained}

    def plot(self) -> Picture:
        """A line for each row, from a dot to an arrow, with the tokens beside it."""
        picture = Picture(7.0, 6.0)
        axes = picture.axes[0]
        labelled = len(self.coordinates) == 1 or sum(map(len, self.coordinates)) <= READABLE
        for row, (points, colour) in enumerate(zip(self.coordinates, CYCLE, strict=False)):
            x, y = [point[0] for point in points], [point[1] for point in points]
            axes.plot(x, y, color=colour, linewidth=1.1, alpha=0.55, label=self.label(row))
            axes.scatter(x[:1], y[:1], s=28, color=colour)
            if len(points) > 1:
                arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", points[-1], points[-2], arrowprops=arrow)
            if labelled:
                tokens = [token for token in self.rows.tokens[row] if token][: len(points)]
                labels(axes, tokens, points, size=8, align="left", offset=(3, 4), sparse=True)
        shares = [f"{100 * share:.0f} %" for share in self.explained]
        axes.set(xlabel=f"first principal component ({shares[0]} of the variance)", ylabel=f"second ({shares[1]})")
        plain(axes, self.name)
        if len(self.coordinates) > 1:
            picture.legend(axes, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
        return picture

    def label(self, row: int) -> str:
        """The beginning of a row, and its last target."""
        tokens = [token for token in self.rows.tokens[row] if token]
        target = next(filter(None, reversed(self.rows.targets[row])), "")
        start = join_tokens(tokens[:12])[:LABEL]
        return f"{start}{'…' if start != join_tokens(tokens) else ''}{f' → {target}' if target else ''}"
