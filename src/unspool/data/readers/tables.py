"""Files of records: csv, tsv, json, jsonl, parquet, each with .gz too; every error says file and line."""

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, BeforeValidator

from unspool.data.readers.conll import sentences
from unspool.data.readers.decoding import decode
from unspool.data.readers.dialect import DELIMITERS, Dialect, Header, Quoting, detect
from unspool.data.readers.skipped import Skipped
from unspool.data.readers.text import read_bytes
from unspool.errors import DataError

Record = dict[str, Any]
"""One example: its columns by name."""
Placed = tuple[str, Record]
"""A record, and where it stands, in words for an error."""
Item = Placed | DataError
"""A record, or why it cannot be read: it is left out and counted."""

READERS: dict[str, "ReadTable"] = {}
"""Formats that are text."""
ENDINGS: dict[str, str] = {".parquet": "parquet"}
"""What the ending of a file's name says of its format."""


def known_format(name: str) -> str:
    """The name of a format, or "auto". Raises: ValueError for one that nobody registered."""
    known = sorted(["auto", "parquet", *READERS])
    if name not in known:
        raise ValueError(f"should be one of {', '.join(known)}")
    return name


def known_delimiter(text: str) -> str:
    """A delimiter. Raises: ValueError for more than one character that is no name of one."""
    names = ["auto", *DELIMITERS.values(), "\\t"]
    if len(text) != 1 and text not in names:
        raise ValueError(f"should be one character, or one of {', '.join(names[:-1])}")
    return text


