"""Which chord comes next?"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.music.chorales import HIGHEST, LOWEST, ChoraleBook, Chord, played
from unspool.data.music.midi import midi
from unspool.data.music.notes import Score
from unspool.data.music.synth import wav
from unspool.data.splits import Splits, parts
from unspool.errors import ConfigError
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.legacy import DocumentFormat, perplexity, tasks
from unspool.tasks.pieces import Pieces

EDGE, NEXT, FIRST = 0, 1, 2
"""Ids: a piece begins and ends, the next chord begins, and the lowest pitch."""


@tasks.register("chorales")
class ChoraleWriting(Pieces):
    """Go on with music in chords: the next chord, given all before it.

    A chord is predicted voice by voice, from the highest to the lowest, each given those above it, until the sign that
    it has no more. The chain rule makes the sum of their losses the exact negative log-likelihood of the chord among
    all sets of pitches (unordered or repeated ones have a share that is not taken out, so it is an upper bound), and
    `chord_nll`, the mean over chords in nats, is what Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392) and others
    call the NLL of a frame or time step. The end of a piece is a choice like any other here, and counted.

    Each piece is a row and begins with an empty state; rows of similar lengths are trained on together. In the end the
    model has "written" so many whole `pieces` at a `temperature`; told is the share that is "well formed": pitches that
    go down within each chord, no more than four.
    """

    way = "chorales"
    dataset = ChoraleBook

    def __init__(
        self,
        splits: Splits,
        seed: int = 0,
        batch_size: Count = 16,
        pool: Natural = 20,
        pieces: Natural = 20,
        temperature: NotNegative = 0.9,
    ) -> None:
        self.inputs = self.targets = Tokens(FIRST + HIGHEST - LOWEST + 1)
        self.parts = parts(splits)
        rows = {name: [torch.tensor([*ids(piece), EDGE]) for piece in part] for name, part in self.parts.items()}
        super().__init__(rows, ChoraleForm(), seed, batch_size, pool, pieces, temperature)

    @classmethod
    def form(cls, tokenizers: Mapping[str, Any]) -> DocumentFormat:
        """A chorale."""
        return ChoraleForm()

    def summary(self) -> str:
        """How many pieces each split has."""
        return ", pieces: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Pitches as MIDI's numbers, a comma before the next chord, and a line at either end."""
        return [{EDGE: "|", NEXT: ","}.get(id, str(id - FIRST + LOWEST)) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is to be remembered of the chord that is being written, and of the piece."""
        columns, ended = torch.arange(batch.inputs.shape[1]), batch.inputs < FIRST
        voices = columns - torch.where(ended, columns, 0).cummax(dim=1).values
        return {
            "a chord is finished": ended,
            "voices of the chord so far": voices.float(),
            "chords so far": (batch.inputs == NEXT).cumsum(dim=1).float(),
        }

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats per token, nats per chord, perplexity per token."""
        chords = sum(map(len, self.parts[split]))
        return {"loss": loss, "chord_nll": loss * self.tokens(split) / chords, "perplexity": perplexity(loss)}


class ChoraleForm(DocumentFormat):
    """A piece in chords. It may begin with some: "67 64 60 48, 69 65 60 53".

    >>> form = ChoraleForm()
    >>> form.chords([*form.begin("67 60, 65"), 46, 1])
    [(67, 60), (65,), (65,)]
    """

    name = "chorale"

    def begin(self, prompt: str) -> list[int]:
        """The edge, and the chords that the piece is to begin with."""
        chords = []
        for words in filter(None, (part.split() for part in prompt.split(","))):
            if not all(word.isdecimal() and LOWEST <= int(word) <= HIGHEST for word in words):
                raise ConfigError(f"{' '.join(words)!r} is no chord", hint='--prompt "67 64 60 48, 69 65 60 53"')
            chords.append(tuple(sorted({int(word) for word in words}, reverse=True)))
        return ids(chords)

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether the last id is an edge, and not the first one."""
        return len(ids) > 1 and ids[-1] == EDGE

    def chords(self, ids: Sequence[int]) -> list[Chord]:
        """The chords that are finished, their pitches as they were written."""
        found: list[Chord] = []
        now: list[int] = []
        for one in ids:
            if one == NEXT:
                found.append(tuple(now))
                now = []
            elif one != EDGE:
                now.append(one - FIRST + LOWEST)
        return found

    def marks(self, ids: Sequence[int]) -> dict[str, bool]:
        """Whether every chord is well formed."""
        chords = self.chords(ids)
        return {"well_formed": bool(chords) and all(len(c) <= 4 and list(c) == sorted(set(c))[::-1] for c in chords)}

    def piece(self, ids: Sequence[int]) -> Score:
        """The chords as notes."""
        return played([tuple(sorted(set(chord), reverse=True)) for chord in self.chords(ids)], "Chorale")

    def files(self, ids: Sequence[int]) -> dict[str, bytes]:
        """The piece as MIDI (a choir) and as sound."""
        piece = self.piece(ids)
        return {".mid": midi(piece, program=52), ".wav": wav(piece)}


def ids(chords: Sequence[Chord]) -> list[int]:
    """The ids of a piece without its end.

    >>> ids([(67, 60), ()])
    [0, 48, 41, 1, 1]
    """
    return [EDGE, *(one for chord in chords for one in (*(pitch - LOWEST + FIRST for pitch in chord), NEXT))]
