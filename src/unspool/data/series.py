"""The [data] section of forecasting: series of numbers from a table, each cut in time."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch

from unspool.data.labelled import picked
from unspool.data.readers.tables import Placed, Record
from unspool.data.records import TableFormat, check_paths, read_table_files
from unspool.data.splits import SplitPaths, Splits, shares
from unspool.data.synthetic.five_series import five_series
from unspool.errors import ConfigError, DataError, unknown
from unspool.schema import Share


@dataclass
class Series(TableFormat):
    """Series of numbers from `path`: .csv, .tsv, .json, .jsonl or .parquet, plain or .gz, a row for each time in order.

    `column` is where the numbers stand; several columns are several series. `group` is the column that names the series
    of a row, where a table has more than one below the other; they may be of different lengths. A number may not be
    missing. The last `test` of every series is for the test, what is before it for validation, as shares of the whole.

    Without a path, `corpus` "five-series" are five series that need no download: `five_series` tells which.

    Args:
        valid: the share of every series for validation.
        test: the share of every series for the test, at its end.

    >>> parts = Series(corpus="five-series").read()
    >>> [record["series"] for record in parts.train]
    ['sine', 'trend', 'ar2', 'walk', 'growing']
    """

    path: str = ""
    corpus: str = ""
    column: str | tuple[str, ...] = "value"
    group: str = ""
    valid: Share = field(default=0.1, kw_only=True)
    test: Share = field(default=0.1, kw_only=True)

    def __post_init__(self) -> None:
        if not (self.path or self.corpus):
            raise ConfigError("no series is given", hint="set data.path=FILE and data.column=NAME")
        if not self.path and self.corpus != "five-series":
            raise unknown("corpus of series", self.corpus, ["five-series"], prefix="data.corpus=")
        self.shares = shares(self.valid, self.test)
        self.columns = (self.column,) if isinstance(self.column, str) else self.column

    def read(self) -> Splits[list[Record]]:
        """Read, check and cut."""
        notes: list[str] = []
        if self.path:
            check_paths(self.path, SplitPaths())
            found = self.gathered(read_table_files(self.path, self, notes))
        else:
            found = {name: [("", value) for value in values] for name, values in five_series().items()}
        cut: dict[str, list[dict[str, Any]]] = {"train": [], "valid": [], "test": []}
        for name, placed in found.items():
            values = [value for _, value in placed]
            middle, end = (int(len(values) * (1 - share)) for share in (sum(self.shares), self.shares[1]))
            parts = {"train": values[:middle], "valid": values[middle:end], "test": values[end:]}
            for part, wanted in (("train", 1), ("valid", self.shares[0]), ("test", self.shares[1])):
                if wanted and not parts[part]:
                    raise DataError(
                        f"{placed[0][0]}: the series {name!r} has {len(values)} values: none would be left for {part}",
                        hint="give a longer series, or set data.valid and data.test to other shares (0: none)",
                    )
                cut[part] += [{"series": name, "values": parts[part]}] if parts[part] else []
        places = {name: placed[0][0] or name for name, placed in found.items()}
        return Splits(**cut, files=(self.path,) if self.path else (), notes=tuple(notes), places=places)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Nothing comes from standard input."""
        return ""

    def gathered(self, records: list[Placed]) -> dict[str, list[tuple[str, float]]]:
        """The numbers of each series with their places, the series in the order in which they begin."""
        found: dict[str, list[tuple[str, float]]] = {}
        for place, record in records:
            if self.group and not str(picked(record, place, self.group, "group") or "").strip():
                raise DataError(f"{place}: the column {self.group!r} names no series", hint="fill it")
            for column in self.columns:
                named = [str(record[self.group]).strip()] if self.group else []
                name = " ".join(named + ([column] if len(self.columns) > 1 or not named else []))
                value = number(picked(record, place, column, "column"), column, place)
                found.setdefault(name, []).append((place, value))
        return found


def number(entry: Any, column: str, place: str) -> float:
    """What is written, as a number.

    >>> number(" 1e3 ", "value", "a.csv, line 2")
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
