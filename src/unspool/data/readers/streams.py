"""Rows of a table one by one, in constant memory: what `unspool predict` reads."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from unspool.data.predictions import Failure
from unspool.data.readers.decoding import decode
from unspool.data.readers.tables import ENDINGS, read_table
from unspool.errors import ConfigError, DataError

SNIFFED = 2**20
"""So much of a file says which encoding it has."""
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
    ".conll": "conll",
    ".parquet": "parquet",
}

TableRow = dict[str, Any] | Failure
"""A row by its columns, or why it cannot be read."""


def stream_rows(path: str, field: str) -> Iterator[TableRow]:
    """The rows of a file, in their order.

    Args:
        path: a .csv, .tsv, .jsonl, .txt, .conll or .parquet file, plain or .gz; "-" for the lines of standard input.
        field: the column that the lines of a .txt file and the sentences of a .conll file become.

    Returns:
        A row for each record; a `Failure` for a line that cannot be read, in its place.

    Raises:
        DataError: for a file that is missing, empty, or not text.
        ConfigError: for an ending that says nothing of its format.
    """
    if path == "-":
        yield from ({field: line.rstrip("\r\n")} for line in sys.stdin)
        return
    ending = Path(path.removesuffix(".gz")).suffix.lower()
    kind = FORMATS.get(ending)
    if kind is None and ending in ENDINGS:  # a format that is read as a whole
        yield from (record for _, record in read_table(path)[0])
        return
    if kind is None:
        known = ", ".join(sorted({*FORMATS, *ENDINGS}))
        raise ConfigError(f"the ending of {path} says nothing of its format", hint=f"use one of {known}")
    if kind == "parquet":
        yield from _parquet(path)
        return
    with _opened(path) as file:
        try:
            with _text(file, path) as lines:
                yield from _rows(lines, path, kind, field)
        except (EOFError, OSError, zlib.error) as error:  # a .gz file that is damaged or cut off
            yield Failure(f"{path} cannot be read any further: {str(error).lower()}")


def _rows(lines: Iterator[str], path: str, kind: str, field: str) -> Iterator[TableRow]:
    first = next(lines, None)
    if first is None:
        raise DataError(f"{path} is empty", hint="give a file with at least one row")
    every = chain([first], lines)
    if kind in ("csv", "tsv"):
        yield from _delimited(every, path, "," if kind == "csv" else "\t")
    elif kind == "jsonl":
        yield from _json_lines(every)
    elif kind == "conll":
        yield from ({field: sentence} for sentence in _sentences(every))
    else:
        yield from ({field: line.rstrip("\r\n")} for line in every)


def _opened(path: str) -> BufferedReader:
    try:
        return BufferedReader(cast("Any", gzip.open(path, "rb"))) if path.endswith(".gz") else Path(path).open("rb")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from None


def _text(file: BufferedReader, path: str) -> TextIOWrapper:
    """The lines of a file, in the encoding that its beginning has. Raises: DataError for what is no text."""
    beginning = file.peek(SNIFFED)[:SNIFFED]
    newline = beginning.rfind(b"\n")
    if beginning:
        decode(beginning[: newline + 1] if newline > 0 else beginning, path)  # refuses what is no text
    encoding = "utf-16" if beginning[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        beginning[: newline + 1].decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
    return TextIOWrapper(file, encoding=encoding, errors="replace", newline="")


def _delimited(lines: Iterable[str], path: str, delimiter: str) -> Iterator[TableRow]:
    reader = csv.reader(lines, delimiter=delimiter)
    header = next(reader, None) or []
    if not any(header):
        raise DataError(f"{path}: the first line names no columns", hint="write the names of the columns into it")
    while True:
        try:
            entries = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Failure(f"line {reader.line_num}: {error}")
            continue
        if not entries:
            continue
        row: dict[str, Any] = dict(zip(header, entries, strict=False))
        if len(entries) == len(header):
            yield row
        else:
            what = f"{len(entries)} fields, and the header has {len(header)}"
            yield RowFailure(f"line {reader.line_num} has {what}", row)


class RowFailure(Failure):
    """A row that cannot be used, with what could be read of it."""

    def __init__(self, error: str, row: dict[str, Any]) -> None:
        super().__init__(error)
        object.__setattr__(self, "row", row)


def _json_lines(lines: Iterable[str]) -> Iterator[TableRow]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield Failure(f"line {number} is not valid JSON")
            continue
        yield row if isinstance(row, dict) else Failure(f"line {number} holds no JSON object")


def _sentences(lines: Iterable[str]) -> Iterator[str]:
    """The words of each sentence with spaces between: the first column of lines that an empty line ends."""
    words: list[str] = []
    for line in chain(lines, [""]):
        if line.strip():
            words.append(line.split()[0])
        elif words:
            yield " ".join(words)
            words = []


def _parquet(path: str) -> Iterator[TableRow]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise DataError(f"reading {path} needs pyarrow", hint="pip install pyarrow") from None
    begun = False
    try:
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):  # one by one: what comes before a damaged one is whole
                for batch in file.iter_batches(4096, row_groups=[group]):
                    yield from batch.to_pylist()
                    begun = True
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        if not begun:
            raise DataError(f"{path} is not a parquet file: {reason}", hint="write it again") from None
        yield Failure(f"{path} cannot be read any further: {reason}")


def first_rows(rows: Iterator[TableRow], number: int) -> tuple[list[TableRow], Iterator[TableRow]]:
    """The first rows, and all rows again.

    >>> first_rows(iter([{"a": 1}, {"a": 2}]), 1)[0]
    [{'a': 1}]
    """
    first = list(islice(rows, number))
    return first, chain(first, rows)
