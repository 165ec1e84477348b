"""Files of records: csv, tsv, json, jsonl, parquet, each with .gz too; every error says file and line."""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator

from unspool.data.readers.decoding import decode
from unspool.data.readers.text import read_bytes
from unspool.errors import DataError

Record = dict[str, Any]
"""One example: its columns by name."""
Placed = tuple[str, Record]
"""A record, and where it stands, in words for an error."""

ReadTable = Callable[[str, str], Iterator[Placed]]
"""The text of a file and its name give its records."""
READERS: dict[str, ReadTable] = {}
"""Formats that are text."""
ENDINGS: dict[str, str] = {".parquet": "parquet"}
"""What the ending of a file's name says of its format."""


def known_format(name: str) -> str:
    """The name of a format, or "auto". Raises: ValueError for one that nobody registered."""
    known = sorted(["auto", "parquet", *READERS])
    if name not in known:
        raise ValueError(f"should be one of {', '.join(known)}")
    return name


FormatName = Annotated[str, AfterValidator(known_format)]
"""A format of `table_format`, or "auto": by the ending of the file."""


def table_format(name: str, *endings: str) -> Callable[[ReadTable], ReadTable]:
    """A decorator that makes a function the reader of a format, for data.format=NAME and for files with these endings.

    A reader is one function in one file; a plug-in may bring one. It yields a place (in words, for errors) and a record
    for each example.

    >>> @table_format("words", ".words")
    ... def words(text, name):
    ...     for number, word in enumerate(text.split(), start=1):
    ...         yield f"{name}, word {number}", {"text": word}
    >>> READERS.pop("words") is words, ENDINGS.pop(".words")
    (True, 'words')
    """

    def add(function: ReadTable) -> ReadTable:
        READERS[name] = function
        ENDINGS.update(dict.fromkeys(endings, name))
        return function

    return add


csv.field_size_limit(2**31 - 1)
UNPACKED, RATIO = 2**24, 50
"""A .gz file may unpack to 16 MB, or to 50 times its size."""


def read_table(path: str, format: FormatName = "auto", encoding: str = "auto") -> tuple[list[Placed], str]:
    r"""The records of one file with their places, and a note for the user ("" when all is plain).

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = f"{folder}/a.csv"
    ...     _ = pathlib.Path(name).write_text("text,label\nto be,good\n")
    ...     records, note = read_table(name)
    >>> records[0][1]
    {'text': 'to be', 'label': 'good'}
    """
    plain = PurePath(path.removesuffix(".gz"))
    kind = ENDINGS.get(plain.suffix.lower(), "auto") if format == "auto" else format
    if kind == "auto":
        raise DataError(
            f"the ending of {path} says nothing of its format",
            hint=f"set data.format to one of {', '.join(sorted(['parquet', *READERS]))}",
        )
    data = read_bytes(path)
    if path.endswith(".gz"):
        data = unpacked(data, path)
    if kind == "parquet":
        return some(list(parquet(data, path)), path), ""
    text, note = decode(data, path, encoding)
    return some(list(READERS[kind](text, path)), path), note


def some(records: list[Placed], path: str) -> list[Placed]:
    """The records, if there are any."""
    if not records:
        raise DataError(f"{path} is empty: there is no record in it", hint="give a file with at least one record")
    return records


def unpacked(data: bytes, name: str) -> bytes:
    """What a .gz file holds. Raises: DataError where it is not whole, or unpacks to far more than a text does."""
    most = max(UNPACKED, RATIO * len(data))
    try:
        with gzip.open(io.BytesIO(data)) as file:
            found = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{name} is not a whole gzip file: {str(error).lower()}", hint="copy or download it again"
        ) from None
    if len(found) > most:
        raise DataError(
            f"{name} unpacks to more than {most // 10**6} MB, {RATIO} times its size: no text is packed so well",
            hint="unpack it yourself where you trust it",
        )
    return found