def separated(names: Any) -> Any:
    """Names that are written with commas between them, as a command line has them; others as they are.

    >>> separated("text, label")
    ['text', 'label']
    """
    return [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else names


Names = Annotated[tuple[str, ...], BeforeValidator(separated)]
"""Names of columns: a list, or a text with commas between them."""
FormatName = Annotated[str, AfterValidator(known_format)]
"""A format of `table_format`, or "auto": by the ending of the file."""


@dataclass(kw_only=True)
class TableFormat:
    """Options of [data]: how a table is read.

    Args:
        format: found by the ending where it is "auto"; "label-text" are lines of a label and a text, "conll" lines of a
            word and its label.
        encoding: of its text; guessed where it is "auto".
        delimiter: of a .csv or .tsv: a character, or comma, semicolon, tab or pipe; detected where it is "auto".
        quoting: whether fields of a .csv or .tsv may stand in quotes ("double"), or quotes are text ("none"); detected
            where it is "auto".
        header: whether the first line of a .csv or .tsv names the columns; "auto": it does, unless `columns` are named
            or it is nothing but numbers.
        columns: the names of the columns of a .csv or .tsv without a header, or of a .conll.

    >>> TableFormat().format
    'auto'
    """

    format: FormatName = "auto"
    encoding: str = "auto"
    delimiter: Annotated[str, AfterValidator(known_delimiter)] = "auto"
    quoting: Quoting = "auto"
    header: Header = "auto"
    columns: Names = ()


T = TypeVar("T", bound=Callable[..., Iterator[Item]])
ReadTable = Callable[[str, str, TableFormat], Iterator[Item]]
"""The text of a file, its name, and how it is read, give its records."""


def table_format(name: str, *endings: str, options: bool = False) -> Callable[[T], T]:
    """A decorator that makes a function the reader of a format, for data.format=NAME and for files with these endings.

    A reader is one function in one file; a plug-in may bring one. It yields a place (in words, for errors) and a record
    for each example, or a DataError for one that cannot be read, which is left out and counted.

    Args:
        name: of the format.
        *endings: of files that have it.
        options: whether the function takes the `TableFormat` as its third argument.

    >>> @table_format("words", ".words")
    ... def words(text, name):
    ...     for number, word in enumerate(text.split(), start=1):
    ...         yield f"{name}, word {number}", {"text": word}
    >>> READERS.pop("words") is not words, ENDINGS.pop(".words")
    (True, 'words')
    """

    def add(function: T) -> T:
        READERS[name] = function if options else lambda text, place, _: function(text, place)
        ENDINGS.update(dict.fromkeys(endings, name))
        return function

    return add


class Table(NamedTuple):
    """What was read of a file.

    Args:
        records: with their places.
        notes: what the user should know of its encoding, and of what was left out.
        summary: rows, columns and dialect.
    """

    records: list[Placed]
    notes: tuple[str, ...] = ()
    summary: str = ""


csv.field_size_limit(2**31 - 1)
UNPACKED, RATIO = 2**24, 50
"""A .gz file may unpack to 16 MB, or to 50 times its size."""


def read_table(path: str, options: TableFormat | None = None) -> Table:
    r"""The records of one file with their places.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = f"{folder}/a.csv"
    ...     _ = pathlib.Path(name).write_text("text,label\nto be,good\n")
    ...     table = read_table(name)
    >>> table.records[0][1], table.summary
    ({'text': 'to be', 'label': 'good'}, '1 row, columns text, label, delimiter comma')
    """
    options = options or TableFormat()
    plain = PurePath(path.removesuffix(".gz"))
    kind = ENDINGS.get(plain.suffix.lower(), "auto") if options.format == "auto" else options.format
    if kind == "auto":
        raise DataError(
            f"the ending of {path} says nothing of its format",
            hint=f"set data.format to one of {', '.join(sorted(['parquet', *READERS]))}",
        )
    data = read_bytes(path)
    if path.endswith(".gz"):
        data = unpacked(data, path)
    dialect, note = "", ""
    if kind == "parquet":
        items = list[Item](parquet(data, path))
    else:
        text, note = decode(data, path, options.encoding)
        if kind in USUAL:  # detected once: the reader gets it as options
            found = table_dialect(text, kind, options)
            quoting: Quoting = "double" if found.quoting else "none"
            options = replace(options, delimiter=found.delimiter, quoting=quoting, header=found.header)
            dialect = f", {found}"
        items = list(READERS[kind](text, path, options))
    skipped = Skipped()
    records = [item for item in items if not (isinstance(item, DataError) and skipped.add(item))]
    if not items:
        raise DataError(f"{path} is empty: there is no record in it", hint="give a file with at least one record")
    notes = tuple(filter(None, [note, skipped.summary(len(items), "rows")]))
    return Table(records, notes, f"{counted(records)}{dialect}")  # type: ignore[arg-type]


def counted(records: list[Placed]) -> str:
    """How many rows there are, and their columns.

    >>> counted([("a.csv, line 2", {"text": "a", "label": "b"})])
    '1 row, columns text, label'
    """
    names = list(records[0][1])
    named = ", ".join(names[:8]) + (f", ... ({len(names):,} in all)" if len(names) > 8 else "")
    return f"{len(records):,} row{'s' * (len(records) > 1)}, column{'s' * (len(names) > 1)} {named}"


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


USUAL = {"csv": ",", "tsv": "\t"}
"""The delimiter of a format, where a file could have several."""


def table_dialect(text: str, kind: str, options: TableFormat) -> Dialect:
    """How a table is written: detected, but for what the options say."""
    header = False if options.columns and options.header == "auto" else options.header
    return detect(text, USUAL[kind], options.delimiter, options.quoting, header)


def delimited(text: str, name: str, dialect: Dialect, columns: Sequence[str] = ()) -> Iterator[Item]:
    """Records of a table: a DataError for a row that has not as many fields as there are columns.

    Columns without a name at the end, as trailing delimiters make them, are dropped where they are empty.
    """
    names = list(columns)
    try:
        for line, fields in dialect.rows(text):
            if not names or (dialect.header and line == dialect.skipped + 1):
                names = names or header_names(fields, dialect.header, f"{name}, line {line}")
                if dialect.header:
                    dialect = dialect._replace(header=False)
                    continue
            row = fields[: len(names)]
            if len(fields) < len(names) or any(fields[len(names) :]):
                yield DataError(
                    f"{name}, line {line}: {len(fields)} fields, and the first line names {len(names)} columns",
                    hint='put fields with a delimiter in them in "quotes", or set data.delimiter and data.quoting',
                )
            else:
                yield f"{name}, line {line}", dict(zip(names, row, strict=True))
    except csv.Error as error:
        raise DataError(
            f"{name}, line {line_of_quote(text, dialect)}: {error}",
            hint='a quote inside a quoted field is written twice: ""; where quotes are text set data.quoting=none',
        ) from None


def header_names(fields: list[str], header: bool, place: str) -> list[str]:
    """The names of the columns: their numbers where there is no header or no name in it."""
    last = max((n for n, field in enumerate(fields, start=1) if field.strip()), default=0)
    stripped = [field.strip() if header else "" for field in fields[: last if header else None]]
    names = [name or str(number) for number, name in enumerate(stripped, start=1)]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise DataError(f"{place}: the column {twice[0]!r} is there twice", hint="rename one")
    return names


def line_of_quote(text: str, dialect: Dialect) -> int:
    """The line at which reading in quotes fails."""
    before = dialect.skipped
    with suppress(csv.Error):
        for line, fields in dialect.rows(text):
            before = line + sum(field.count("\n") for field in fields)
    return before + 1


@table_format("csv", ".csv", options=True)
def comma_separated(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """Records of a .csv file."""
    return delimited(text, name, table_dialect(text, "csv", options), options.columns)


@table_format("tsv", ".tsv", options=True)
def tab_separated(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """Records of a .tsv file."""
    return delimited(text, name, table_dialect(text, "tsv", options), options.columns)


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
def json_lines(text: str, name: str) -> Iterator[Item]:
    """One JSON object a line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{name}, line {number}"
            try:
                yield place, an_object(parsed(line, name, number), place)
            except DataError as error:
                yield error


@table_format("json", ".json")
def json_list(text: str, name: str) -> Iterator[Item]:
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
        try:
            yield place, an_object(item, place)
        except DataError as error:
            yield error


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
def label_text(text: str, name: str) -> Iterator[Item]:
    """Lines of a label, white space and a text, as the Stanford sentiment files have them."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            label, _, rest = line.strip().partition("\t" if "\t" in line else " ")
            yield f"{name}, line {number}", {"label": label, "text": rest.strip()}


@table_format("conll", ".conll", ".conllu", options=True)
def conll(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """Sentences of a word a line, its label in the last column, with an empty line between sentences."""
    for item in sentences(text, name, options.columns):
        yield item if isinstance(item, DataError) else (item[0], dict(item[1]))


def parquet(data: bytes, name: str) -> Iterator[Placed]:
    """Rows of a parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet as reader
    except ImportError:
        raise DataError(f"reading {name} needs pyarrow", hint="pip install pyarrow") from None
    try:
        table = reader.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{name} is not a whole parquet file: {reason}", hint="copy or download it again") from None
    for number, record in enumerate(table.to_pylist(), start=1):
        yield f"{name}, row {number}", record
