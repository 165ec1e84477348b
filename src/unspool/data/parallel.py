"""The recipe's [data] section for translation: the same sentences in two languages, in two files or two columns."""

import glob
import gzip
import os
import zlib
from dataclasses import dataclass, field
from pathlib import PurePath

from unspool.data.labelled import cell_text, picked
from unspool.data.readers.tables import ENDINGS, Record, TableFormat
from unspool.data.readers.text import read_bytes
from unspool.data.records import check_paths, gather, given_files, read_splits, shuffled, split, split_tables
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.errors import ConfigError, DataError
from unspool.schema import Share

NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test", "test*")}
"""How the files of each part are called, before the ending that names the language."""


@dataclass
class Parallel(SplitOptions, TableFormat, SplitPaths):
    """Two files for each part, one sentence a line, named by their language: train.de and train.en, plain or .gz.

    Or a table with two columns, whose names are `source` and `target`: a .tsv, say, as `path`. `valid` and `test` are
    shares of the training pairs, drawn once and for all, where there are no files for them.

    `path` is their folder; besides train there may be valid (or val, or dev) and test (or the first of test*). Or name
    them one by one, without the language: `train_path=corpus/train`. `limit` keeps the first pairs of each split (0:
    all). The files are read as UTF-8; what is not, a line that is empty, or has no partner, is an error. A record has
    the raw lines as its `source` and `target`.

    Args:
        path: the folder of the files, or a table.
        source: the language that is read, or its column.
        target: the language that is written, or its column.
        valid: the share for validation, where it has no files of its own.
        test: the share for the test, likewise.
        limit: only the first so many pairs of each split are kept (0: all).
    """

    path: str = ""
    source: str = field(default="de", kw_only=True)
    target: str = field(default="en", kw_only=True)
    valid: Share = field(default=0.0, kw_only=True)
    test: Share = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        if not (self.path or self.train_path):
            raise ConfigError("no sentences are given", hint="set data.path=FILE.tsv or FOLDER")
        if self.source == self.target:
            raise ConfigError(
                f"data.source and data.target are both {self.source!r}", hint="data.source=de data.target=en"
            )
        super().__post_init__()
        self.paths = {"train": self.train_path, "valid": self.valid_path, "test": self.test_path}

    def read(self) -> Splits[list[Record]]:
        """Read all parts. Raises: DataError that says file and line."""
        if self.format != "auto" or is_table(self.path or self.train_path):
            return self.table()
        found = {part: self.files(part) for part in NAMES}
        train, valid, test = (self.pairs(*files) if files else [] for files in found.values())
        if (self.valid and not valid) or (self.test and not test):
            train, valid, test = self.held_out(train, valid, test)
        return Splits(train, valid, test, tuple(file for files in found.values() for file in files))

    def table(self) -> Splits[list[Record]]:
        """Read the pairs of a table, or of a folder with train.csv."""
        check_paths(self.path, self)
        notes: list[str] = []
        found = gather(self.path, self, lambda path: read_splits(path, self, notes))
        return split(found, self, notes, given_files(self.path, self), self.taken)

    def taken(self, place: str, record: Record) -> Record | None:
        """Both sides of a row as text; none where both are empty."""
        found = {
            key: cell_text(picked(record, place, column, key), place, column).strip()
            for key, column in (("source", self.source), ("target", self.target))
        }
        if any(found.values()) and not all(found.values()):
            missing = next(key for key, text in found.items() if not text)
            raise DataError(f"{place}: there is no {missing}", hint="fill it, or leave the row out")
        return found if all(found.values()) else None

    def held_out(self, train: list[Record], valid: list[Record], test: list[Record]) -> tuple[list[Record], ...]:
        """The three parts, with shares of the training pairs for those that have no files."""
        drawn = shuffled(train)
        for_valid = 0 if valid else max(1, int(len(train) * self.shares[0])) if self.valid else 0
        for_test = 0 if test else max(1, int(len(train) * self.shares[1])) if self.test else 0
        if for_valid + for_test >= len(train):
            raise DataError(
                f"there are too few sentences to split ({len(train)})",
                hint="give more, or set data.valid and data.test to other shares (0: none)",
            )
        rest = drawn[for_valid + for_test :]
        return rest, valid or drawn[:for_valid], test or drawn[for_valid : for_valid + for_test]

    def from_stdin(self, splits: Splits[list[Record]]) -> str:
        """Nothing came from standard input: there are always two files."""
        return ""

    def files(self, part: str) -> tuple[str, ...]:
        """The two files of a part; none where it has none, but training must have some."""
        named = os.path.expanduser(self.paths[part])
        folder = os.path.expanduser(self.path)
        stems = [named] if named else [os.path.join(folder, name) for name in NAMES[part]] if self.path else []
        for stem in stems:
            for file in matching(f"{stem}.{self.source}"):
                ending = f".{self.source}.gz" if file.endswith(".gz") else f".{self.source}"
                other = matching(f"{file.removesuffix(ending)}.{self.target}")
                if not other:
                    raise DataError(
                        f"{file} has no partner in {self.target!r}",
                        hint=f"its name should end in .{self.target}",
                    )
                return file, other[0]
        if named or part == "train":
            where = named or os.path.join(self.path, "train")
            raise DataError(
                f"there is no file {where}.{self.source}",
                hint="the endings name the languages: data.source=de data.target=en, each plain or .gz",
            )
        return ()

    def pairs(self, file: str, other: str) -> list[Record]:
        """The sentences of two files side by side."""
        ours, theirs = read_lines(file), read_lines(other)
        if len(ours) != len(theirs):
            shorter, least = (file, len(ours)) if len(ours) < len(theirs) else (other, len(theirs))
            raise DataError(
                f"{shorter} ends after line {least:,}, and its partner has {max(len(ours), len(theirs)):,} lines",
                hint="line N of one file should be line N of the other in its language",
            )
        pairs = [{"source": one, "target": other} for one, other in zip(ours, theirs, strict=True)]
        return pairs[: self.limit or None]


