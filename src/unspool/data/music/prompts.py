"""Pieces of yours as prompts: the opening of a tune or a chorale in a MIDI or ABC file, for a model to go on with."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from unspool.data.music.abc_reader import blocks, parse_tune
from unspool.data.music.abc_writer import write_abc
from unspool.data.music.chorales import HIGHEST, LOWEST, Chord
from unspool.data.music.midi import read_midi, read_signatures
from unspool.data.music.notes import Note, Score
from unspool.data.music.tunes import tidied
from unspool.data.readers.decoding import decode
from unspool.data.readers.text import read_bytes
from unspool.errors import DataError

MIDI, ABC = (".mid", ".midi"), (".abc",)
VOICES = 4
NEAR = Fraction(1, 8)
"""So many quarter beats from a beat a note may begin and count as on it."""


def is_piece(prompt: str) -> bool:
    r"""Whether a prompt names a file of music: one line that ends in .mid, .midi or .abc.

    >>> is_piece("tunes/air.MID"), is_piece("X:1\nT:air.mid"), is_piece("60 67")
    (True, False, False)
    """
    return "\n" not in prompt and Path(prompt).suffix.lower() in MIDI + ABC


def piece_of(path: str) -> tuple[bytes, bool]:
    """The contents of a file, and whether it is MIDI."""
    if not Path(path).is_file():
        raise DataError(f"there is no file {path!r}", hint="--prompt FILE.abc or FILE.mid, or the notes themselves")
    return read_bytes(path), Path(path).suffix.lower() in MIDI


def tune_prompt(path: str) -> str:
    """The ABC text that a model of tunes goes on with: the header as it is learned, and the bars without their end.

    Args:
        path: of a file with one tune in ABC notation, or a MIDI file with one voice.

    Raises:
        DataError: that says file, place and what: several tunes, two voices, no grid, a metre that changes.
    """
    data, is_midi = piece_of(path)
    if is_midi:
        metre, key = read_signatures(data, path)
        return write_abc(read_midi(data, path), path, metre, key)
    tune = abc_tune(data, path)
    parse_tune(tune, path, whole=False)
    text = tidied(tune).removesuffix("\n")
    return text.removesuffix("|]") + "|" if text.endswith("|]") else text


def chorale_prompt(path: str) -> tuple[list[Chord], int]:
    """The chords that a model of chorales goes on with, one a quarter beat, and how many notes lie between the beats.

    Args:
        path: of a MIDI file with at most four voices, or of a tune in ABC notation, which is one voice.

    Raises:
        DataError: that says file, place and what: more than four pitches at once, a pitch beyond the piano, or most
            notes between the beats.
    """
    data, is_midi = piece_of(path)
    score = read_midi(data, path) if is_midi else parse_tune(abc_tune(data, path), path, whole=False).score()
    if not score.notes:
        raise DataError(f"{path} has no notes", hint="choose another file")
    between = sum(abs(note.start - round(note.start)) > NEAR for note in score.notes)
    if 2 * between > len(score.notes):
        raise DataError(
            f"{path}: {between} of {len(score.notes)} notes begin between two quarter beats, and chords are one a beat",
            hint="write it in longer notes, for instance twice as slow",
        )
    chords = chords_of(score)
    for beat, chord in enumerate(chords):
        if len(chord) > VOICES:
            raise DataError(
                f"{path}: {len(chord)} pitches sound at beat {beat}, and a chorale has at most {VOICES} voices",
                hint="leave voices out and save it again",
            )
        strange = [pitch for pitch in chord if not LOWEST <= pitch <= HIGHEST]
        if strange:
            raise DataError(
                f"{path}: the pitch {strange[0]} at beat {beat} is beyond a piano's keys",
                hint=f"transpose it to {LOWEST} to {HIGHEST}",
            )
    return chords, between


def chords_of(score: Score) -> list[Chord]:
    """What sounds on every quarter beat.

    >>> chords_of(Score([Note(Fraction(0), Fraction(2), 60), Note(Fraction(1), Fraction(1), 67)]))
    [(60,), (67, 60)]
    """
    end = max(note.end for note in score.notes)
    return [sounding(score.notes, beat) for beat in range(max(1, round(end)))]


def sounding(notes: Sequence[Note], beat: int) -> Chord:
    """The pitches that begin on a beat or go on over it, the highest first."""
    found = {note.pitch for note in notes if note.start <= beat + NEAR and note.end > beat + NEAR}
    return tuple(sorted(found, reverse=True))


def abc_tune(data: bytes, path: str) -> str:
    """The only tune of an ABC file."""
    text, _ = decode(data, path)
    found = [block for _, block in blocks(text)]
    if not found:
        what = "has no tune" if text.strip() else "is empty"
        raise DataError(f"{path} {what}", hint="begin it with a line X:1 and one such as K:D")
    if len(found) > 1:
        what = f"has {len(found)} tunes, and a model goes on with one"
        raise DataError(f"{path} {what}", hint="keep one, from X: to an empty line")
    return found[0]
