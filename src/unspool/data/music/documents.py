"""Tunes and chorales that a model wrote: their notes, and their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.data.music.abc_reader import parse_tune
from unspool.data.music.abc_tune import Tune
from unspool.data.music.chorales import Chord, as_score
from unspool.data.music.midi import midi
from unspool.data.music.notes import Score
from unspool.data.music.synth import wav
from unspool.data.predictions import Prediction
from unspool.errors import DataError

CHOIR = 52
"""The program "choir aahs" of General MIDI, counted from 0."""


@dataclass(frozen=True)
class TuneDocument(Prediction):
    r"""A text that should be a tune in ABC notation.

    Args:
        number: of the document, from 0.
        text: the tune without the empty line behind it.
        ended: whether the model ended it, and not the limit on its length.

    >>> TuneDocument(0, "X:1\nT:One\nM:2/4\nL:1/4\nK:G\nG A|\n", True).score().seconds
    0.8
    """

    number: int
    text: str
    ended: bool

    kind: ClassVar[str] = "tune"

    def tune(self) -> Tune | None:
        """The parsed tune; None where the text is none."""
        try:
            return parse_tune(self.text)
        except DataError:
            return None

    def score(self) -> Score | None:
        """Its notes; None where it does not parse."""
        tune = self.tune()
        return None if tune is None else tune.score()

    def files(self) -> dict[str, bytes]:
        """The contents of its files by their endings: ABC, and MIDI and sound where it parses."""
        score, text = self.score(), {".abc": self.text.encode()}
        return text if score is None else text | {".mid": midi(score), ".wav": wav(score)}

    def columns(self) -> list[dict[str, Any]]:
        """The text, and whether it ended."""
        return [{"text": self.text, "ended": self.ended}]


@dataclass(frozen=True)
class ChoraleDocument(Prediction):
    """A sequence of chords.

    Args:
        number: of the document, from 0.
        chords: pitches as MIDI's numbers in the order in which they were generated: a model may repeat one or go up.
        ended: whether the model ended it, and not the limit on its length.

    >>> document = ChoraleDocument(0, [(67, 64, 60), (65, 60)], True)
    >>> document.is_well_formed(), sorted(document.files())
    (True, ['.mid', '.wav'])
    """

    number: int
    chords: Sequence[Chord]
    ended: bool

    kind: ClassVar[str] = "chorale"

    def is_well_formed(self) -> bool:
        """Whether there is a chord, and every one has at most four pitches, each lower than the one before it."""
        return bool(self.chords) and all(
            len(chord) <= 4 and list(chord) == sorted(set(chord), reverse=True) for chord in self.chords
        )

    def score(self) -> Score:
        """Its notes, each pitch of a chord once."""
        return as_score([tuple(sorted(set(chord), reverse=True)) for chord in self.chords], "Chorale")

    def files(self) -> dict[str, bytes]:
        """The contents of its files by their endings: MIDI for a choir, and sound."""
        score = self.score()
        return {".mid": midi(score, program=CHOIR), ".wav": wav(score)}

    def columns(self) -> list[dict[str, Any]]:
        """The chords as `--prompt` takes them, and whether it ended."""
        return [{"chords": ", ".join(" ".join(map(str, chord)) for chord in self.chords), "ended": self.ended}]
