"""CoNLL files: a word a line with its labels in columns, an empty line between sentences; CoNLL-U as well."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from unspool.errors import DataError

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U (universaldependencies.org/format.html)."""
DOCUMENT = "-DOCSTART-"
COMMENT = re.compile(r"#\s*\w+\s*=|#\s*new(?:doc|par)\b")
NO_BREAK = "\u00a0"
"""Replaces a space within a word, since words are joined by spaces."""


class Layout(NamedTuple):
    """How a CoNLL file is written.

    Args:
        separator: of the columns of a line: a tab or a space.
        width: how many columns most lines have.
        columns: their names; none where the first is `text` and the last `label`.
    """

    separator: str
    width: int
    columns: tuple[str, ...] = ()


def layout(text: str, columns: Sequence[str] = ()) -> Layout:
    r"""How a CoNLL file is written: with tabs where most lines have one, and in CoNLL-U where lines have ten columns.

    Args:
        text: of the file, or of its beginning.
        columns: the names of the columns, where they are given.

    >>> layout("New York\tB-LOC\n.\tO\n")
    Layout(separator='\t', width=2, columns=())
    """
    lines = [line for line in text.split("\n") if line.strip()]
    tabbed = [("\t" in line) for line in lines if not line.startswith("#")]
    separator = "\t" if 2 * sum(tabbed) > len(tabbed) else " "
    widths = Counter(len(cells(line, separator)) for line in lines)
    width = max(widths, key=lambda width: widths[width], default=0)
    universal = separator == "\t" and width == len(UNIVERSAL) and not columns
    return Layout(separator, width, UNIVERSAL if universal else tuple(columns))


def sentences(
    lines: Iterable[str], name: str, layout: Layout, labelled: bool = True
) -> Iterator[tuple[str, dict[str, str]] | DataError]:
    r"""The sentences of a CoNLL file: each column as its cells with spaces between.

    Lines are split at tabs where there are any, else at spaces; other white space belongs to a word. The first column
    is `text`, the last `label`; in CoNLL-U all ten have their names, and `text` and `label` are form and upos. Not read
    are -DOCSTART- lines, and in CoNLL-U comments, ranges (1-2) and empty nodes (1.1).

    Args:
        lines: of the file; they are read as they are needed.
        name: of the file, for places.
        layout: how it is written.
        labelled: whether each word must have a label; without it a sentence with a word alone on a line has no label.

    Returns:
        The place and the columns of each sentence; a DataError for one with a line that lacks its label.

    >>> text = "New York\tB-LOC\n.\tO\n"
    >>> next(sentences(text.splitlines(), "a.conll", layout(text)))[1]
    {'text': 'New\xa0York .', 'label': 'B-LOC O'}
    """
    universal, expected = layout.columns is UNIVERSAL, len(layout.columns)
    least = 2 if labelled else 1
    rows: list[list[str]] = []
    first, wrong = 0, 0
    for number, line in enumerate(chain(lines, [""]), start=1):
        line = line.rstrip("\n")
        row = cells(line, layout.separator)
        if not rows and not wrong and line.startswith("#") and (len(row) != layout.width or COMMENT.match(line)):
            continue
        if universal and row and re.fullmatch(r"\d+[-.]\d+", row[0]):
            continue
        if row and row[0] != DOCUMENT:
            first = first or number
            wrong = wrong or (number if len(row) < least or (expected and len(row) != expected) else 0)
            rows.append(row)
        elif rows:
            place = f"{name}, line {wrong or first}"
            yield column_error(place, expected) if wrong else (place, by_name(rows, layout.columns))
            rows, first, wrong = [], 0, 0


def cells(line: str, separator: str) -> list[str]:
    """The columns of a line, without spaces around them; none of an empty line.

    >>> cells("EU  B-ORG ", " "), cells("0\\u00a0000\\tB-NUM", "\\t")
    (['EU', 'B-ORG'], ['0\\xa0000', 'B-NUM'])
    """
    parts = line.rstrip("\t").split("\t") if separator == "\t" else line.split(" ")
    found = [part.strip(" ").replace(" ", NO_BREAK) for part in parts]
    return found if separator == "\t" and any(found) else [part for part in found if part]


def by_name(rows: Sequence[Sequence[str]], names: Sequence[str]) -> dict[str, str]:
    """The columns of a sentence by name."""
    if not names:
        text = {"text": " ".join(row[0] for row in rows)}
        return text | ({"label": " ".join(row[-1] for row in rows)} if all(len(row) > 1 for row in rows) else {})
    found = {name: " ".join(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return found | ({"text": found["form"], "label": found["upos"]} if names is UNIVERSAL else {})


def column_error(place: str, expected: int) -> DataError:
    """The error for a line with too few or too many columns."""
    if expected:
        return DataError(f"{place}: this line has not {expected} columns", hint="correct it, or set data.columns")
    return DataError(f"{place}: there is no label", hint="write a word, a space or tab, and its label")
