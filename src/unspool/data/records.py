"""Records in splits: reading tables, drawing shares, and the options that datasets of records have in common."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import torch

from unspool.data.readers.skipped import Skipped
from unspool.data.readers.tables import ENDINGS, Placed, Record, Table, TableFormat, counted, read_table
from unspool.data.readers.text import matches
from unspool.data.readers.trees import SPLITS
from unspool.data.splits import SplitOptions, SplitPaths, Splits, as_text
from unspool.errors import ConfigError, DataError

SHUFFLE = 20_000
"""The seed of the order in which shares are cut: the same in every run, so that runs can be compared."""

T = TypeVar("T")
PARTS = ("train", "valid", "test")
Found = dict[str, list[Placed]]
"""Records with their places, by the name of their split; what is not named has no files of its own."""


@dataclass
class Records(SplitOptions, TableFormat, SplitPaths):
    """Records from `path` or `train_path`: .csv, .tsv, .json, .jsonl or .parquet, plain or .gz, or a folder of them.

    `valid` and `test` are shares, drawn at random with a fixed seed. A split that has a file of its own is that file
    instead: `valid_path`, `test_path`, or valid.csv and test.csv, say, where `path` is a folder with train.csv.
    `distinct` drops duplicate records, so that none is in two splits; `together` joins the splits of `path`, so that
    shares are drawn from all of it; `limit` keeps so many records of every split (0: all).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.jsonl").write_text('{"x": 1}\\n' * 10)
    ...     splits = Records(path=f"{folder}/a.jsonl", test=0.2).read()
    >>> len(splits.train), len(splits.valid), len(splits.test)
    (7, 1, 2)
    """

    path: str = ""
    distinct: bool = field(default=False, kw_only=True)
    together: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_paths(self.path, self)

    def read(self) -> Splits[list[Record]]:
        """Read, check and split."""
        notes: list[str] = []
        found = gather(self.path, self, lambda path: read_splits(path, self, notes), self.together)
        return split(found, self, notes, given_files(self.path, self), distinct=self.distinct)

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Records are never read from standard input."""
        return ""


def check_paths(path: str, paths: SplitPaths) -> None:
    """Raise ConfigError unless there is one path to training records, and none is standard input."""
    if bool(path) == bool(paths.train_path):
        raise ConfigError(
            "data.path and data.train_path are set, and one is wanted" if path else "no records are given",
            hint="drop one with data.train_path=" if path else "set data.path=FILE",
        )
    if "-" in (path, paths.train_path, paths.valid_path, paths.test_path):
        raise ConfigError("records cannot come from standard input", hint="write them to a file first")


def given_files(path: str, paths: SplitPaths) -> tuple[str, ...]:
    """The paths that are set."""
    return tuple(filter(None, (path or paths.train_path, paths.valid_path, paths.test_path)))


def read_table_files(path: str, options: TableFormat, notes: list[str]) -> list[Placed]:
    """The records of one file, or of all that a pattern matches; what was read is added to `notes`."""
    place = os.path.expanduser(path)
    names = [place] if os.path.exists(place) else matches(place)
    tables = [read_table(name, options) for name in names]
    notes += [note for table in tables for note in table.notes]
    notes.append(f"{path}: {summary(tables)}")
    return [placed for table in tables for placed in table.records]


def summary(tables: Sequence[Table]) -> str:
    """What was read of some files."""
    if len(tables) == 1:
        return tables[0].summary
    return f"{len(tables):,} files, {counted([placed for table in tables for placed in table.records])}"


def split_tables(path: str) -> dict[str, str]:
    """The tables of a folder that are named by their split, such as train.csv and test.csv."""
    place = Path(os.path.expanduser(path))
    files = sorted(place.iterdir()) if place.is_dir() else []
    return {
        SPLITS[stem]: str(file)
        for file in files
        if (stem := file.name.partition(".")[0]) in SPLITS and Path(file.name.removesuffix(".gz")).suffix in ENDINGS
    }


def read_splits(path: str, options: TableFormat, notes: list[str]) -> Found:
    """The records of a table, or of the tables of a folder that are named by their split."""
    if not os.path.isdir(os.path.expanduser(path)):
        return {"train": read_table_files(path, options, notes)}
    named = split_tables(path)
    if "train" not in named:
        raise DataError(f"there is no train.csv or the like in the folder {path}", hint="name the file itself")
    return {name: read_table_files(file, options, notes) for name, file in named.items()}


