"""Files of records: csv, tsv, json, jsonl, parquet, each with .gz too; every error says file and line."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AfterValidator, BeforeValidator

from unspool.data.readers.conll import layout, sentences
from unspool.data.readers.decoding import decode
from unspool.data.readers.dialect import DELIMITERS, Dialect, Header, Quoting, detect
from unspool.data.readers.lines import Item, Placed, QuoteError, Record, an_object, delimited, json_lines, parsed
from unspool.data.readers.skipped import Skipped
from unspool.data.readers.text import read_bytes
from unspool.errors import DataError

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
    items, note, dialect = read_items(path, options or TableFormat())
    skipped = Skipped()
    records = [item for item in items if not (isinstance(item, DataError) and skipped.add(item))]
    if not items:
        raise DataError(f"{path} is empty: there is no record in it", hint="give a file with at least one record")
    notes = tuple(filter(None, [note, skipped.summary(len(items), "rows")]))
    return Table(records, notes, f"{counted(records)}{dialect}")  # type: ignore[arg-type]


def read_items(path: str, options: TableFormat) -> tuple[list[Item], str, str]:
    """The items of one file, a note on its encoding, and its dialect in words.

    Raises:
        DataError: for a file that is missing, damaged, no text, or of an unknown format.
    """
    plain = PurePath(path.removesuffix(".gz"))
    kind = ENDINGS.get(plain.suffix.lower(), "auto") if options.format == "auto" else options.format
    if kind == "auto":
        raise DataError(
            f"the ending of {path} says nothing of its format",
            hint=f"give a table, such as .csv, or set data.format to one of {', '.join(sorted(['parquet', *READERS]))}",
        )
    data = read_bytes(path)
    if path.endswith(".gz"):
        data = unpacked(data, path)
    if kind == "parquet":
        return list[Item](parquet(data, path)), "", ""
    text, note = decode(data, path, options.encoding)
    dialect = ""
    if kind in USUAL:  # detected once: the reader gets it as options
        found = table_dialect(text, kind, options)
        quoting: Quoting = "double" if found.quoting else "none"
        options = replace(options, delimiter=found.delimiter, quoting=quoting, header=found.header)
        dialect = f", {found}"
    return list(READERS[kind](text, path, options)), note, dialect


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


def line_records(
    kind: str, lines: Iterable[str], beginning: str, name: str, options: TableFormat, labelled: bool = True
) -> Iterator[Item]:
    """Records of a format that is read line by line: csv, tsv, jsonl or conll.

    Args:
        kind: the format.
        lines: with their ends; they are read as they are needed.
        beginning: whole rows of the same text, which tell how it is written.
        name: of the file, for places.
        options: how it is read.
        labelled: whether each word of a conll file must have a label.
    """
    if kind in USUAL:
        return delimited(lines, name, table_dialect(beginning, kind, options), options.columns)
    if kind == "conll":
        return sentences(lines, name, layout(beginning, options.columns), labelled)
    return json_lines(lines, name)


def closed(items: Iterable[Item]) -> Iterator[Item]:
    """The same items. Raises: DataError for quotes that do not close, as what follows may be part of that row."""
    for item in items:
        if isinstance(item, QuoteError):
            raise item
        yield item


@table_format("csv", ".csv", options=True)
def comma_separated(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """Records of a .csv file."""
    return closed(line_records("csv", io.StringIO(text), text, name, options))


@table_format("tsv", ".tsv", options=True)
def tab_separated(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """Records of a .tsv file."""
    return closed(line_records("tsv", io.StringIO(text), text, name, options))


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


@table_format("jsonl", ".jsonl", ".ndjson", options=True)
def json_objects(text: str, name: str, options: TableFormat) -> Iterator[Item]:
    """One JSON object a line."""
    return line_records("jsonl", io.StringIO(text), text, name, options)


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
    return line_records("conll", io.StringIO(text), text, name, options)


def parquet(source: str | bytes, name: str) -> Iterator[Placed]:
    """Rows of a parquet file, read as they are needed.

    Args:
        source: its path, or what is in it.
        name: for places and errors.

    Raises:
        DataError: where it is damaged; the rows before come first.
    """
    try:
        import pyarrow
        from pyarrow import parquet as reader
    except ImportError:
        raise DataError(f"reading {name} needs pyarrow", hint="pip install pyarrow") from None
    number = 0
    try:
        with reader.ParquetFile(pyarrow.BufferReader(source) if isinstance(source, bytes) else source) as file:
            for group in range(file.num_row_groups):  # one by one: what comes before a damaged one is whole
                for batch in file.iter_batches(4096, row_groups=[group]):
                    for record in batch.to_pylist():
                        number += 1
                        yield f"{name}, row {number}", record
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it ends too early"
        raise DataError(f"{name} is not a whole parquet file: {reason}", hint="copy or download it again") from None
