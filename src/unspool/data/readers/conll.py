"""CoNLL files: a word a line with its labels in columns, an empty line between sentences; CoNLL-U as well."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from unspool.errors import DataError

UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
"""The columns of CoNLL-U (universaldependencies.org/format.html)."""
DOCUMENT = "-DOCSTART-"
COMMENT = re.compile(r"#\s*\w+\s*=|#\s*new(?:doc|par)\b")
NO_BREAK = "\u00a0"
"""Stands for a space within a word, so that words with spaces between them can be told apart."""


def sentences(text: str, name: str, columns: Sequence[str] = ()) -> Iterator[tuple[str, Mapping[str, str]] | DataError]:
    r"""The sentences of a CoNLL file: each column as its cells with spaces between.

    Lines are split at tabs where there are any, else at spaces; other white space belongs to a word. The first column
    is `text`, the last `label`; in CoNLL-U all ten have their names, and `text` and `label` are form and upos. Not read
    are -DOCSTART- lines, and in CoNLL-U comments, ranges (1-2) and empty nodes (1.1).

    Args:
        text: of the file.
        name: of the file, for places.
        columns: the names of the columns, where they are others.

    Returns:
        The place and the columns of each sentence; a DataError for one with a line that lacks its label.

    >>> next(sentences("New York\tB-LOC\n.\tO\n", "a.conll"))[1]
    {'text': 'New\xa0York .', 'label': 'B-LOC O'}
    """
    lines = text.split("\n")
    tabbed = [("\t" in line) for line in lines if line.strip() and not line.startswith("#")]
    mark = "\t" if 2 * sum(tabbed) > len(tabbed) else " "
    widths = Counter(len(cells(line, mark)) for line in lines if line.strip())
    width = max(widths, key=lambda width: widths[width], default=0)
    universal = mark == "\t" and width == len(UNIVERSAL) and not columns
    wanted = len(columns or UNIVERSAL) if columns or universal else 0
    rows: list[list[str]] = []
    first, wrong = 0, 0
    for number, line in enumerate([*lines, ""], start=1):
        row = cells(line, mark)
        if not rows and not wrong and line.startswith("#") and (len(row) != width or COMMENT.match(line)):
            continue
        if universal and row and re.fullmatch(r"\d+[-.]\d+", row[0]):
            continue
        if row and row[0] != DOCUMENT:
            first = first or number
            wrong = wrong or (number if len(row) < 2 or (wanted and len(row) != wanted) else 0)
            rows.append(row)
        elif rows:
            names = UNIVERSAL if universal else columns
            place = f"{name}, line {wrong or first}"
            yield lacking(place, wanted) if wrong else (place, named(rows, names))
            rows, first, wrong = [], 0, 0


def cells(line: str, mark: str) -> list[str]:
    """The columns of a line, without spaces around them; none of an empty line.

    >>> cells("EU  B-ORG ", " "), cells("0\\u00a0000\\tB-NUM", "\\t")
    (['EU', 'B-ORG'], ['0\\xa0000', 'B-NUM'])
    """
    parts = line.rstrip("\t").split("\t") if mark == "\t" else line.split(" ")
    found = [part.strip(" ").replace(" ", NO_BREAK) for part in parts]
    return found if mark == "\t" and any(found) else [part for part in found if part]


def named(rows: Sequence[Sequence[str]], names: Sequence[str]) -> dict[str, str]:
    """The columns of a sentence by name."""
    if not names:
        return {"text": " ".join(row[0] for row in rows), "label": " ".join(row[-1] for row in rows)}
    found = {name: " ".join(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    return found | ({"text": found["form"], "label": found["upos"]} if names is UNIVERSAL else {})


def lacking(place: str, wanted: int) -> DataError:
    """The error for a line with too few or too many columns."""
    if wanted:
        return DataError(f"{place}: this line has not {wanted} columns", hint="correct it, or set data.columns")
    return DataError(f"{place}: there is no label", hint="write a word, a space or tab, and its label")
