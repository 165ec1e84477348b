"""Rows of a table one by one, in constant memory: what `unspool predict` reads, with the readers of training."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from unspool.data.predictions import Failure
from unspool.data.readers.decoding import Encoding, guessed, plain, strict
from unspool.data.readers.dialect import complete_rows, detect
from unspool.data.readers.lines import Item
from unspool.data.readers.tables import ENDINGS, USUAL, TableFormat, line_records, parquet, read_items
from unspool.data.readers.text import unreadable
from unspool.errors import ConfigError, DataError
from unspool.schema import validated

PEEKED, CHUNK = 2**20, 2**13
"""So many bytes tell how a file is written; they are read in chunks, so that little of a damaged file is lost."""
PEEKED_INPUT = 2**16
"""The same of standard input, whose other end may be slow."""
BY_LINE = (*USUAL, "jsonl", "conll")

TableRow = dict[str, Any] | Failure
"""A row by its columns, or why it cannot be read."""


class RowFailure(Failure):
    """A row that cannot be used, with what could be read of it."""

    def __init__(self, error: str, row: Mapping[str, Any]) -> None:
        super().__init__(error)
        object.__setattr__(self, "row", dict(row))


def stream_rows(
    path: str, field: str, options: TableFormat | None = None, wanted: Sequence[str] = ()
) -> Iterator[TableRow]:
    """The rows of a file, in their order, as training reads them: with the same dialect, encoding and columns.

    The dialect of a file is detected from its first megabyte. Lines of standard input are texts, unless they begin
    with a header that names the wanted columns and others, or with a JSON object that has them.

    Args:
        path: a file in any format that training reads, or a .txt file of lines, plain or .gz; "-" for standard input.
            A .json file and a format of a plug-in are read as a whole, everything else as it is needed.
        field: the column that lines of text become, and the sentences of a .conll file that has no such column.
        options: how a table is read.
        wanted: the columns that are needed.

    Returns:
        A row for each record; a `Failure` for one that cannot be read, in its place.

    Raises:
        DataError: for a file that is missing, empty, or not text.
        ConfigError: for an ending that says nothing of its format.
    """
    options = options or TableFormat()
    kind = stream_format(path, options)
    began = False
    try:
        for item in items_of(path, kind, field, options, wanted):
            began = True
            if not isinstance(item, DataError):
                row = item[1]
                yield row if field in row or kind != "conll" else {field: row.pop("text"), **row}
            else:
                yield RowFailure(f"{item}", getattr(item, "record", {}))
    except (EOFError, OSError, zlib.error) as error:  # a .gz file that is damaged or cut off
        yield Failure(f"{path} cannot be read any further: {str(error).lower()}")
    except DataError as error:
        if not began:
            raise
        yield Failure(f"{path} cannot be read any further: {error}")


def stream_format(path: str, options: TableFormat) -> str:
    """The format of a file, "txt" for lines of text. Raises: ConfigError for an ending that says nothing of it."""
    ending = ending_of(path)
    if path == "-" or options.format in BY_LINE:
        return "txt" if path == "-" else options.format
    if ending == ".txt":
        return "txt"
    if ending not in ENDINGS and options.format == "auto":
        known = ", ".join(sorted({".txt", *ENDINGS}))
        raise ConfigError(f"the ending of {path} says nothing of its format", hint=f"use one of {known}")
    return ENDINGS[ending] if options.format == "auto" else options.format


def ending_of(path: str) -> str:
    """The ending of a file's name without .gz, in small letters."""
    return Path(path.removesuffix(".gz")).suffix.lower()


def options_for(path: str, data: Mapping[str, Any]) -> TableFormat:
    """How training read its tables, where a file has the ending of the training file; else everything is detected.

    Args:
        path: the file that is to be read.
        data: the [data] section of the recipe.

    >>> options_for("new.csv", {"path": "old.csv", "delimiter": ":"}).delimiter
    ':'
    """
    trained = ending_of(str(data.get("path") or data.get("train_path") or ""))
    if path == "-" or (trained and trained != ending_of(path)):
        return TableFormat()
    given = {one.name: data[one.name] for one in fields(TableFormat) if one.name in data}
    return TableFormat(**validated(TableFormat, given, "data", "the data"))


def items_of(path: str, kind: str, field: str, options: TableFormat, wanted: Sequence[str]) -> Iterator[Item]:
    """The items of a file, read as they are needed where its format allows that."""
    if kind == "parquet" and not path.endswith(".gz"):
        with opened(path):  # says what is wrong with the path
            pass
        yield from parquet(path, path)
        return
    if kind not in (*BY_LINE, "txt"):
        with opened(path):
            pass
        yield from read_items(path, replace(options, format=kind))[0]
        return
    name = "standard input" if path == "-" else path
    with opened(path) as file:
        peeked = Peeked(file, PEEKED_INPUT if path == "-" else PEEKED)
        encoding = encoding_of(peeked, name, options.encoding)
        beginning = plain(encoding.text(peeked.beginning, peeked.whole))
        beginning = beginning if peeked.whole else complete_rows(beginning)
        kind = kind if path != "-" else input_format(beginning, wanted)
        with io.TextIOWrapper(io.BufferedReader(peeked), encoding.codec, encoding.errors) as lines:
            options = settled(options, beginning, kind, wanted, peeked.whole)
            yield from text_items(lines, kind, beginning, name, field, options)


