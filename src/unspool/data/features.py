"""The [data] section of tasks with a few numbers for each example: columns of a table, or students who are made up."""

from dataclasses import dataclass
from math import exp, isfinite
from random import Random

import numpy as np

from unspool.data.labelled import cell_text, picked
from unspool.data.named_numbers import NamedNumbers
from unspool.data.readers.tables import Names, Record, TableFormat
from unspool.data.records import SHUFFLE, Found, check_paths, read_splits, split
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.errors import ConfigError, DataError
from unspool.schema import Natural
from unspool.seeds import mix

LECTURES, HOURS = 20, 60.0  # at most


@dataclass
class Features(SplitOptions, TableFormat):
    """Numbers and a label: columns of a table, named `features` and `label`, or that many made-up `students`.

    Without `features` every column but the label is one. A table of yours goes before the students of a recipe:
    `data.path=FILE` is all it takes.

    Will a student pass this class? The features are how many of twenty lectures were attended and how many hours the
    project took. Both are needed: chances are even where lectures / 20 times hours / 60 is a quarter, and fall and rise
    steeply around it. So the best that anybody can foretell is known.

    Args:
        path: a table.
        students: how many students are made up where no path is given.
        features: the columns of the numbers; none: every column but the label.
        label: the column of the labels.
    """

    path: str = ""
    students: Natural = 0
    features: Names = ()
    label: str = "label"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.path or self.students):
            raise ConfigError("no records are given", hint="set data.path=FILE, or data.students=1000 to make some up")
        check_paths(self.path or "students", SplitPaths())
        if self.path:
            self.students = 0
        else:
            self.features, self.label = (), "label"

    def read(self) -> Splits[list[Record]]:
        """Read, check and split."""
        notes: list[str] = []
        if self.students:
            found: Found = {"train": [(f"student {number}", student(number)) for number in range(self.students)]}
        else:
            found = read_splits(self.path, self, notes)
        return split(found, self, notes, (self.path or "students",), self.taken)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Records are never read from standard input."""
        return ""

    def taken(self, place: str, record: Record) -> Record | None:
        """The numbers of the features, and the label as text."""
        label = " ".join(cell_text(picked(record, place, self.label, "label"), place, self.label).split())
        if not label:
            raise DataError(f"{place}: there is no label", hint="give each record a label, or leave it out")
        names = self.features or tuple(name for name in record if name != self.label)
        return {"label": label, "features": feature_values(record, place, names, "label")}


def feature_values(record: Record, place: str, names: tuple[str, ...], other: str) -> NamedNumbers:
    """The numbers of these columns. Raises: DataError where one is none, or where there is only the `other` column."""
    if not names:
        raise DataError(f"{place}: there is no column but the {other}", hint="give each record some numbers")
    try:
        found = np.array([float(str(record[name])) for name in names])
    except (KeyError, ValueError):
        found = np.array([np.nan])
    if not np.isfinite(found).all():  # once more, slowly: which one is it?
        found = np.array([feature_value(picked(record, place, name, "features"), name, place) for name in names])
    return NamedNumbers(names, found)


def feature_value(value: object, name: str, place: str) -> float:
    """The number that a field says. Raises: DataError where it says none."""
    try:
        found = float(str(value))
    except ValueError:
        found = float("nan")
    if not isfinite(found):
        raise DataError(
            f"{place}: {value!r} in the column {name!r} is not a number",
            hint="correct it, leave the record out, or set data.features to the columns that are numbers",
        )
    return found


def student(number: int) -> Record:
    """What a student did, and whether the class was passed.

    >>> student(3) == student(3)
    True
    """
    random = Random(mix(SHUFFLE, number))
    lectures, hours = float(random.randint(0, LECTURES)), round(random.uniform(0, HOURS), 1)
    passed = random.random() < chance(lectures, hours)
    return {"lectures": lectures, "hours": hours, "label": "pass" if passed else "fail"}


def chance(lectures: float, hours: float) -> float:
    """How likely a student with so much work passes.

    >>> chance(10.0, 30.0), chance(20.0, 60.0) > 0.999
    (0.5, True)
    """
    return 1 / (1 + exp(-40 * (lectures / LECTURES * hours / HOURS - 0.25)))
