"""The recipe's [data] section for tunes in ABC notation: a tune book of yours, or one that a grammar makes."""

import re
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from unspool.data.music.abc_reader import blocks, parse_tune
from unspool.data.music.abc_transpose import transposed
from unspool.data.music.tune_grammar import tune
from unspool.data.readers.decoding import decode
from unspool.data.readers.text import find, read_bytes
from unspool.data.splits import SplitOptions, Splits
from unspool.errors import DataError
from unspool.schema import Count

KEPT = "XTRMLQK"
"""The fields of a header that are kept, in their order: what says who wrote a tune down, and where, is not learned."""
STEPS = (-3, -2, -1, 1, 2, 3)


@dataclass
class TuneBook(SplitOptions):
    """The tunes of files in ABC notation, or some that a grammar makes.

    A tune need not have X: or T:, and needs no empty line before it where it has X:. One that cannot be read is left
    out, counted, and reported with its place; a book of which none can be read is an error. Tunes are shuffled once
    and for all, and `valid` and `test` are shares of them: none is cut in two, and one whose notes come again
    is taken once. Of the header only the fields in `KEPT` stay, and every tune is X:1.

    Args:
        path: a file or several (`tunes/*.abc`) in ABC notation.
        number: how many tunes the grammar makes where no path is given.
        strict: whether tunes that do not parse or do not keep their metre are left out.
        transpose: whether training tunes also come up to three steps higher and lower, as far as a fiddle in its first
            position goes.
        encoding: of the files; guessed where it is "auto".
        limit: only the first so many tunes of the book are kept (0: all).

    >>> book = TuneBook(number=20).read()
    >>> len(book.train), len(book.valid), book.train[0][:4]
    (18, 2, 'X:1\\n')
    """

    path: str = ""
    number: Count = 1000
    strict: bool = True
    transpose: bool = False
    encoding: str = "auto"

    def read(self) -> Splits[tuple[str, ...]]:
        """Read, choose, shuffle and part. Raises: DataError that says file and line."""
        notes: list[str] = []
        if self.path:
            files = tuple(find(self.path))
            found = self.chosen([one for file in files for one in self.tunes(file, notes)], notes)
        else:
            files, found = (), [tune(0, number) for number in range(self.number)]
        found = found[: self.limit or None]
        Random(0).shuffle(found)
        test, valid = (int(Fraction(share) * len(found)) for share in reversed(self.shares))
        parts = found[valid + test :], found[test : valid + test], found[:test]
        for part, wanted in zip(parts, (1, *self.shares), strict=True):
            if wanted and not part:
                raise DataError(
                    f"{len(found)} tunes are too few to split",
                    hint="give more tunes, or set data.valid and data.test to other shares (0: none)",
                )
        train = [other for one in parts[0] for other in (self.moved(one) if self.transpose else [one])]
        return Splits(tuple(train), tuple(parts[1]), tuple(parts[2]), files, tuple(notes))

    def from_stdin(self, splits: Splits[tuple[str, ...]]) -> str:
        """The tune book that came from standard input, to be kept."""
        return "\n".join((*splits.train, *splits.valid, *splits.test)) if self.path == "-" else ""

    def tunes(self, file: str, notes: list[str]) -> list[tuple[str, int, str]]:
        """The tunes of a file: file, first line and text."""
        said = "standard input" if file == "-" else file
        text, note = decode(read_bytes(file), said, self.encoding)
        notes += [note] if note else []
        found = [(said, line, block) for line, block in blocks(text)]
        if not found:
            what = "there is no tune in it" if text.strip() else "it is empty"
            raise DataError(
                f"{said}: {what}", hint="a tune in ABC notation begins with a line X:1, and has a line such as K:D"
            )
        return found

    def chosen(self, found: list[tuple[str, int, str]], notes: list[str]) -> list[str]:
        """Those that are as they should be, each once, tidied up."""
        kept: dict[str, str] = {}
        bad: list[str] = []
        for name, line, text in found:
            try:
                metre_error = parse_tune(text, name, line, whole=False).metre_error() if self.strict else ""
            except DataError as error:
                bad.append(str(error))
                continue
            if metre_error:
                bad.append(f"{name}, {metre_error}")
                continue
            tidy = tidied(text)
            kept.setdefault(re.sub(r"(?m)^[XTR]:.*\n", "", tidy), tidy)
        if not kept:
            raise DataError(f"no tune is as it should be; the first: {bad[0]}", hint="data.strict=false takes them all")
        again = len(found) - len(bad) - len(kept)
        if bad:
            notes.append(f"{len(bad)} of {len(found)} tunes are left out; the first: {bad[0]}")
        if again:
            notes.append(f"{again} of {len(found)} tunes come again, and are taken once")
        return list(kept.values())

    def moved(self, tune: str) -> list[str]:
        """A tune and the same in other keys."""
        return [tune, *filter(None, (transposed(tune, steps) for steps in STEPS))]


def tidied(tune: str) -> str:
    """A tune with what is learned of it: no comments, no other fields, no exclamation marks that break lines.

    X: stands first, and a tune without a title is T:Untitled.

    >>> print(tidied("X:7\\nT:Two\\nZ: by me\\nK:G % one sharp\\nGABc|!\\nd4|]\\n"), end="")
    X:1
    T:Two
    K:G
    GABc|
    d4|]
    """
    kept, in_body = [], False
    for line in tune.splitlines():
        line = re.sub(r"(?<!\\)%.*", "", line).rstrip().removesuffix("!").rstrip()
        letter = line[:1] if line[1:2] == ":" and line[:1].isalpha() else ""
        if line and letter != "X" and (letter != "V" if in_body else letter in tuple(KEPT)):
            kept.append(line)
        in_body |= letter == "K"
    titled = any(line.startswith("T:") for line in kept)
    return "\n".join(["X:1", *([] if titled else ["T:Untitled"]), *kept]) + "\n"