def gather(path: str, paths: SplitPaths, read: Callable[[str], Found], together: bool = False) -> Found:
    """What `read` finds in the paths, with all that a path finds in one split where the split has a path of its own.

    Args:
        together: everything in the training path is one split, whatever `read` says.
    """
    own = read(path or paths.train_path)
    found = {"train": [placed for part in own.values() for placed in part]} if together else own
    for name, other in (("valid", paths.valid_path), ("test", paths.test_path)):
        if other:
            found = {**found, name: [placed for part in read(other).values() for placed in part]}
    return found


def split(
    found: Found,
    options: SplitOptions,
    notes: list[str],
    files: tuple[str, ...] = (),
    take: Callable[[str, Record], Record | None] | None = None,
    distinct: bool = False,
) -> Splits[list[Record]]:
    """Records in three splits, each in one shuffled order; a split that was not found is a share of the training one.

    Args:
        take: makes a record of what was read at a place; None leaves it out, as a DataError does where few raise one.
        distinct: of equal records in a split only one is kept.

    Raises:
        DataError: where a split that is asked for would be empty.
    """
    kept_ones = {name: kept(found.get(name, []), notes, take, distinct) for name in PARTS}
    drawn = {name: shuffled(placed)[: options.limit or None] for name, placed in kept_ones.items()}
    train = drawn["train"]
    valid_share = Fraction(0) if drawn["valid"] else options.shares[0]
    test_share = Fraction(0) if drawn["test"] else options.shares[1]
    middle = int(len(train) * (1 - valid_share - test_share))
    end = int(len(train) * (1 - test_share))
    if not train and found.get("train"):
        raise DataError(
            f"all {len(found['train']):,} records are without a text", hint="fill in the column of the texts"
        )
    splits = {
        "train": train[:middle],
        "valid": drawn["valid"] or train[middle:end],
        "test": drawn["test"] or train[end:],
    }
    for name, wanted in (("train", True), ("valid", valid_share), ("test", test_share)):
        if wanted and not splits[name]:
            raise DataError(
                f"there are too few records to split ({len(train)}): none would be left for {name}",
                hint="give more records, or set data.valid and data.test to other shares (0: none)",
            )
    own = {name: [record for _, record in placed] for name, placed in splits.items()}
    lines = {name: [place for place, _ in splits[name]] for name in ("valid", "test")}
    return Splits(own["train"], own["valid"], own["test"], files, tuple(notes), lines=lines)


def kept(
    records: list[Placed], notes: list[str], take: Callable[[str, Record], Record | None] | None, distinct: bool
) -> list[Placed]:
    """The records that are of use; how many are not, and why, is added to `notes`."""
    skipped = Skipped()
    found: list[Placed] = []
    empty: list[str] = []
    for place, record in records:
        try:
            taken = take(place, record) if take else record
        except DataError as error:
            skipped.add(error)
            continue
        if taken is None:
            empty.append(place)
        else:
            found.append((place, taken))
    notes += filter(None, [skipped.summary(len(records), "records")])
    if empty:
        notes.append(f"left out {len(empty):,} of {len(records):,} records without a text, the first: {empty[0]}")
    return once(found, notes) if distinct else found


def once(records: list[Placed], notes: list[str]) -> list[Placed]:
    """Equal records once; how many come again is added to `notes`."""
    found: dict[str, Placed] = {}
    again: list[str] = []
    for place, record in records:
        key = json.dumps(record, sort_keys=True, default=as_text)
        if key in found:
            again.append(f"{place}, as {found[key][0]}")
        else:
            found[key] = place, record
    if again:
        notes.append(f"left out {len(again):,} of {len(records):,} records that come again, the first: {again[0]}")
    return list(found.values())


def shuffled(records: list[T]) -> list[T]:
    """The records in their one shuffled order.

    >>> shuffled([0, 1, 2, 3, 4])
    [1, 0, 4, 2, 3]
    """
    order = torch.randperm(len(records), generator=torch.Generator().manual_seed(SHUFFLE))
    return [records[index] for index in order.tolist()]
