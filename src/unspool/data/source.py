"""The recipe's [data] section: which text, and which part of it is for training, validation and test."""

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from unspool.data.corpora import corpus
from unspool.data.readers.text import Text, clean, read_text
from unspool.data.splits import SplitOptions, SplitPaths, Splits
from unspool.errors import ConfigError, DataError


@dataclass
class Source(SplitOptions, SplitPaths):
    """A text, cut into splits.

    A file of yours goes before the corpus of a recipe: `data.path=FILE` is all it takes. The first characters are for
    training, then come `valid` and `test` as shares of the whole. A split that has a file of its own is that file
    instead.

    Args:
        path: a file, a pattern of files, a folder (with train.txt, valid.txt and test.txt, say), or "-" for standard
            input.
        corpus: a text that needs no download, where no file is given.
        encoding: of the files; guessed where it is "auto".
        ascii: whether letters beyond ASCII are replaced by the nearest ASCII ones.
        squeeze: whether several spaces become one.
        limit: only the first so many characters are kept (0: all).
        train_path, valid_path, test_path: files of their own for the splits; "": none.

    >>> splits = Source(corpus="python-docs", limit=1000).read()
    >>> len(splits.train), len(splits.valid), splits.test
    (900, 100, '')
    """

    path: str = ""
    corpus: str = ""
    encoding: str = field(default="auto", kw_only=True)
    ascii: bool = field(default=False, kw_only=True)
    squeeze: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not (self.path or self.train_path or self.corpus):
            raise ConfigError("no text is given", hint="set data.path=FILE")
        if self.path and self.train_path:
            raise ConfigError(
                "data.path and data.train_path are set, and one text is wanted", hint="drop one with data.train_path="
            )
        if "-" in (self.valid_path, self.test_path):
            name = "valid_path" if self.valid_path == "-" else "test_path"
            raise ConfigError(f"data.{name} cannot be standard input", hint=f"write it to a file: data.{name}=FILE")
        self.corpus = "" if self.path or self.train_path else self.corpus
        super().__post_init__()

    def read(self) -> Splits[str]:
        """Read, clean and cut."""
        train_path, valid_path, test_path = self.paths()
        whole = self.cleaned(corpus(self.corpus) if self.corpus else read_text(train_path, self.encoding))
        apart = {path: self.cleaned(read_text(path, self.encoding)) for path in (valid_path, test_path) if path}
        valid_share = Fraction(0) if valid_path else self.shares[0]
        test_share = Fraction(0) if test_path else self.shares[1]
        size = len(whole.text)
        middle, end = int(size * (1 - valid_share - test_share)), int(size * (1 - test_share))
        train, valid, test = whole.text[:middle], whole.text[middle:end], whole.text[end:]
        for name, part, wanted in (("train", train, True), ("valid", valid, valid_share), ("test", test, test_share)):
            if wanted and len(part) < 2:
                raise DataError(
                    f"a text of {size} characters is too short to split: {len(part)} would be left for {name}",
                    hint="give more text, or set data.valid and data.test to other shares (0: none)",
                )
        valid = apart[valid_path].text if valid_path else valid
        test = apart[test_path].text if test_path else test
        texts = [whole, *apart.values()]
        files = tuple(file for text in texts for file in text.files)
        return Splits(train, valid, test, files, tuple(note for text in texts for note in text.notes))

    def from_stdin(self, splits: Splits[str]) -> str:
        """What of the splits came from standard input, to be kept; "" when it was not read."""
        if "-" not in (self.path, self.train_path):
            return ""
        return splits.train + ("" if self.valid_path else splits.valid) + ("" if self.test_path else splits.test)

    def paths(self) -> tuple[str, str, str]:
        """Where training, validation and test text are read from; "" for a part without a file of its own."""
        folder = os.path.expanduser(self.path)
        paths = [self.train_path, self.valid_path, self.test_path]
        if self.path and os.path.isfile(os.path.join(folder, "train.txt")):
            beside = [os.path.join(folder, name) for name in ("train.txt", "valid.txt", "test.txt")]
            paths = [path or (file if os.path.isfile(file) else "") for path, file in zip(paths, beside, strict=True)]
        return paths[0] or self.path, paths[1], paths[2]

    def cleaned(self, text: Text) -> Text:
        """The text as the options want it."""
        kept = clean(text.text, self.ascii, self.squeeze)[: self.limit or None]
        return Text(kept, text.files, text.notes)


PATHS = ("path", "train_path", "valid_path", "test_path")
"""The options of [data] that name files."""


def portable(options: Mapping[str, Any], kept: Path) -> dict[str, Any]:
    """The [data] options with paths below the working directory relative to it; standard input is where it was kept.

    >>> portable({"path": os.path.abspath("data/a.txt"), "test_path": "../b.txt"}, Path("runs/mine/data.txt"))
    {'path': 'data/a.txt', 'test_path': '../b.txt'}
    """
    found = dict(options)
    for key in PATHS:
        if found.get(key) == "-":
            found |= {key: below(str(kept)), "encoding": "utf-8"}
        elif found.get(key):
            found[key] = below(found[key])
    return found


def below(path: str) -> str:
    """An absolute path or pattern relative to the working directory, where it is below it; else as it is.

    >>> below("/elsewhere/a.txt")
    '/elsewhere/a.txt'
    """
    here = os.path.join(os.getcwd(), "")
    return path[len(here) :] if path.startswith(here) else path


def located(options: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The [data] options with relative paths looked up from a folder.

    >>> located({"path": "data/a.txt", "limit": 9}, "/project")
    {'path': '/project/data/a.txt', 'limit': 9}
    """
    found = dict(options)
    for key in PATHS:
        if found.get(key):
            place = os.path.expanduser(found[key])
            found[key] = place if os.path.isabs(place) else joined(base, place)
    return found


def joined(base: str, path: str) -> str:
    """A path or pattern below a folder: a name with letters that mean something in patterns is escaped."""
    whole = os.path.join(base, path)
    return os.path.normpath(whole) if os.path.exists(whole) else os.path.join(glob.escape(base), path)