def delimited(text: str, name: str, delimiter: str) -> Iterator[Placed]:
    """Records of a table whose first line names the columns."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0  # the last line that is read; a quoted field may have lines of its own
    names: list[str] = []
    try:
        for row in rows:
            line, before = before + 1, rows.line_num
            if not row:
                continue
            if not names:
                names = [name.strip() for name in row]
                if twice := [name for name, number in Counter(names).items() if number > 1]:
                    raise DataError(f"{name}, line {line}: the column {twice[0]!r} is there twice", hint="rename one")
            elif len(row) != len(names):
                raise DataError(
                    f"{name}, line {line}: {len(row)} fields, and the first line names {len(names)} columns",
                    hint='put fields with a delimiter in them in "quotes"',
                )
            else:
                yield f"{name}, line {line}", dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{name}, line {before + 1}: {error}", hint='a quote inside a quoted field is written twice: ""'
        ) from None


@table_format("csv", ".csv")
def comma_separated(text: str, name: str) -> Iterator[Placed]:
    """Records of a .csv file."""
    return delimited(text, name, ",")


@table_format("tsv", ".tsv")
def tab_separated(text: str, name: str) -> Iterator[Placed]:
    """Records of a .tsv file."""
    return delimited(text, name, "\t")


def written_csv(rows: Iterable[Record]) -> Iterator[str]:
    """Records of the same columns as the lines of a csv file.

    >>> list(written_csv([{"name": "a, b", "size": 1}]))
    ['name,size', '"a, b",1']
    """
    for number, row in enumerate(rows):
        for entries in (row, row.values()) if not number else (row.values(),):
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(entries)
            yield line.getvalue()


@table_format("jsonl", ".jsonl", ".ndjson")
def json_lines(text: str, name: str) -> Iterator[Placed]:
    """One JSON object a line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{name}, line {number}"
            yield place, an_object(parsed(line, name, number), place)


@table_format("json", ".json")
def json_list(text: str, name: str) -> Iterator[Placed]:
    """One JSON list of objects."""
    if not text.strip():
        return
    items = parsed(text, name)
    if not isinstance(items, list):
        raise DataError(
            f"{name} holds no list of records", hint='write [{"text": ...}, ...], or one object a line in a .jsonl'
        )
    for number, item in enumerate(items, start=1):
        place = f"{name}, record {number}"
        yield place, an_object(item, place)


def parsed(text: str, name: str, line: int = 1) -> Any:
    """What a JSON text says that begins on that line of a file."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place, reason = f"{name}, line {line + error.lineno - 1}", error.msg[0].lower() + error.msg[1:]
        raise DataError(
            f"{place}: this is not JSON: {reason}",
            hint="strings and keys need double quotes, and nothing may follow the last item",
        ) from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{name}, line {line}: {error}", hint="a record is one flat object") from None


def an_object(item: Any, place: str) -> Record:
    """A JSON value, if it is an object."""
    if not isinstance(item, dict):
        raise DataError(f"{place}: a record should be an object", hint='write it as {"text": ..., "label": ...}')
    return item


@table_format("label-text")
def label_text(text: str, name: str) -> Iterator[Placed]:
    """Lines of a label, white space and a text, as the Stanford sentiment files have them."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            label, _, rest = line.strip().partition("\t" if "\t" in line else " ")
            yield f"{name}, line {number}", {"label": label, "text": rest.strip()}


@table_format("conll", ".conll")
def conll(text: str, name: str) -> Iterator[Placed]:
    """Sentences of a word a line, its label in the last column, with an empty line between sentences."""
    words: list[list[str]] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        columns = line.split()
        if len(columns) == 1:
            raise DataError(f"{name}, line {number}: there is no label", hint="write a word, a space and its label")
        if columns:
            words.append(columns)
        elif words:
            place = f"{name}, line {number - len(words)}"
            yield place, {"text": " ".join(w[0] for w in words), "label": " ".join(w[-1] for w in words)}
            words = []


def parquet(data: bytes, name: str) -> Iterator[Placed]:
    """Rows of a parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet as reader
    except ImportError:
        raise DataError(f"reading {name} needs pyarrow", hint="pip install 'pyarrow>=15'") from None
    try:
        table = reader.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} is not a whole parquet file: {reason}", hint="copy or download it again") from None
    for number, record in enumerate(table.to_pylist(), start=1):
        yield f"{name}, row {number}", record
