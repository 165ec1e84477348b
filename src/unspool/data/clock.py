"""The times of a series: their distance, and the times of the steps that follow."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple


class Clock(NamedTuple):
    """Times that are equally far apart: numbers, dates, or dates that are months apart.

    >>> clock = Clock.of(["2024-11-30", "2024-12-01"])
    >>> clock.times(2, 2), clock.position("2024-12-24")
    (['2024-12-02', '2024-12-03'], 24)
    >>> Clock.of(["2024-01-01", "2024-02-01", "2024-03-01"]).times(3, 1)
    ['2024-04-01']
    """

    first: str
    step: float  # of numbers, or seconds of dates; 0 for months
    months: int = 0

    @classmethod
    def of(cls, times: Sequence[Any]) -> "Clock | None":
        """The clock of some times; None where they are not equally far apart, or are no times."""
        found = [parse_time(str(time).strip()) for time in times[:2]]
        if len(found) < 2 or None in found or type(found[0]) is not type(found[1]):
            return None
        one, other = found
        months = month(other) - month(one)
        seconds = distance(one, other)
        clocks = [cls(str(times[0]).strip(), seconds)] if seconds > 0 else []
        clocks += [cls(str(times[0]).strip(), 0.0, months)] if months > 0 and one.day == other.day else []  # type: ignore[union-attr]
        return next((clock for clock in clocks if clock.fits(times)), None)

    def fits(self, times: Sequence[Any]) -> bool:
        """Whether these times, from the first on, are those of the clock."""
        return all(self.position(time) == n for n, time in enumerate(times))

    def times(self, start: int, number: int) -> list[Any]:
        """The times of so many steps, the first of them numbered from 0, as the given ones are written."""
        begin = parse_time(self.first)
        return [self.written(begin, n) for n in range(start, start + number)]

    def written(self, begin: Any, number: int) -> Any:
        """The time of one step."""
        if isinstance(begin, float):
            value = begin + number * self.step
            return int(value) if value.is_integer() else value
        if self.months:
            years, index = divmod(begin.month - 1 + number * self.months, 12)
            then = begin.replace(year=begin.year + years, month=index + 1)
        else:
            then = begin + timedelta(seconds=number * self.step)
        plain = len(self.first) <= len("2024-01-01")
        return then.date().isoformat() if plain else then.isoformat(sep="T" if "T" in self.first else " ")

    def position(self, time: Any) -> int | None:
        """The number of the step that has a time; None where none has."""
        begin, then = parse_time(self.first), parse_time(str(time).strip())
        if then is None or type(begin) is not type(then):
            return None
        if self.months:
            number, rest = divmod(month(then) - month(begin), self.months)
            return number if not rest and then.day == begin.day and then.time() == begin.time() else None  # type: ignore[union-attr]
        steps = distance(begin, then) / self.step
        if not isfinite(steps):  # numbers that no float can count
            return None
        return round(steps) if abs(steps - round(steps)) < 1e-6 * max(1.0, abs(steps)) else None


def parse_time(time: str) -> float | datetime | None:
    """A time as a number or a date; None where it is neither.

    >>> parse_time("3"), parse_time("2024-05-01").month, parse_time("May")
    (3.0, 5, None)
    """
    try:
        return float(time)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(time)
    except ValueError:
        return None


def month(time: float | datetime | None) -> int:
    """Months since the year 0; 0 for numbers."""
    return 12 * time.year + time.month if isinstance(time, date) else 0


def distance(one: Any, other: Any) -> float:
    """How far apart two times are: of dates in seconds, 0 where one has a time zone and the other has none."""
    if isinstance(one, float):
        return float(other - one)
    aware = [time.tzinfo is not None for time in (one, other)]
    return (other - one).total_seconds() if aware[0] == aware[1] else 0.0
