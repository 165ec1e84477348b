"""What the columns of a table hold, and so which recipe fits it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from math import isfinite
from statistics import fmean, median
from typing import Any

from unspool.data.clock import parse_time
from unspool.data.readers import images
from unspool.data.times import time_column
from unspool.errors import DataError
from unspool.recipe import value_of

Found = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""What a table is in words, the recipe that fits, its settings, and what is seen."""

FIVE = tuple(f"caption{number}" for number in range(1, 6))
"""The columns of captions that the recipe `photographs` expects."""
SAMPLE = 2000
"""So many rows are looked at."""
SEASONS = {1: 7, 28: 12, 29: 12, 30: 12, 31: 12, 7: 52, 90: 4, 91: 4, 92: 4}
"""Days from one row to the next, and how many rows a season has."""


@dataclass(frozen=True)
class Column:
    """What a column of a table holds.

    Args:
        name: of the column.
        values: the cells that are not empty, as text.

    >>> column = Column("text", ("a fine film", "so dull", "fine"))
    >>> column.words, column.is_number, column.is_label
    (2.0, False, False)
    """

    name: str
    values: tuple[str, ...]

    @property
    def distinct(self) -> int:
        """How many values differ."""
        return len(set(self.values))

    @property
    def words(self) -> float:
        """How many words a cell has in the mean."""
        return fmean(len(value.split()) for value in self.values) if self.values else 0.0

    @property
    def is_number(self) -> bool:
        """Whether every cell is a number."""
        return bool(self.values) and all(map(is_finite, self.values))

    @property
    def is_label(self) -> bool:
        """Whether cells are one of a few: at most a fifth as many as there are cells, and no sentences."""
        few = 2 <= self.distinct <= max(2, min(200, len(self.values) // 5))
        return few and self.words < 4 and (not self.is_number or self.distinct <= 10)

    @property
    def is_file(self) -> bool:
        """Whether every cell names an image."""
        return bool(self.values) and all(value.lower().endswith(images.ENDINGS) for value in self.values)

    @property
    def is_text(self) -> bool:
        """Whether cells are texts."""
        return bool(self.values) and not (self.is_number or self.is_label or self.is_file)

    def summary(self) -> str:
        """What it holds, in words."""
        if self.is_label:
            most = ", ".join(f"{name} ({count:,})" for name, count in Counter(self.values).most_common(5))
            return f"{self.name!r} is a label of {self.distinct:,}: {most}" + ", ..." * (self.distinct > 5)
        if self.is_number:
            numbers = [float(value) for value in self.values]
            return f"{self.name!r} is a number from {min(numbers):g} to {max(numbers):g}"
        if self.is_file:
            return f"{self.name!r} names images"
        sizes = [len(value.split()) for value in self.values]
        return f"{self.name!r} is text of {median(sizes):.0f} words, at most {max(sizes, default=0):,}"


def is_finite(text: str) -> bool:
    """Whether a cell is a number.

    >>> is_finite(" 1e3 "), is_finite("nan")
    (True, False)
    """
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def cell(value: Any) -> str:
    """A cell as text; a list of words with spaces between them."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value).strip()


def of_table(records: Sequence[Mapping[str, Any]], path: str) -> Found:
    """What a table is, from its first rows.

    Raises:
        DataError: where no recipe fits.

    >>> of_table([{"text": f"film {n} is so", "stars": n / 7} for n in range(9)], "a.csv")[1]
    'regress'
    """
    first = records[:SAMPLE]
    columns = [Column(name, tuple(filter(None, (cell(row.get(name)) for row in first)))) for name in records[0]]
    time = time_column(records[0])
    seen = tuple(
        f"{one.name!r} is the time, from {one.values[0]} to {one.values[-1]}" if one.name == time else one.summary()
        for one in columns
        if one.values
    )[:8]
    header: tuple[str, ...] = ()
    if headless(columns):
        header = ("data.header=false",)
        again = [Column(str(n), (one.name, *one.values)) for n, one in enumerate(columns, start=1)]
        columns, seen = again, ("the first line is a record, not a header", *(one.summary() for one in again))
    kind, recipe, settings = fitting(columns, first, path)
    return kind, recipe, (*header, *settings), seen


def headless(columns: Sequence[Column]) -> bool:
    """Whether the names of columns are cells: a sentence, or a label that comes again.

    >>> headless([Column("a fine film it is", ("so dull",))]), headless([Column("text", ("so dull",))])
    (True, False)
    """
    return any(len(one.name.split()) > 3 or (one.is_label and one.name in one.values) for one in columns)


def fitting(
    columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], path: str
) -> tuple[str, str, tuple[str, ...]]:
    """What columns are, the recipe for them, and the column names that it needs."""
    texts = sorted((one for one in columns if one.is_text), key=lambda one: (one.name != "text", -one.words))
    labels = sorted((one for one in columns if one.is_label), key=lambda one: (one.name != "label", one.is_number))
    numbers = sorted(
        (one for one in columns if one.is_number and not one.is_label), key=lambda one: one.name != "label"
    )
    pictures = [one for one in columns if one.is_file]
    time = time_column(rows[0])
    if pictures and texts and len(numbers) > 1:
        captions = tuple(one.name for one in columns if one in texts)
        own = () if captions == FIVE else (f"data.caption={','.join(captions)}",)
        return "features of images with captions", "photographs", (*said(("file", pictures[0]), key="name"), *own)
    if pictures and texts:
        return "images with captions", "caption", said(("file", pictures[0]), ("caption", texts[0]))
    if pair := word_labels([one for one in columns if not one.is_number], rows):
        return "sentences with a label for each word", "tag", said(("text", pair[0]), ("label", pair[1]))
    if time and all(one.name == time or one in numbers or one in labels for one in columns):
        return series(time, columns, rows)
    texts = [one for one in texts if one.name != time]
    if numbers and any(one.name == "caption" for one in texts):
        named = dumps([one.name for one in numbers], ensure_ascii=False)
        alone = len(columns) == len(numbers) + 1
        return "numbers with captions", "caption-numbers", () if alone else (f"data.features={named}",)
    if labels and texts:
        return "texts with labels", "classify", said(("text", texts[0]), ("label", labels[0]))
    if len(texts) > 1:
        pair = tuple(one for one in columns if one in texts[:2])
        return "pairs of texts", "translate", said(("source", pair[0]), ("target", pair[1]))
    if numbers and texts:
        return "texts with numbers", "regress", said(("text", texts[0]), ("label", numbers[0]))
    if labels and numbers:
        return (
            "numbers with labels",
            "pass",
            (*said(("label", labels[0])), f"data.features={dumps([one.name for one in numbers], ensure_ascii=False)}"),
        )
    raise DataError(
        f"no recipe fits the columns {', '.join(repr(one.name) for one in columns[:8])} of {path}",
        hint="a table needs a text or numbers, and a label, a number or a time beside it",
    )


def said(*named: tuple[str, Column], key: str = "") -> tuple[str, ...]:
    """The settings that name columns, where they are not named as the recipe expects.

    Args:
        named: the name that the recipe expects of a column, and the column.
        key: of the setting, where it is called otherwise than the column.

    >>> said(("text", Column("review", ())), ("label", Column("label", ())))
    ('data.text=review',)
    """
    return tuple(f"data.{key or usual}={as_value(column.name)}" for usual, column in named if column.name != usual)


def as_value(name: str) -> str:
    """A name as a setting takes it: in quotes where it would be read as a number, say.

    >>> as_value("review"), as_value("1")
    ('review', '"1"')
    """
    return name if value_of(name) == name else dumps(name, ensure_ascii=False)


def word_labels(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Two columns of which each cell of one has a label for each word of the other; none where there are no such two.

    >>> rows = [{"text": "Ada wrote it", "tags": "B O O"}, {"text": "so did he", "tags": "O O O"}]
    >>> columns = [Column(name, tuple(row[name] for row in rows)) for name in ("text", "tags")]
    >>> [column.name for column in word_labels(columns, rows)]
    ['text', 'tags']
    """
    for one in columns:
        for other in columns:
            pairs = [(cell(row.get(one.name)).split(" "), cell(row.get(other.name)).split(" ")) for row in rows]
            kinds = {label for _, found in pairs for label in found}
            words = {word for found, _ in pairs for word in found}
            alike = all(len(a) == len(b) for a, b in pairs) and any(len(a) > 2 for a, _ in pairs)
            if one is not other and alike and len(kinds) < len(words):
                return one, other
    return ()


def series(time: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[str, str, tuple[str, ...]]:
    """Series of numbers: their columns, the column that tells series apart, and a horizon and season that fit."""
    groups = [one for one in columns if one.name != time and one.is_label and not one.is_number]
    numbers = [one.name for one in columns if one.name != time and one.is_number]
    if not numbers:
        raise DataError("there is a time and no number in a row", hint="give a column of numbers to forecast")
    column = as_value(numbers[0]) if len(numbers) == 1 else dumps(numbers, ensure_ascii=False)
    settings = [f"data.column={column}"] if numbers != ["value"] else []
    settings += [f"data.group={as_value(groups[0].name)}"] if groups else []
    length = len(rows) // (groups[0].distinct if groups else 1)
    season = season_of([str(row[time]) for row in rows[:3]])
    horizon = max(1, min(24, length // 12))
    settings += [f"task.horizon={horizon}", f"preprocessor.context={3 * horizon}"]
    return "series in time", "forecast", (*settings, f"preprocessor.season={season if 4 * season < length else 1}")


def season_of(times: Sequence[str]) -> int:
    """How many rows a season has, by the first times: days a week, months a year, hours a day; else 1.

    >>> season_of(["2024-01-01", "2024-02-01"]), season_of(["2024-01-01 00:00", "2024-01-01 01:00"]), season_of(["1"])
    (12, 24, 1)
    """
    found: list[Any] = [parse_time(time) for time in times[:2]]
    if len(found) < 2 or not all(hasattr(time, "year") for time in found):
        return 1
    step = abs((found[1] - found[0]).total_seconds())
    return 24 if step == 3600 else SEASONS.get(int(step // 86400), 1)
