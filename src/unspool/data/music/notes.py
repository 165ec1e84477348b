"""Music as notes: when each begins, how long it sounds and how high it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple


class Note(NamedTuple):
    """One note; times in quarter beats.

    >>> Note(Fraction(1), Fraction(1, 2), 69).end
    Fraction(3, 2)
    """

    start: Fraction
    length: Fraction
    pitch: int  # MIDI's number: 60 is middle C, 69 the A of 440 Hz
    tied: bool = False  # it goes on with a note of this pitch that ends where it begins

    @property
    def end(self) -> Fraction:
        """When it is over."""
        return self.start + self.length


@dataclass(frozen=True)
class Score:
    """Notes in the order of their beginnings, how fast they are played, and what they are called.

    >>> Score([Note(Fraction(0), Fraction(4), 60)], speed=120.0).seconds
    2.0
    """

    notes: Sequence[Note]
    speed: float = 120.0  # quarter beats a minute
    title: str = ""

    @property
    def seconds(self) -> float:
        """How long it takes, to the end of its last note."""
        return float(max((note.end for note in self.notes), default=Fraction(0))) * 60 / self.speed
