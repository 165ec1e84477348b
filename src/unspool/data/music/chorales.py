"""The recipe's [data] section for music in chords: a JSON file of chorales, or progressions that a grammar makes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import PurePath
from typing import Any

from unspool.data.music.chorale_grammar import chorale
from unspool.data.music.notes import Note, Score
from unspool.data.readers.text import find, read_bytes
from unspool.data.splits import Splits, shares
from unspool.errors import DataError
from unspool.schema import Count, Natural, Share

LOWEST, HIGHEST = 21, 108  # MIDI's numbers of a piano's outermost keys
SPEED = 84.0  # chords a minute

Chord = tuple[int, ...]
"""Pitches that sound at once as MIDI's numbers, the highest first, each once; () is silence."""


@dataclass
class ChoraleBook:
    """The chorales of a JSON file; without a path, some that a grammar makes, a tenth each for validation and test.

    Where the file has no valid or no test, `valid` and `test` are shares of the training pieces, the last ones.

    The file holds {"train": [...], "valid": [...], "test": [...]}: lists of pieces, which are lists of chords, which
    are lists of pitches as MIDI's numbers (21 to 108; what is below 1 is silence). That is the form in which the JSB
    chorales of Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392) are passed on. A pitch that two voices share is one.

    Args:
        path: a JSON file.
        number: how many progressions the grammar makes where no path is given.
        limit: only the first so many chorales of each split are kept (0: all).
        valid: the share for validation, where the file has none.
        test: the share for the test, likewise.

    >>> book = ChoraleBook(number=20).read()
    >>> len(book.train), len(book.valid), len(book.test), book.train[0][0]
    (16, 2, 2, (66, 61, 57, 42))
    """

    path: str = ""
    number: Count = 300
    limit: Natural = 0
    valid: Share = 0.0
    test: Share = 0.0

    def read(self) -> Splits[tuple[tuple[Chord, ...], ...]]:
        """Read all parts. Raises: DataError that says file and line, or which chord of which piece."""
        if not self.path:
            made = [chorale(0, number) for number in range(self.number)]
            held = max(1, self.number // 10)
            if self.number < 3:
                raise DataError(f"{self.number} chorales are too few to split", hint="data.number=300")
            return Splits(tuple(made[2 * held :]), tuple(made[:held]), tuple(made[held : 2 * held]))
        file, *others = find(self.path)
        if others:
            raise DataError(f"{self.path} means {1 + len(others)} files, and one is read", hint="name one JSON file")
        data = loaded(file)
        parts = [tuple(self.chorales(data.get(name, []), f"{file}, {name}")) for name in ("train", "valid", "test")]
        if not parts[0]:
            raise DataError(f"{file}: there is no piece in train", hint='a file holds {"train": [[[60, 64, 67], ...')
        train, valid, test = (part[: self.limit or None] for part in parts)
        for_valid, for_test = (
            0 if part else share for part, share in zip((valid, test), shares(self.valid, self.test), strict=True)
        )
        middle, end = (int(len(train) * (1 - share)) for share in (for_valid + for_test, for_test))
        if not middle or (for_valid and middle == end) or (for_test and end == len(train)):
            raise DataError(
                f"{file}: there are too few pieces to split ({len(train)})",
                hint="give more, or set data.valid and data.test to other shares (0: none)",
            )
        train, valid, test = train[:middle], valid or train[middle:end], test or train[end:]
        return Splits(train, valid, test, (file,))

    def from_stdin(self, splits: Splits[tuple[tuple[Chord, ...], ...]]) -> str:
        """What came from standard input, to be kept."""
        parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
        return json.dumps(parts) if self.path == "-" else ""

    def chorales(self, part: Any, place: str) -> Iterator[tuple[Chord, ...]]:
        """The pieces of one part."""
        for number, one in enumerate(listed(part, place), start=1):
            where = f"{place}, piece {number}"
            chords = [
                self.chord(chord, f"{where}, chord {index}") for index, chord in enumerate(listed(one, where), start=1)
            ]
            if not chords:
                raise DataError(f"{where} is empty", hint="take it out")
            yield tuple(chords)

    def chord(self, pitches: Any, place: str) -> Chord:
        """The pitches of one chord."""
        for pitch in listed(pitches, place):
            good = isinstance(pitch, int) and not isinstance(pitch, bool)
            if not good or not (pitch < 1 or LOWEST <= pitch <= HIGHEST):
                raise DataError(f"{place}: {pitch!r} is no pitch", hint="MIDI's numbers, from 21 to 108; -1 is silence")
        return tuple(sorted({pitch for pitch in pitches if pitch > 0}, reverse=True))


def loaded(file: str) -> dict[str, Any]:
    """The JSON object in a file. Raises: DataError that says the line."""
    data = read_bytes(file)
    said = "standard input" if file == "-" else file
    hint = f"{PurePath(said).name} should be JSON: " + '{"train": [...], "valid": [...], "test": [...]}'
    if not data.strip():
        raise DataError(f"{said} is empty", hint=hint)
    try:
        found = json.loads(data)
    except UnicodeDecodeError as error:
        raise DataError(f"{said}, line {data[: error.start].count(10) + 1:,} is not UTF-8", hint=hint) from None
    except json.JSONDecodeError as error:
        raise DataError(f"{said}, line {error.lineno:,}: {error.msg.lower()}", hint=hint) from None
    except RecursionError:
        raise DataError(f"{said} is nested too deeply", hint=hint) from None
    except ValueError:  # Python reads at most 4,300 digits
        raise DataError(f"{said} has a number of thousands of digits", hint=hint) from None
    if not isinstance(found, dict):
        raise DataError(f"{said} holds no JSON object", hint=hint)
    return found


def listed(value: Any, place: str) -> list[Any]:
    """The value, which should be a list."""
    if not isinstance(value, list):
        raise DataError(f"{place} is no list", hint="parts are lists of pieces of chords of pitches")
    return value


def as_score(chords: list[Chord], title: str = "") -> Score:
    """Chords as notes, a quarter beat each; a pitch that stays from one to the next is held.

    >>> [(float(n.start), float(n.length), n.pitch) for n in as_score([(67, 60), (65, 60)]).notes]
    [(0.0, 1.0, 67), (0.0, 2.0, 60), (1.0, 1.0, 65)]
    """
    notes: list[Note] = []
    held: dict[int, int] = {}
    for beat, chord in enumerate(chords):
        now: dict[int, int] = {}
        for pitch in chord:
            if pitch in held:
                now[pitch] = held[pitch]
                notes[held[pitch]] = notes[held[pitch]]._replace(length=beat + 1 - notes[held[pitch]].start)
            else:
                now[pitch] = len(notes)
                notes.append(Note(Fraction(beat), Fraction(1), pitch))
        held = now
    return Score(notes, SPEED, title)
