"""How a table is written as text: its delimiter, whether quotes enclose fields, whether a header names columns."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal, NamedTuple

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SAMPLE = 1 << 16
"""So many characters of a file tell its delimiter."""
SEPARATOR = re.compile(r'"?sep=(.)"?\n?')
"""The first line that spreadsheets write and read: it names the delimiter."""
DOUBLED = re.compile(r'(?m)(?:^|\t)"[^"\t\n]*""[^\t\n]*"(?=\t|$)')
"""A field in quotes with a quote in it, written twice: nobody writes that without meaning it."""

Quoting = Literal["auto", "double", "none"]
Header = bool | Literal["auto"]


class Dialect(NamedTuple):
    r"""How a table is written.

    Args:
        delimiter: the character between fields.
        quoting: whether a field may stand in quotes, in which a quote is written twice.
        header: whether the first line names the columns.
        skipped: how many lines stand before the table.

    >>> str(detect("text;label\ngood film;1\n"))
    'delimiter semicolon'
    """

    delimiter: str = ","
    quoting: bool = True
    header: bool = True
    skipped: int = 0

    def __str__(self) -> str:
        delimiter = DELIMITERS.get(self.delimiter, repr(self.delimiter))
        return f"delimiter {delimiter}" + (", quotes are text" * (not self.quoting)) + ", no header" * (not self.header)

    def parse(self, lines: str | Iterable[str], strict: bool = True) -> Iterator[tuple[int, list[str] | csv.Error]]:
        """The fields of each row with the number of its first line; an error for quotes that do not close.

        Args:
            lines: a text, or its lines with their ends, which are read as they are needed.
            strict: whether text behind a closing quote, and a quote that is still open at the end, are errors.
        """
        quoting: Literal[0, 3] = 0 if self.quoting else 3  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE
        given = io.StringIO(lines, newline="") if isinstance(lines, str) else lines
        reader = csv.reader(given, delimiter=self.delimiter, quoting=quoting, strict=strict)
        while True:
            before = reader.line_num
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield before + 1, error
                continue
            if fields and before >= self.skipped:
                yield before + 1, fields

    def rows(self, text: str, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
        """The fields of each row with the number of its first line. Raises: csv.Error for quotes that do not close."""
        for line, fields in self.parse(text, strict):
            if isinstance(fields, csv.Error):
                raise fields
            yield line, fields


def detect(
    text: str, usual: str = ",", delimiter: str = "auto", quoting: Quoting = "auto", header: Header = "auto"
) -> Dialect:
    r"""The dialect of a table.

    The delimiter is the one by which most rows have as many fields as the first. A header is missing where the first
    row is nothing but numbers. Quotes enclose fields, but in tab-separated text only where that makes sense: rows would
    not be equally long without it, a column is quoted throughout, or quotes within quotes are written twice.

    Args:
        text: of the file.
        usual: the delimiter where several, or none, would do.
        delimiter: "auto" to detect it; else the character, or a name such as "tab".
        quoting: "auto", "double" or "none".
        header: "auto", or whether there is one.

    >>> detect('sep=|\n"a, b"|c\n1|2\n')
    Dialect(delimiter='|', quoting=True, header=True, skipped=1)
    """
    named = SEPARATOR.match(text)
    skipped = 1 if named and text[named.end() - 1] == "\n" else 0
    given = next((mark for mark, name in DELIMITERS.items() if delimiter in (name, repr(mark)[1:-1])), delimiter)
    if given == "auto":
        given = named[1] if named and skipped else likeliest(text, usual)
    quoted = encloses(text, given, skipped) if quoting == "auto" else quoting == "double"
    found = Dialect(given, quoted, skipped=skipped)
    if header == "auto":
        first = next(found.rows(text, strict=False), (1, []))[1]
        header = not first or not all(map(is_number, filter(None, first)))
    return found._replace(header=header)


def complete_rows(text: str) -> str:
    r"""The part of a text that ends with a row: at a line break, and not between two quotes where that can be seen.

    >>> complete_rows('text\n"to\nbe"\n"or\nnot'), complete_rows('5" pipe\n6" pi')
    ('text\n"to\nbe"\n', '5" pipe\n')
    """
    last = end = text.rfind("\n") + 1
    quotes = text.count('"', 0, end)
    while end > 0 and quotes % 2:
        before = text.rfind("\n", 0, end - 1) + 1
        quotes -= text.count('"', before, end)
        end = before
    return text[: end or last] or text


def likeliest(text: str, usual: str) -> str:
    """The delimiter by which the rows at the beginning of a text are the most alike; `usual` where none splits any."""
    sample = text[:SAMPLE] if len(text) <= SAMPLE else text[:SAMPLE].rpartition("\n")[0]
    scores = {mark: alike(sample, Dialect(mark)) for mark in sorted(DELIMITERS, key=lambda mark: mark != usual)}
    best = max(scores, key=lambda mark: scores[mark])
    return best if scores[best] else usual


def alike(text: str, dialect: Dialect) -> float:
    """The share of rows with as many fields as the first; 0 where that has one."""
    widths = [len(fields) for _, fields in dialect.rows(text, strict=False)]
    return sum(width == widths[0] for width in widths) / len(widths) if widths and widths[0] > 1 else 0.0


def encloses(text: str, delimiter: str, skipped: int) -> bool:
    """Whether quotes enclose fields, rather than being part of the text."""
    if '"' not in text or delimiter != "\t":
        return True
    plain = [fields for _, fields in Dialect(delimiter, False, skipped=skipped).rows(text)]
    try:
        quoted = [len(fields) for _, fields in Dialect(delimiter, True, skipped=skipped).rows(text)]
    except csv.Error:
        return False
    if len({len(fields) for fields in plain}) > 1:
        return len(set(quoted)) == 1
    columns = list(zip(*islice(plain, 1, None), strict=True))
    throughout = any(len(column) > 1 and all(map(in_quotes, column)) for column in columns)
    return throughout or (len(quoted) == len(plain) and DOUBLED.search(text) is not None)


def in_quotes(field: str) -> bool:
    """Whether a field begins and ends with a quote."""
    return len(field) > 1 and field[0] == field[-1] == '"'


def is_number(field: str) -> bool:
    """Whether a field is a number, with a point or a comma.

    >>> is_number("-1,5"), is_number("year")
    (True, False)
    """
    try:
        float(field.strip().replace(",", "."))
    except ValueError:
        return False
    return True
