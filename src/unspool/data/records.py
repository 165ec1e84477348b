"""The [data] section of tasks with examples: which records, and which are for training, validation and test."""

import json
import os
from fractions import Fraction
from pathlib import Path

import torch

from unspool.data.readers.tables import ENDINGS, FormatName, Placed, Record, read_table
from unspool.data.readers.text import matches
from unspool.data.readers.trees import SPLITS
from unspool.data.splits import Splits, plain, shares
from unspool.errors import ConfigError, DataError
from unspool.schema import Natural, Share

SHUFFLE = 20_000
"""The seed of the order in which shares are cut: the same in every run, so that runs can be compared."""


class Records:
    """Records from `path` or `train_path`: .csv, .tsv, .json, .jsonl or .parquet, plain or .gz, or a folder of them.

    `valid` and `test` are shares, drawn once and for all. A part that has a file of its own is that file instead:
    `valid_path`, `test_path`, or valid.csv and test.csv, say, where `path` is a folder with train.csv. `format` is
    found by the ending; "label-text" are lines of a label and a text. `distinct` takes a record that comes again once,
    so that none is both learned and asked for; `limit` keeps so many of every part (0: all).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.jsonl").write_text('{"x": 1}\\n' * 10)
    ...     examples = Records(path=f"{folder}/a.jsonl", test=0.2).read()
    >>> len(examples.train), len(examples.valid), len(examples.test)
    (7, 1, 2)
    """

    def __init__(
        self,
        path: str = "",
        train_path: str = "",
        valid_path: str = "",
        test_path: str = "",
        format: FormatName = "auto",
        encoding: str = "auto",
        distinct: bool = False,
        limit: Natural = 0,
        valid: Share = 0.1,
        test: Share = 0.0,
        together: bool = False,
    ) -> None:
        if bool(path) == bool(train_path):
            raise ConfigError(
                "data.path and data.train_path are set, and one is wanted" if path else "no records are given",
                hint="drop one with data.train_path=" if path else "set data.path=FILE",
            )
        if "-" in (path, train_path, valid_path, test_path):
            raise ConfigError("records cannot come from standard input", hint="write them to a file first")
        self.shares = shares(valid, test)
        self.paths = {"train": path or train_path, "valid": valid_path, "test": test_path}
        self.format, self.encoding, self.limit = format, encoding, limit
        self.distinct, self.together = distinct, together
        self.notes: list[str] = []

    def read(self) -> Splits[list[Record]]:
        """Read, check and cut."""
        self.notes = []
        parts: dict[str, list[Placed]] = {"train": [], "valid": [], "test": []}
        own = self.parts(self.paths["train"])
        parts |= {"train": [placed for part in own.values() for placed in part]} if self.together else own
        for name in ("valid", "test"):
            if path := self.paths[name]:
                parts[name] = [placed for part in self.parts(path).values() for placed in part]
        drawn = {name: self.drawn(self.kept(placed)) for name, placed in parts.items()}
        train = drawn["train"]
        valid_share = Fraction(0) if drawn["valid"] else self.shares[0]
        test_share = Fraction(0) if drawn["test"] else self.shares[1]
        middle = int(len(train) * (1 - valid_share - test_share))
        end = int(len(train) * (1 - test_share))
        found = {
            "train": train[:middle],
            "valid": drawn["valid"] or train[middle:end],
            "test": drawn["test"] or train[end:],
        }
        for name, wanted in (("train", True), ("valid", valid_share), ("test", test_share)):
            if wanted and not found[name]:
                raise DataError(
                    f"there are too few records to split ({len(train)}): none would be left for {name}",
                    hint="give more records, or set data.valid and data.test to other shares (0: none)",
                )
        files = tuple(path for path in self.paths.values() if path)
        return Splits(**found, files=files, notes=tuple(self.notes))

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Nothing comes from standard input."""
        return ""

    def parts(self, path: str) -> dict[str, list[Placed]]:
        """The records of a path with their places, by the part of the data that they say they are."""
        place = os.path.expanduser(path)
        if not os.path.isdir(place):
            return {"train": self.table(path)}
        named = {
            SPLITS[file.name.partition(".")[0]]: str(file)
            for file in sorted(Path(place).iterdir())
            if file.name.partition(".")[0] in SPLITS and Path(file.name.removesuffix(".gz")).suffix in ENDINGS
        }
        if "train" not in named:
            raise DataError(f"there is no train.csv or the like in the folder {path}", hint="name the file itself")
        return {part: self.table(name) for part, name in named.items()}

    def table(self, path: str) -> list[Placed]:
        """The records of one file, or of all that a pattern means."""
        place = os.path.expanduser(path)
        found: list[Placed] = []
        for name in [place] if os.path.exists(place) else matches(place):
            records, note = read_table(name, self.format, self.encoding)
            self.notes += [note] if note else []
            found += records
        return found

    def kept(self, records: list[Placed]) -> list[Record]:
        """What is wanted of the records; how many have nothing of it is said."""
        taken = [(place, self.taken(place, record)) for place, record in records]
        if left_out := [place for place, record in taken if record is None]:
            self.notes.append(f"left out because it is empty: {left_out[0]}, and {len(left_out) - 1} more records")
        found = [record for _, record in taken if record is not None]
        if not self.distinct:
            return found
        return list({json.dumps(record, sort_keys=True, default=plain): record for record in found}.values())

    def taken(self, place: str, record: Record) -> Record | None:
        """What is wanted of a record; None leaves it out. Errors: DataError where it lacks something."""
        return record

    def drawn(self, records: list[Record]) -> list[Record]:
        """The records in their one shuffled order, and no more of them than the limit."""
        order = torch.randperm(len(records), generator=torch.Generator().manual_seed(SHUFFLE))
        return [records[index] for index in order[: self.limit or None].tolist()]
