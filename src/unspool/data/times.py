"""Rows in time: the column of their times is found, rows are sorted by it, and holes are filled or refused."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from unspool.data.clock import Clock, distance, month, parse_time
from unspool.errors import DataError

NAMES = ("date", "datetime", "time", "timestamp", "ds", "day", "week", "month", "quarter", "year", "period")
"""Columns of these names hold times, numbers among them."""

Holes = Literal["refuse", "keep", "previous", "linear"]


class Entry(NamedTuple):
    """A value of a series: where it stands, and its time where a column has it."""

    place: str
    value: float
    time: str = ""


def time_column(record: Mapping[str, Any], taken: Sequence[str] = ()) -> str:
    """The column of a row that holds its time; "" where none does.

    Args:
        record: the first row.
        taken: columns that hold something else.

    >>> time_column({"shop": "north", "day": "2024-05-01", "sales": 3}), time_column({"year": 1949, "value": 1})
    ('day', 'year')
    >>> time_column({"value": 1.5, "other": 2})
    ''
    """
    found = {name: parse_time(str(value).strip()) for name, value in record.items() if name not in taken}
    named = [name for name, time in found.items() if time is not None and name.strip().lower() in NAMES]
    dated = [name for name, time in found.items() if isinstance(time, datetime)]
    return next(iter([*named, *dated]), "")


def order(times: Sequence[str]) -> list[int] | None:
    """The numbers of some times from the earliest to the latest; None where some are no times.

    >>> order(["2024-05-02", "2024-05-01"]), order(["Monday", "Sunday"])
    ([1, 0], None)
    """
    found = [parse_time(time) for time in times]
    kinds = {(type(time), getattr(time, "tzinfo", None) is None) for time in found}
    if None in found or len(kinds) != 1:
        return None
    return sorted(range(len(found)), key=lambda number: found[number])  # type: ignore[arg-type, return-value]


def in_time(entries: Sequence[Entry], name: str, holes: Holes = "refuse", group: str = "") -> tuple[list[Entry], str]:
    """The values of a series in the order of their times, equally far apart, and what the user should know.

    Times are equally far apart where they are so many days, seconds, months or weekdays from each other.

    Args:
        entries: in any order; as they are where their times are none.
        name: of the series.
        holes: "refuse" them, "keep" them as if nothing was missing, or fill them with the "previous" value or on a
            line ("linear").
        group: a column that may tell two series apart, for the hint.

    Raises:
        DataError: for a time that comes twice, and for holes that are to be refused.
    """
    numbers = order([entry.time for entry in entries])
    if numbers is None:
        return list(entries), ""
    notes = [] if numbers == sorted(numbers) else [f"the rows of {name!r} were sorted by time"]
    found = [entries[number] for number in numbers]
    for one, other in pairwise(found):
        if distance(parse_time(one.time), parse_time(other.time)) == 0:
            hint = f"tell the series apart with data.group={group}" if group else "leave one of the rows out"
            raise DataError(
                f"{other.place}: the time {other.time} comes twice in the series {name!r} (before: {one.place})",
                hint=hint,
            )
    if holes == "keep" or len(found) < 2 or Clock.of([entry.time for entry in found]):
        return found, "; ".join(notes)
    positions = steps([entry.time for entry in found])
    missing = next((n for n, (a, b) in enumerate(pairwise(positions or [0, 2])) if b - a != 1), None)
    if missing is None:
        return found, "; ".join([*notes, f"the times of {name!r} are weekdays"])
    if holes == "refuse" or positions is None:
        what, hint = "is a hole in", "fill it, or set data.holes=previous, linear or keep (nothing is filled)"
        if positions is None:
            what, hint = "are no equal steps in", "set data.holes=keep, to take the rows as equally far apart"
        here, then = found[missing], found[missing + 1]
        raise DataError(
            f"{then.place}: between {here.time} and {then.time} there {what} the series {name!r}", hint=hint
        )
    filled = fill(found, positions, holes)
    notes.append(f"{len(filled) - len(found)} missing values of {name!r} were filled ({holes})")
    return filled, "; ".join(notes)


def steps(times: Sequence[str]) -> list[int] | None:
    """The number of each sorted time, counted in the commonest step; None where they are no multiples of it.

    >>> steps(["1", "2", "4"]), steps(["2024-05-03", "2024-05-06"]), steps(["1", "2", "3.5"])
    ([0, 1, 3], [0, 1], None)
    """
    found: list[Any] = [parse_time(time) for time in times]
    if isinstance(found[0], datetime) and all(time.weekday() < 5 and time.time() == found[0].time() for time in found):
        days = [np.datetime64(time.date()) for time in found]
        numbers = [int(np.busday_count(days[0], day)) for day in days]
        if Counter(b - a for a, b in pairwise(numbers)).most_common(1)[0][0] == 1:
            return numbers
    clock = commonest(times, found)
    numbers = [clock.position(time) for time in times]  # type: ignore[misc]
    return None if None in numbers else numbers


def commonest(times: Sequence[str], found: Sequence[Any]) -> Clock:
    """The clock of the commonest step of sorted times: months where the days of the month agree."""
    if isinstance(found[0], datetime) and len({time.day for time in found}) == 1:
        months = Counter(month(b) - month(a) for a, b in pairwise(found)).most_common(1)[0][0]
        if months:
            return Clock(times[0], 0.0, months)
    return Clock(times[0], Counter(distance(a, b) for a, b in pairwise(found)).most_common(1)[0][0])


def fill(entries: Sequence[Entry], positions: Sequence[int], holes: Holes) -> list[Entry]:
    """The entries with one for each step between them."""
    filled = [entries[0]]
    for (one, other), (a, b) in zip(pairwise(entries), pairwise(positions), strict=True):
        for step in range(1, b - a):
            share = step / (b - a) if holes == "linear" else 0.0
            time = between(one.time, other.time, step, b - a)
            filled.append(Entry(other.place, one.value + share * (other.value - one.value), time))
        filled.append(other)
    return filled


def between(first: str, last: str, step: int, number: int) -> str:
    """The time of a step between two times that are so many steps apart, written as they are."""
    one, other = parse_time(first), parse_time(last)
    if isinstance(one, datetime) and isinstance(other, datetime):
        months = month(other) - month(one)
        if one.day == other.day and months and months % number == 0:
            return str(Clock(first, 0.0, months // number).times(step, 1)[0])
        if one.weekday() < 5 and np.busday_count(one.date(), other.date()) == number:
            day = np.busday_offset(one.date(), step).astype(datetime)
            return str(Clock(first, float((day - one.date()) / timedelta(seconds=1))).times(1, 1)[0])
    return str(Clock(first, distance(one, other) / number).times(step, 1)[0])