def text_items(
    lines: Iterator[str], kind: str, beginning: str, name: str, field: str, options: TableFormat
) -> Iterator[Item]:
    """The items of some lines of text. Raises: DataError where there is none, unless they are standard input."""
    first = next(lines, None)
    if first is None:
        if name == "standard input":
            return
        raise DataError(f"{name} is empty", hint="give a file with at least one row")
    every = chain([first.removeprefix("\ufeff")], lines)
    if kind == "txt":
        yield from ((f"{name}, line {n}", {field: line.rstrip("\n")}) for n, line in enumerate(every, start=1))
    else:
        yield from line_records(kind, every, beginning, name, options, labelled=False)


def opened(path: str) -> AbstractContextManager[Any]:
    """The bytes of a file, unpacked, or of standard input, which stays open. Raises: DataError where it is missing."""
    if path == "-":  # in tests a text stands in for it
        return nullcontext(getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode()))
    try:
        return gzip.open(path, "rb") if path.endswith(".gz") else Path(path).open("rb")
    except OSError as error:
        raise unreadable(path, error) from None


class Peeked(io.RawIOBase):
    """A file whose beginning is read at once: `beginning`; whoever reads it gets all of it nevertheless.

    Args:
        file: bytes, with `read1`; it is not closed.
        size: of the beginning, in bytes.

    >>> file = Peeked(io.BytesIO(b"to be or not"), 5)
    >>> file.beginning, file.whole, file.read()
    (b'to be', False, b'to be or not')
    """

    def __init__(self, file: Any, size: int) -> None:
        self.file = file
        self.error: Exception | None = None
        found: list[bytes] = []
        self.whole = False
        try:
            while size > 0 and not self.whole:
                found.append(self.file.read1(min(size, CHUNK)))
                size -= len(found[-1])
                self.whole = not found[-1]
        except (EOFError, OSError, zlib.error) as error:
            self.error = error
        self.beginning = b"".join(found)
        self.again = io.BytesIO(self.beginning)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes. Raises: the error that ended the beginning, behind it."""
        data = self.again.read(len(buffer))
        if not data:
            if self.error:
                raise self.error
            data = self.file.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def encoding_of(peeked: Peeked, name: str, given: str) -> Encoding:
    """The encoding of a file; what is not in it behind the beginning becomes U+FFFD. Raises: DataError for no text."""
    if given == "auto":
        found = guessed(peeked.beginning, name, peeked.whole)
    else:
        strict(b" ", name, given)  # refuses a name that no encoding has
        found = Encoding(given)
    return found._replace(errors="replace") if found.errors == "strict" else found


def input_format(beginning: str, wanted: Sequence[str]) -> str:
    """The format of standard input: "csv" or "jsonl" where it begins as a table with the wanted columns, else "txt".

    >>> input_format("id;text\\n1;to be\\n", ["text"]), input_format('{"text": "a"}\\n', ["text"])
    ('csv', 'jsonl')
    >>> input_format("text\\nto be\\n", ["text"]), input_format("the text, then\\n", ["text"])
    ('txt', 'txt')
    """
    try:
        record = json.loads(beginning.lstrip().partition("\n")[0])
    except (ValueError, RecursionError):
        record = None
    if isinstance(record, dict) and wanted and set(wanted) <= {*record}:
        return "jsonl"
    header = first_fields(beginning, TableFormat())
    return "csv" if wanted and len(header) > 1 and set(wanted) <= {*header} else "txt"


def first_fields(beginning: str, options: TableFormat, usual: str = ",") -> list[str]:
    """The fields of the first row of a table."""
    found = detect(beginning, usual, options.delimiter, options.quoting, header=True)
    fields = next(found.parse(beginning, strict=False), (1, []))[1]
    return [] if isinstance(fields, csv.Error) else [field.strip() for field in fields]


def settled(options: TableFormat, beginning: str, kind: str, wanted: Sequence[str], whole: bool) -> TableFormat:
    """The options for a file of which the beginning is known.

    Names of columns are those of the header where it has a wanted one, though training had no header. A quote that
    comes after the beginning of a table with tabs is text: as the beginning of a field it could swallow all rows.
    """
    if kind == "conll" and options.columns and all(len(line.split()) < 2 for line in beginning.split("\n")):
        return replace(options, columns=())  # words alone
    if kind not in USUAL:
        return options
    if options.columns and options.header == "auto" and {*wanted} & {*first_fields(beginning, options, USUAL[kind])}:
        options = replace(options, columns=(), header=True)
    if not whole and options.quoting == "auto" and '"' not in beginning:
        found = detect(beginning, USUAL[kind], options.delimiter, header=True)
        options = replace(options, quoting="none" if found.delimiter == "\t" else "double")
    return options


def first_rows(rows: Iterator[TableRow], number: int) -> tuple[list[TableRow], Iterator[TableRow]]:
    """The first rows, and all rows again.

    >>> first_rows(iter([{"a": 1}, {"a": 2}]), 1)[0]
    [{'a': 1}]
    """
    first = list(islice(rows, number))
    return first, chain(first, rows)
