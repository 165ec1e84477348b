"""The states of a core: memory and hidden values, the activations of feed-forward layers."""

from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.errors import DataError
from unspool.look.canvas import Picture
from unspool.look.inspection import STATES, Inspection
from unspool.look.units import Units
from unspool.look.view import View, register_view

DRAWN = 6  # states


@register_view("hidden")
@dataclass(frozen=True)
class Hidden(View):
    """Every state of the core over the tokens."""

    title: ClassVar[str] = "Hidden states"
    rank: ClassVar[int] = 60
    maps: list[Units]

    @classmethod
    def of(cls, look: Inspection) -> "Hidden":
        """Read off the record. Raises: DataError for a model without states."""
        maps = [look.units(place) for place in look.places(STATES)]
        if not maps:
            raise DataError(f"{look.name} has no hidden states", hint="ask for another view, as --what gradient")
        return cls(maps)

    def summary(self) -> list[str]:
        """How many units of bounded states are saturated."""
        return [sentence for one in self.maps for sentence in one.summary()]

    def data(self) -> list[dict[str, Any]]:
        """The values of each state."""
        return [one.data() for one in self.maps]

    def plot(self) -> Picture:
        """The first state."""
        return self.maps[0].plot()

    def pictures(self) -> dict[str, Picture]:
        """A heat map for each of the first states."""
        return {one.name.replace(" ", "-"): one.plot() for one in self.maps[:DRAWN]}

    def units(self) -> list[Units]:
        """All states."""
        return self.maps