def is_table(path: str) -> bool:
    """Whether a path is a table of pairs, or a folder with a table of the training pairs.

    >>> is_table("pairs.tsv.gz"), is_table("corpus/train")
    (True, False)
    """
    return PurePath(path.removesuffix(".gz")).suffix.lower() in ENDINGS or "train" in split_tables(path)


def matching(name: str) -> list[str]:
    """The file of that name or pattern, plain or .gz; the plain ones first."""
    here = [file for file in (name, f"{name}.gz") if os.path.isfile(file)]
    return here or [file for ending in ("", ".gz") for file in sorted(glob.glob(name + ending)) if os.path.isfile(file)]


def read_lines(file: str) -> list[str]:
    """The lines of a file, plain or .gz, without white space around them."""
    data = read_bytes(file)
    data = gunzipped(data, file) if file.endswith(".gz") else data
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}, line {line_after(data[: error.start]):,}: byte {data[error.start]:#04x} is not UTF-8",
            hint="save the file as UTF-8",
        ) from None
    found = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if "" in found:
        what = f"line {found.index('') + 1:,} is empty" if any(found) else "it is empty"
        raise DataError(f"{file}: {what}", hint="give each line its sentence, or take the line out of both files")
    return found


def gunzipped(data: bytes, file: str) -> bytes:
    """What a .gz file holds."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        good = zlib.decompressobj(wbits=31)
        whole = b""
        for place in range(0, len(data), 1024):
            try:
                whole += good.decompress(data[place : place + 1024])
            except zlib.error:
                break
        raise DataError(
            f"{file} is no whole gzip file, line {line_after(whole):,} cannot be read: {str(error).lower()}",
            hint="copy it again",
        ) from None


def line_after(data: bytes) -> int:
    """The number of the line that comes after these bytes."""
    return data.count(b"\n") + 1
