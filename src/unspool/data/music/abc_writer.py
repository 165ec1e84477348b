"""Writes one voice of notes in ABC notation (abc standard 2.1), so that a model of tunes can go on with it."""

from collections.abc import Sequence
from fractions import Fraction

from unspool.data.music.abc_fields import Key, metre
from unspool.data.music.abc_fields import key as key_of
from unspool.data.music.abc_transpose import LETTERS, SIGNS, written
from unspool.data.music.notes import Note, Score
from unspool.errors import DataError

GRID = Fraction(1, 12)
"""Quarter beats: sixteenths and triplets of eighths lie on it."""
LOOSE = Fraction(1, 32)
"""So far from the grid a note may begin, as those of a human hand do."""
NEAR = Fraction(1, 8)
"""A shorter rest behind a note is none."""
UNIT = Fraction(1, 2)
"""L:1/8 in quarter beats."""
LINE = 4
"""Bars in a line."""
MAJOR = ("C", "G", "F", "D", "Bb", "A", "Eb", "E", "Ab", "B", "Db", "F#")
"""Keys by the number of their accidentals."""
STEPS = dict(zip(LETTERS, (0, 2, 4, 5, 7, 9, 11), strict=True))

Segment = tuple[Fraction, Fraction, int | None]
"""When it begins, how long it is, in quarter beats, and its pitch; None for a rest."""


def write_abc(score: Score, name: str, metre_name: str = "4/4", key: str = "") -> str:
    r"""Notes as a tune with the header that tune books are learned with; its last bar stays open if it is not full.

    Args:
        score: one voice; when it begins and ends is rounded to twelfths of a quarter beat.
        name: of its file, for errors.
        metre_name: as M: has it.
        key: as K: has it; "": the major key that needs the fewest accidentals.

    Raises:
        DataError: two notes sound at once, a note is off the grid, there is none, or metre or key cannot be written.

    >>> notes = [Note(Fraction(0), Fraction(3), 67), Note(Fraction(3), Fraction(2), 66)]
    >>> write_abc(Score(notes, title="Air"), "air.mid", key="G").splitlines()[-1]
    'G6F2-|F2'
    """
    try:
        beats, signs = metre(metre_name).beats, key_of(key or likeliest_key(score.notes))
    except ValueError as error:
        raise DataError(f"{name}: {error}", hint="change it in a notation program") from None
    if beats is None:
        raise DataError(f"{name} has no metre", hint="give it one, such as M:4/4")
    compound = metre(metre_name).compound
    group = Fraction(3, 2) if compound else Fraction(2) if beats == 4 else Fraction(1)
    bars = written_bars(segments(score.notes, name), beats, group, signs)
    full = sum(length for _, length, _ in segments(score.notes, name)) % beats == 0
    lines = ["|".join(bars[first : first + LINE]) for first in range(0, len(bars), LINE)]
    title = " ".join(score.title.split()) or "Untitled"
    header = f"X:1\nT:{title}\nM:{metre_name}\nL:1/8\nK:{key or likeliest_key(score.notes)}\n"
    return header + "|\n".join(lines) + ("|\n" if full and len(bars) % LINE == 0 else "|" if full else "")


def segments(notes: Sequence[Note], name: str) -> list[Segment]:
    """One voice as notes and rests without gaps, on the grid, from the first beat on."""
    found: list[Segment] = []
    if not notes:
        raise DataError(f"{name} has no notes", hint="choose another file")
    now, before = Fraction(0), None
    for number, note in enumerate(notes):
        start = on_grid(note.start)
        if abs(note.start - start) > LOOSE:
            raise DataError(
                f"{name}: the note at beat {float(note.start):.2f} is on no grid of sixteenths or triplets",
                hint="quantise it in a notation program and save it again",
            )
        if before and (before.end > note.start + LOOSE or on_grid(before.start) == start):
            raise DataError(
                f"{name}: two notes sound at once at beat {float(start):g}, and the model writes one voice",
                hint="save the melody alone, as one track",
            )
        end = end_of(note, on_grid(notes[number + 1].start) if number + 1 < len(notes) else None)
        found += [(now, start - now, None)] if start > now else []
        found.append((start, end - start, note.pitch))
        now, before = end, note
    return found


def end_of(note: Note, limit: Fraction | None) -> Fraction:
    """When a note ends: where the next begins, if that is near; else on a sixteenth, if one is near, or on the grid."""
    if limit is not None and limit - note.end <= NEAR:
        return limit
    sixteenth = Fraction(round(note.end * 4), 4)
    end = sixteenth if abs(sixteenth - note.end) < NEAR / 2 and note.end.denominator % 3 else on_grid(note.end)
    return max(end, on_grid(note.start) + GRID)


def on_grid(beats: Fraction) -> Fraction:
    """The nearest place on the grid."""
    return round(beats / GRID) * GRID


def written_bars(voice: Sequence[Segment], beats: Fraction, group: Fraction, signs: Key) -> list[str]:
    """The bars as they are written, a space between groups of notes; what crosses a bar line is tied."""
    bars: list[str] = []
    raised: Key = {}
    for begun, whole, pitch in voice:
        start, length = begun, whole
        while length > 0:
            place = start % beats
            if place == 0:
                bars, raised = [*bars, ""], {}
            part = min(length, beats - place)
            note = "z" if pitch is None else spelled(pitch, signs, raised)
            tie = "-" if pitch is not None and part < length else ""
            space = " " if place and place % group == 0 else ""
            bars[-1] += space + note + length_name(part / UNIT) + tie
            start, length = start + part, length - part
    return bars


def spelled(pitch: int, signs: Key, raised: Key) -> str:
    """A pitch in a key; `raised` has the accidentals of the bar so far, and is kept up to date.

    >>> spelled(66, {"F": 1}, {}), spelled(65, {"F": 1}, {}), spelled(61, {}, {})
    ('F', '=F', '^C')
    """
    ways = [(sign, letter) for sign in (0, 1, -1) for letter in LETTERS if (pitch - sign) % 12 == STEPS[letter]]
    order = [0, -1, 1] if any(value < 0 for value in signs.values()) else [0, 1, -1]
    sign, letter = min(ways, key=lambda way: (way[0] != signs.get(way[1], 0), order.index(way[0])))
    octave = (pitch - sign - STEPS[letter]) // 12 - 5
    plain = raised.get(letter, signs.get(letter, 0)) == sign
    shown = "" if plain and letter not in raised else SIGNS[sign]
    if shown:
        raised[letter] = sign
    return shown + written(LETTERS.index(letter) + 7 * octave)


def length_name(units: Fraction) -> str:
    """A length in units, as it stands behind a note.

    >>> [length_name(Fraction(one)) for one in ("1", "3", "1/2", "2/3")]
    ['', '3', '/2', '2/3']
    """
    top = "" if units.numerator == 1 else str(units.numerator)
    return top if units.denominator == 1 else f"{top}/{units.denominator}"


def likeliest_key(notes: Sequence[Note]) -> str:
    """The major key in which the fewest notes need an accidental; of several that with the fewest sharps or flats."""

    def strange(name: str) -> int:
        signs = key_of(name)
        scale = {(STEPS[letter] + signs.get(letter, 0)) % 12 for letter in LETTERS}
        return sum(note.pitch % 12 not in scale for note in notes)

    return min(MAJOR, key=strange)
