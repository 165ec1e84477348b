"""Looks at a file or a folder and says what it is, and which recipe fits it: for `unspool train my.csv`."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote

from unspool.data.columns import of_table
from unspool.data.readers import images, sounds
from unspool.data.readers.tables import ENDINGS, TableFormat, read_table
from unspool.data.readers.text import read_text
from unspool.data.readers.trees import SPLITS, is_tree, label_of, places, without_common
from unspool.data.records import split_tables
from unspool.errors import DataError

WANTED = "give a text, a table (.csv, .tsv, .json, .jsonl, .parquet), a .conll, an .abc or a folder of a kind"


@dataclass(frozen=True)
class Recognized:
    """What some data is.

    Args:
        kind: in words.
        recipe: the name of the one that fits.
        settings: what the recipe needs besides data.path.
        seen: what is in it, a sentence each.

    >>> Recognized("a text", "char-lm", (), ("3 lines",)).command("my text.txt")
    "unspool train char-lm 'data.path=my text.txt'"
    """

    kind: str
    recipe: str
    settings: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()

    def overrides(self, path: str) -> list[str]:
        """The settings of the recipe for this data."""
        return [f"data.path={path}", *self.settings]

    def command(self, path: str, more: Sequence[str] = ()) -> str:
        """The whole command, as it is typed."""
        return " ".join(["unspool", "train", self.recipe, *map(quote, [*self.overrides(path), *more])])


def recognize(path: str) -> Recognized:
    """What the data at a path is.

    Args:
        path: of a file, a folder, or a .tar.gz.

    Raises:
        DataError: for what cannot be read, and for what no recipe fits.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.csv").write_text("text,label\\nso good,pos\\nso bad,neg\\nvery good,pos\\n")
    ...     recognize(f"{folder}/a.csv").recipe
    'classify'
    """
    place = Path(os.path.expanduser(path))
    if is_tree(path):
        return of_tree(path, place)
    suffix = PurePosixPath(path.removesuffix(".gz")).suffix.lower()
    if suffix == ".abc":
        return Recognized("tunes in ABC notation", "music", (), (tunes(read_text(path).text),))
    if suffix in ENDINGS:
        return of_file(path)
    if suffix in (*images.ENDINGS, *sounds.ENDINGS):
        raise DataError(f"{path} is one file, and training needs many", hint=f"{WANTED} for each label")
    return of_text(path)


def of_file(path: str, format: str = "auto") -> Recognized:
    """What a table is."""
    table = read_table(path, TableFormat(format=format))
    known = (f"data.format={format}",) if format != "auto" else ()
    is_conll = "conll" in (format, ENDINGS.get(PurePosixPath(path.removesuffix(".gz")).suffix.lower()))
    if is_conll:
        labels = Counter(label for _, record in table.records for label in record["label"].split(" "))
        return Recognized("sentences with a label for each word", "tag", known, (table.summary, named(labels, "label")))
    kind, recipe, settings, seen = of_table([record for _, record in table.records], path)
    return Recognized(kind, recipe, (*known, *settings), (table.summary, *table.notes, *seen))


def of_text(path: str) -> Recognized:
    """What a file is whose name tells nothing: a text, tunes, or a table after all."""
    text = read_text(path).text
    if "\0" in text[:10_000]:
        raise DataError(f"{path} is no text: it has zero bytes", hint=WANTED)
    lines = text[:200_000].splitlines()
    if re.search(r"^K:", text, re.MULTILINE) and re.search(r"^X:\s*\d", text, re.MULTILINE):
        return Recognized("tunes in ABC notation", "music", (), (tunes(text),))
    if tagged(lines):
        return of_file(path, "conll")
    filled = [line.count("\t") for line in lines if line.strip()]
    if filled and filled[0] and len(set(filled)) == 1 and len(filled) > 1:
        return of_file(path, "tsv")
    words = len(text.split())
    seen = f"{len(text):,} characters, {words:,} words, {text.count(chr(10)) + 1:,} lines, {len(set(text)):,} symbols"
    return Recognized("a text", "char-lm", () if len(text) > 20_000 else SMALL_TEXT, (seen,))


SMALL_TEXT = ("core.width=128", "task.length=32", "task.batch_size=8")
"""Settings for a language model of a few pages."""


def tagged(lines: Sequence[str]) -> bool:
    """Whether lines are words with a label of spans in the last column, sentences apart.

    >>> tagged(["EU B-ORG", "sent O", "", "no O"]), tagged(["so O", "it", "", "goes"])
    (True, False)
    """
    rows = [line.split() for line in lines if line.strip()]
    tagged = [len(row) > 1 and re.fullmatch(r"O|[BIELSU]-\S+", row[-1]) is not None for row in rows]
    return len(tagged) > 1 and len(rows) < len(lines) and all(tagged)


def tunes(text: str) -> str:
    """How many tunes a book has."""
    return f"{len(re.findall('^K:', text, re.MULTILINE)):,} tunes"


def named(counts: Counter[str], what: str) -> str:
    """How many labels there are, and the most frequent ones.

    >>> named(Counter({"pos": 3, "neg": 2}), "label")
    '2 labels: pos (3), neg (2)'
    """
    most = ", ".join(f"{name} ({count:,})" for name, count in counts.most_common(5))
    return f"{len(counts):,} {what}{'s' * (len(counts) != 1)}: {most}" + (", ..." if len(counts) > 5 else "")


def of_tree(path: str, place: Path) -> Recognized:
    """What a folder or an archive is: tables or texts of each split, two languages, or files for each label."""
    if "train" in (tables := split_tables(path)):
        found = of_file(tables["train"])
        return Recognized(found.kind, found.recipe, found.settings, (f"parts: {', '.join(tables)}", *found.seen))
    if place.is_dir():
        if languages := two_languages(place):
            settings = tuple(f"data.{side}={name}" for side, name in zip(("source", "target"), languages, strict=True))
            return Recognized("sentences in two languages", "translate", settings, (" and ".join(languages),))
        if (place / "train.txt").is_file():
            return Recognized("a text in parts", "char-lm", (), ("train.txt",))
        if any(place.glob("captions.*")):
            return Recognized("images with captions", "caption", (), ("captions beside images",))
    every = places(path, *(ending for _, _, endings, _ in TREES for ending in endings))
    for kind, recipe, endings, settings in TREES:
        if tree := without_common([name for name in every if name.suffix.lower() in endings]):
            return of_files(path, kind, recipe, settings, tree)
    raise DataError(f"nothing in {path} is of a kind that is known", hint=WANTED)


TREES: list[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = [
    ("images", "shapes", images.ENDINGS, ()),
    ("sounds", "spoken-digits", sounds.ENDINGS, ("data.label=folder", "data.test_names=")),
    ("texts", "classify", (".txt",), ()),
    ("tunes in ABC notation", "music", (".abc",), ()),
]
"""What files of an ending are, and the recipe and settings where folders say their labels."""


def of_files(path: str, kind: str, recipe: str, settings: tuple[str, ...], tree: list[PurePosixPath]) -> Recognized:
    """What a tree of files of one kind is."""
    labels = Counter(filter(None, map(label_of, tree)))
    number = f"{len(tree):,} files"
    if kind.startswith("tunes"):
        raise DataError(f"{path} is a folder of tunes", hint=f"unspool train music {quote(f'data.path={path}/*.abc')}")
    if len(labels) > 1:
        return Recognized(f"{kind} in a folder for each label", recipe, settings, (number, named(labels, "label")))
    if kind == "sounds" and len({file.name.partition("_")[0] for file in tree}) > 1:
        names = Counter(file.name.partition("_")[0] for file in tree)
        return Recognized("sounds with labels in their names", recipe, settings[1:], (number, named(names, "label")))
    if kind != "texts":
        raise DataError(
            f"the {kind} in {path} have no labels", hint="put those of each label into a folder of its name"
        )
    if all(file.parent.name in SPLITS for file in tree) and len({file.name for file in tree}) > 1:
        names = Counter(file.stem for file in tree)
        return Recognized("texts in a file for each label", recipe, settings, (number, named(names, "label")))
    other = f"where each file is a label: unspool train classify {quote(f'data.path={path}')}"
    return Recognized("texts", "char-lm", (), (number, other))


def two_languages(place: Path) -> tuple[str, ...]:
    """The languages of train.de and train.en, say; none where there are not two."""
    endings = sorted({file.name.removesuffix(".gz").removeprefix("train.") for file in place.glob("train.*")})
    is_table: Callable[[str], bool] = lambda ending: f".{ending}" in (*ENDINGS, ".txt")  # noqa: E731
    return tuple(endings) if len(endings) == 2 and not any(map(is_table, endings)) else ()
