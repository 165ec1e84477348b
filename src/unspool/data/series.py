"""The [data] section of forecasting: series of numbers from a table, each cut in time."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch

from unspool.data.labelled import cell_text, picked
from unspool.data.readers.tables import Placed, Record, TableFormat
from unspool.data.records import check_paths, read_table_files
from unspool.data.splits import SplitPaths, Splits, shares
from unspool.data.synthetic.five_series import five_series
from unspool.data.times import Entry, Holes, in_time, time_column
from unspool.errors import ConfigError, DataError, unknown
from unspool.schema import Share


@dataclass
class TimeSeries(TableFormat):
    """Series of numbers from `path`: .csv, .tsv, .json, .jsonl or .parquet, plain or .gz, a row for each time.

    `column` is where the numbers stand; several columns are several series. `group` is the column that names the series
    of a row, where a table has more than one below the other; they may be of different lengths. A number may not be
    missing. The last `test` of every series is for the test, what is before it for validation, as shares of the whole.
    `time` is the column with the time of each row, which names the steps of a forecast; where none is named it is found
    by its name or its dates. Rows are sorted by it. A time that comes twice is an error, and so is one that is missing,
    unless `holes` says otherwise: "previous" and "linear" fill it, "keep" takes rows as equally far apart. Series of
    weekdays have no holes at weekends.

    Without a path, `corpus` "five-series" are five series that need no download: `five_series` tells which.

    Args:
        valid: the share of every series for validation.
        test: the share of every series for the test, at its end.
        time: the column of the times; found where it is not named.
        holes: what becomes of missing times: refuse, keep, previous or linear.

    >>> parts = TimeSeries(corpus="five-series").read()
    >>> [record["series"] for record in parts.train]
    ['sine', 'trend', 'ar2', 'walk', 'growing']
    """

    path: str = ""
    corpus: str = ""
    column: str | tuple[str, ...] = "value"
    group: str = ""
    valid: Share = field(default=0.1, kw_only=True)
    test: Share = field(default=0.1, kw_only=True)
    time: str = field(default="", kw_only=True)
    holes: Holes = field(default="refuse", kw_only=True)

    def __post_init__(self) -> None:
        if not (self.path or self.corpus):
            raise ConfigError("no series is given", hint="set data.path=FILE and data.column=NAME")
        if not self.path and self.corpus != "five-series":
            raise unknown("corpus of series", self.corpus, ["five-series"], prefix="data.corpus=")
        self.shares = shares(self.valid, self.test)
        self.value_columns = (self.column,) if isinstance(self.column, str) else self.column

    def read(self) -> Splits[list[Record]]:
        """Read, check and cut."""
        notes: list[str] = []
        if self.path:
            check_paths(self.path, SplitPaths())
            found = self.gathered(read_table_files(self.path, self, notes), notes)
        else:
            found = {name: [Entry("", value) for value in values] for name, values in five_series().items()}
        cut: dict[str, list[dict[str, Any]]] = {"train": [], "valid": [], "test": []}
        for name, entries in found.items():
            middle, end = (int(len(entries) * (1 - share)) for share in (sum(self.shares), self.shares[1]))
            parts = {"train": entries[:middle], "valid": entries[middle:end], "test": entries[end:]}
            for part, wanted in (("train", 1), ("valid", self.shares[0]), ("test", self.shares[1])):
                if wanted and not parts[part]:
                    raise DataError(
                        f"{entries[0].place}: the series {name!r} has {len(entries)} values: none would be left for "
                        f"{part}",
                        hint="give a longer series, or set data.valid and data.test to other shares (0: none)",
                    )
                cut[part] += [self.record(name, parts[part])] if parts[part] else []
        places = {name: entries[0].place or name for name, entries in found.items()}
        train, valid, test = cut.values()
        return Splits(train, valid, test, files=(self.path,) if self.path else (), notes=tuple(notes), places=places)

    def record(self, name: str, entries: list[Entry]) -> Record:
        """A part of a series."""
        found: dict[str, Any] = {"series": name, "values": [entry.value for entry in entries]}
        return found | ({"times": [entry.time for entry in entries]} if entries[0].time else {})

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Nothing comes from standard input."""
        return ""

    def gathered(self, records: list[Placed], notes: list[str]) -> dict[str, list[Entry]]:
        """The values of each series with their places, in the order of their times; series in that of the table."""
        found: dict[str, list[Entry]] = {}
        column = self.time or time_column(records[0][1], (self.group, *self.value_columns))
        for place, record in records:
            if self.group and not cell_text(picked(record, place, self.group, "group"), place, self.group).strip():
                raise DataError(f"{place}: the column {self.group!r} names no series", hint="fill it")
            time = cell_text(picked(record, place, column, "time"), place, column).strip() if column else ""
            for value in self.value_columns:
                name = series_name(record, self.group, value, len(self.value_columns) > 1)
                entry = Entry(place, series_value(picked(record, place, value, "column"), value, place), time)
                found.setdefault(name, []).append(entry)
        if column:
            notes.append(f"times are in the column {column!r}")
            group = "" if self.group else self.other_group(records, column)
            for name, entries in found.items():
                found[name], note = in_time(entries, name, self.holes, group)
                notes += [note] if note else []
        return found

    def other_group(self, records: list[Placed], time: str) -> str:
        """The column that would tell series apart: each of its values has every time once."""
        for name in records[0][1]:
            pairs = {(str(record.get(name)), str(record.get(time))) for _, record in records}
            groups = len({group for group, _ in pairs})
            if name not in (time, *self.value_columns) and groups < len(pairs) == len(records):
                return name
        return ""


def series_name(record: Record, group: str, column: str, several: bool) -> str:
    """The name of the series that a value belongs to.

    Args:
        record: the row of the value.
        group: the column that names its series; "" where none does.
        column: the column of the value.
        several: whether there are other columns of values.

    >>> series_name({"shop": "north", "sales": 3}, "shop", "sales", several=True)
    'north sales'
    """
    named = [str(record.get(group, "")).strip()] if group else []
    return " ".join(named + ([column] if several or not named else []))


def series_value(entry: Any, column: str, place: str) -> float:
    """What is written, as a number.

    >>> series_value(" 1e3 ", "value", "a.csv, line 2")
    1000.0
    """
    text = "" if entry is None else str(entry).strip()
    if not text:
        raise DataError(
            f"{place}: there is no number in the column {column!r}", hint="fill it, or leave rows out at an end"
        )
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
        if text.lower() not in ("nan", "-nan", "+nan"):
            raise DataError(
                f"{place}: {text!r} in the column {column!r} is not a number",
                hint="write it with a point and without other marks, or choose another data.column",
            ) from None
    if not isfinite(torch.tensor(value).item()):
        raise DataError(f"{place}: {text!r} in the column {column!r} is no finite number", hint="fill it")
    return value
