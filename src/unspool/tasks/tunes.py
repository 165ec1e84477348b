"""Which character comes next in a tune?"""

from collections.abc import Mapping, Sequence
from math import log
from typing import ClassVar

import torch

from unspool.batch import Tokens
from unspool.data.music.abc_reader import parse
from unspool.data.music.midi import midi
from unspool.data.music.notes import Score
from unspool.data.music.synth import wav
from unspool.data.music.tunes import TuneBook
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.legacy import DocumentFormat, perplexity, tasks
from unspool.tasks.of_text import OfText
from unspool.tasks.pieces import Pieces
from unspool.tasks.translate import line_break


@tasks.register("tunes")
class TuneWriting(OfText, Pieces):
    """Go on with a tune in ABC notation, character by character, from X: to the empty line behind its last bar.

    Each tune is a row of its own and begins with an empty state, after a line break; rows of similar lengths are
    trained on together (`pool` batches' worth are sorted at a time), every tune once an epoch. In the end the model has
    "written" so many whole tunes (`pieces`, 0: none) at a `temperature`, and told is the share of them that parse and
    that keep their metre (`unspool.data.music.abc_tune.Tune.off` says the rule).
    """

    way = "tunes"
    dataset = TuneBook
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "char"}
    speaks: ClassVar[bool] = True

    def __init__(
        self,
        splits: Splits,
        tokenizer: Tokenizer,
        seed: int = 0,
        batch_size: Count = 16,
        pool: Natural = 20,
        pieces: Natural = 100,
        temperature: NotNegative = 0.7,
    ) -> None:
        self.tokenizer, self.parts = tokenizer, parts(splits)
        self.inputs = self.targets = Tokens(tokenizer.size)
        edge = torch.tensor([line_break(tokenizer)])
        rows = {
            name: [torch.cat([edge, torch.from_numpy(tokenizer.encode(tune)).long(), edge]) for tune in tunes]
            for name, tunes in self.parts.items()
        }
        super().__init__(rows, TuneForm(tokenizer), seed, batch_size, pool, pieces, temperature)

    @classmethod
    def texts(cls, part: Sequence[str]) -> dict[str, str]:
        """The tunes, an empty line behind each."""
        return {"tokenizer": "".join(f"{tune}\n" for tune in part)}

    @classmethod
    def form(cls, tokenizers: Mapping[str, Tokenizer]) -> DocumentFormat:
        """A tune."""
        return TuneForm(tokenizers["tokenizer"])

    def summary(self) -> str:
        """How many tunes each split has."""
        return ", tunes: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats per token, bits per character of the tunes with the line break behind each, perplexity."""
        characters = sum(len(tune) + 1 for tune in self.parts[split])
        return {
            "loss": loss,
            "bits_per_character": loss * self.tokens(split) / log(2) / characters,
            "perplexity": perplexity(loss),
        }


class TuneForm(DocumentFormat):
    """A tune: it begins after a line break and ends with an empty line.

    >>> from unspool.data.tokenizer import tokenizers
    >>> form = TuneForm(tokenizers.build("tokenizer", "byte"))
    >>> form.marks(list(b"X:1\\nT:One\\nM:2/4\\nL:1/4\\nK:G\\nG A|B G A|\\n\\n"))
    {'parses': True, 'full_bars': False, 'keeps_metre': False}
    """

    name = "tune"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.edge = tokenizer, line_break(tokenizer)

    def begin(self, prompt: str) -> list[int]:
        """A line break, and what the tune is to begin with."""
        return [self.edge, *self.tokenizer.encode(prompt).tolist()]

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether the last line is empty."""
        return list(ids[-2:]) == [self.edge, self.edge]

    def text(self, ids: Sequence[int]) -> str:
        """The tune, without the empty line."""
        return self.tokenizer.decode(ids).strip("\n") + "\n"

    def marks(self, ids: Sequence[int]) -> dict[str, bool]:
        """Whether it parses, whether the bars inside its parts are full, and whether it keeps its metre altogether."""
        try:
            tune = parse(self.text(ids))
        except DataError:
            return {"parses": False, "full_bars": False, "keeps_metre": False}
        return {"parses": True, "full_bars": not tune.off(halves=False), "keeps_metre": not tune.off()}

    def piece(self, ids: Sequence[int]) -> Score | None:
        """The notes of a tune that parses."""
        try:
            return parse(self.text(ids)).piece()
        except DataError:
            return None

    def files(self, ids: Sequence[int]) -> dict[str, bytes]:
        """The tune as ABC, and where it parses as MIDI and as sound."""
        found, piece = {".abc": self.text(ids).encode()}, self.piece(ids)
        return found if piece is None else {**found, ".mid": midi(piece), ".wav": wav(piece)}
