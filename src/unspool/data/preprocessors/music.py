"""Tunes as characters, and chorales as pitches; each with a token where it begins and where it ends."""

from collections.abc import Sequence
from functools import cached_property

import torch

from unspool.batch import Batch, Tokens
from unspool.data.batching.collate import next_tokens
from unspool.data.music.chorales import HIGHEST, LOWEST, Chord
from unspool.data.music.documents import ChoraleDocument, TuneDocument
from unspool.data.preprocessors.language import LanguageText
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, preprocessors
from unspool.data.tokenizer import line_break
from unspool.errors import ConfigError

EDGE, NEXT, FIRST = 0, 1, 2
"""Ids of chorales: where one begins and ends, the end of a chord, and the lowest pitch."""


Generated = tuple[int, Sequence[int], bool]
"""A generated document: its number, its ids with what it began with, and whether the model ended it."""


@preprocessors.register("tune")
class TuneText(LanguageText):
    r"""A tune in ABC notation between two line breaks; its last line being empty is its end.

    Args:
        tokenizer: of the tunes; it has a token of its own for a line break.

    >>> from unspool.data.tokenizer import tokenizers
    >>> preprocessor = TuneText(tokenizers.build("tokenizer", "byte"))
    >>> preprocessor.encode("X:1\n").input.tolist()
    [10, 88, 58, 49, 10, 10]
    >>> preprocessor.ended([10, 88, 58, 49, 10, 10]), preprocessor.ended([10])
    (True, False)
    """

    @cached_property
    def edge(self) -> int:
        """The id of a line break."""
        return line_break(self.tokenizer)

    def texts(self, records: Sequence[str]) -> dict[str, str]:
        """The tunes, an empty line behind each."""
        return {"tokenizer": "".join(f"{tune}\n" for tune in records)}

    def encode(self, record: str) -> Row:
        """The ids of a tune with a line break before and behind it, (T + 2,)."""
        edge = torch.tensor([self.edge])
        return Row(torch.cat([edge, super().encode(record).input, edge]))

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Tunes side by side, every next character a target."""
        return next_tokens([row.input for row in rows])

    def begin(self, prompt: str) -> list[int]:
        """The ids that are read before the first is generated: a line break, and what the tune begins with."""
        return [self.edge, *self.tokenizer.encode(prompt).tolist()]

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether the last line is empty."""
        return list(ids[-2:]) == [self.edge, self.edge]

    def decode(self, output: Generated, record: Record) -> TuneDocument:
        """A generated document as a tune, without the empty line."""
        number, ids, ended = output
        return TuneDocument(number, self.tokenizer.decode(ids).strip("\n") + "\n", ended)


@preprocessors.register("chorale")
class ChoralePitches(Preprocessor):
    """Chords as the ids of their pitches, from the highest to the lowest, each chord with an end; an edge at both ends.

    >>> ChoralePitches().encode([(67, 60), ()]).input.tolist()
    [0, 48, 41, 1, 1, 0]
    """

    inputs = targets = Tokens(FIRST + HIGHEST - LOWEST + 1)

    def encode(self, record: Sequence[Chord]) -> Row:
        """The ids of some chords, (T,)."""
        return Row(torch.tensor([*self.ids(record), EDGE]))

    def ids(self, chords: Sequence[Chord]) -> list[int]:
        """The ids of some chords without the edge behind them."""
        return [EDGE, *(id for chord in chords for id in (*(pitch - LOWEST + FIRST for pitch in chord), NEXT))]

    def chords(self, ids: Sequence[int]) -> list[Chord]:
        """The chords that are complete, their pitches in the order of the ids.

        >>> ChoralePitches().chords([0, 48, 41, 1, 46, 1, 46])
        [(67, 60), (65,)]
        """
        found: list[Chord] = []
        chord: list[int] = []
        for id in ids:
            if id == NEXT:
                found, chord = [*found, tuple(chord)], []
            elif id != EDGE:
                chord.append(id - FIRST + LOWEST)
        return found

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Chorales side by side, every next id a target."""
        return next_tokens([row.input for row in rows])

    def begin(self, prompt: str) -> list[int]:
        """The edge, and the chords that the chorale begins with.

        Args:
            prompt: chords with commas between, for instance "67 64 60 48, 69 65 60 53"; `rest` is silence.

        Raises:
            ConfigError: a chord is not made of pitches.

        >>> ChoralePitches().begin("60 67")
        [0, 48, 41, 1]
        """
        chords: list[Chord] = []
        for words in filter(None, (part.split() for part in prompt.split(","))):
            if words == ["rest"]:
                chords.append(())
                continue
            if not all(word.isdecimal() and LOWEST <= int(word) <= HIGHEST for word in words):
                raise ConfigError(f"{' '.join(words)!r} is not a chord", hint='--prompt "67 64 60 48, 69 65 60 53"')
            chords.append(tuple(sorted({int(word) for word in words}, reverse=True)))
        return self.ids(chords)

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether the last id is an edge, and not the first one."""
        return len(ids) > 1 and ids[-1] == EDGE

    def decode(self, output: Generated, record: Record) -> ChoraleDocument:
        """A generated document as chords."""
        number, ids, ended = output
        return ChoraleDocument(number, self.chords(ids), ended)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Pitches as MIDI's numbers, a comma behind every chord, and a line at either end."""
        return [{EDGE: "|", NEXT: ","}.get(id, str(id - FIRST + LOWEST)) for id in ids]
