"""Items of a file that cannot be used: left out and counted, unless there are too many."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from unspool.errors import DataError

T = TypeVar("T")
U = TypeVar("U")
TOLERATED = 0.1
"""Where more than that share of all items is bad, something else is wrong, and the first error is raised."""


class Skipped:
    """Counts what cannot be used.

    >>> skipped = Skipped()
    >>> skipped.add(DataError("a.csv, line 7: 3 fields", hint="use quotes"))
    True
    >>> skipped.summary(20, "rows")
    'left out 1 of 20 rows that cannot be read, the first: a.csv, line 7: 3 fields'
    """

    def __init__(self) -> None:
        self.errors: list[DataError] = []

    def add(self, error: DataError) -> bool:
        """Count an item that cannot be used; True."""
        self.errors.append(error)
        return True

    def summary(self, total: int, items: str) -> str:
        """How many were left out, and the first; "" for none. Raises: the first error, if there are too many."""
        if len(self.errors) > TOLERATED * total:
            raise self.errors[0]
        if not self.errors:
            return ""
        return f"left out {len(self.errors):,} of {total:,} {items} that cannot be read, the first: {self.errors[0]}"


def usable(items: Iterable[T], use: Callable[[T], U], kind: str, notes: list[str]) -> list[U]:
    """What is made of some items; those that cannot be used are left out, and their number is added to `notes`.

    Args:
        items: files, for instance.
        use: makes something of one; a DataError leaves it out.
        kind: what the items are, in the plural.
        notes: what the user should know of the data.

    Raises:
        DataError: the first, if there are too many.

    >>> usable("123", int, "digits", [])
    [1, 2, 3]
    """
    skipped, found, number = Skipped(), [], 0
    for item in items:
        number += 1
        try:
            found.append(use(item))
        except DataError as error:
            skipped.add(error)
    notes += filter(None, [skipped.summary(number, kind)])
    return found
