"""Records of text, line by line: the same readers serve training, which has all lines, and `unspool predict`."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from unspool.data.readers.dialect import Dialect
from unspool.errors import DataError

Record = dict[str, Any]
"""One example: its columns by name."""
Placed = tuple[str, Record]
"""A record, and where it stands, in words for an error."""
Item = Placed | DataError
"""A record, or why it cannot be read: it is left out and counted."""

csv.field_size_limit(2**31 - 1)


class RowError(DataError):
    """A row of a table that cannot be used.

    Args:
        message: what is wrong, and where.
        hint: what to change.
        record: the columns that could be read of it.
    """

    def __init__(self, message: str, *, hint: str = "", record: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.record = dict(record or {})


class QuoteError(RowError):
    """A row whose quotes do not close: it may have swallowed those behind it."""


def delimited(lines: Iterable[str], name: str, dialect: Dialect, columns: Sequence[str] = ()) -> Iterator[Item]:
    """Records of a table: a DataError for a row that has not as many fields as there are columns.

    Columns without a name at the end, as trailing delimiters make them, are dropped where they are empty.

    Args:
        lines: with their ends; they are read as they are needed.
        name: of the file, for places.
        dialect: how the table is written.
        columns: the names of the columns, instead of those in the header.

    Raises:
        DataError: for a header in which a name comes twice.
    """
    names, header = list(columns), dialect.header
    for line, fields in dialect.parse(lines):
        place = f"{name}, line {line}"
        if isinstance(fields, csv.Error):
            hint = 'a quote inside a quoted field is written twice: ""; where quotes are text set data.quoting=none'
            yield QuoteError(f"{place}: {fields}", hint=hint)
            continue
        if not names or header:
            names = names or header_names(fields, header, place)
            if header:
                header = False
                continue
        record = dict(zip(names, fields, strict=False))
        if len(fields) < len(names) or any(fields[len(names) :]):
            yield RowError(
                f"{place}: {len(fields)} fields, and the first line names {len(names)} columns",
                hint='put fields with a delimiter in them in "quotes", or set data.delimiter and data.quoting',
                record=record,
            )
        else:
            yield place, record


def header_names(fields: list[str], header: bool, place: str) -> list[str]:
    """The names of the columns: their numbers where there is no header or no name in it."""
    last = max((n for n, field in enumerate(fields, start=1) if field.strip()), default=0)
    stripped = [field.strip() if header else "" for field in fields[: last if header else None]]
    names = [name or str(number) for number, name in enumerate(stripped, start=1)]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        raise DataError(f"{place}: the column {twice[0]!r} is there twice", hint="rename one")
    return names


def json_lines(lines: Iterable[str], name: str) -> Iterator[Item]:
    """One JSON object a line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{name}, line {number}"
            try:
                yield place, an_object(parsed(line.rstrip("\n"), name, number), place)
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
