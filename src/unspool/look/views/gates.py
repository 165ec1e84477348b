"""The gates of a recurrent core: how far they are open, and how long the memory lasts."""

from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.errors import DataError
from unspool.look.canvas import Picture
from unspool.look.inspection import GATES, Inspection
from unspool.look.panels import Panel, Table
from unspool.look.units import Units, duration
from unspool.look.view import View, register_view

DRAWN = 6  # gates
NOTE = "Open units are over 0.9, shut ones under 0.1, at least 95 % of the time. Half-life: ln ½ / mean ln of the gate."


@register_view("gates")
@dataclass(frozen=True)
class Gates(View):
    """Every gate of the core over the tokens."""

    title: ClassVar[str] = "Gates and memory"
    rank: ClassVar[int] = 20
    most: ClassVar[int] = 8
    maps: list[Units]

    @classmethod
    def of(cls, look: Inspection) -> "Gates":
        """Read off the record. Raises: DataError for a model without gates."""
        maps = [one for one in map(look.units, look.places(GATES)) if one.gate is not None]
        if not maps:
            raise DataError(f"{look.name} has no gates", hint="ask for another view, as --what hidden,gradient")
        return cls(maps)

    def summary(self) -> list[str]:
        """Half-lives first, then how open each gate is."""
        sentences = [sentence for one in self.maps for sentence in one.summary()]
        return sorted(sentences, key=lambda sentence: "half-life" not in sentence)

    def data(self) -> list[dict[str, Any]]:
        """The values of each gate, and statistics of its units."""
        return [one.data() for one in self.maps]

    def plot(self) -> Picture:
        """The first gate that says how much of the memory is kept, or else the first gate."""
        return next((one for one in self.maps if one.half_lives is not None), self.maps[0]).plot()

    def pictures(self) -> dict[str, Picture]:
        """A heat map for each of the first gates."""
        return {one.name.replace(" ", "-"): one.plot() for one in self.maps[:DRAWN]}

    def panels(self) -> list[Panel]:
        """A table of all gates."""
        columns = ["gate", "mean", "units open", "units shut", "median half-life", "longest half-life"]
        return [Table(columns, [self._row(one) for one in self.maps], numbers=5, note=NOTE)]

    def _row(self, one: Units) -> list[str]:
        opened, shut = one.gate.counts if one.gate is not None else (0, 0)
        mean = f"{float(one.gate.mean.mean()):.2f}" if one.gate is not None else ""
        lives = one.half_lives
        ends = ["", ""] if lives is None else [duration(float(lives.median())), duration(float(lives.max()))]
        return [one.name, mean, f"{opened} of {one.size}", f"{shut} of {one.size}", *ends]

    def units(self) -> list[Units]:
        """All gates."""
        return self.maps
