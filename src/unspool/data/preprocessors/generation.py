"""What preprocessors of text generation have in common: prompts, an id that ends a text, and decoded candidates."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.batch import Batch, Domain, Tokens
from unspool.data.batching.collate import sequence_pairs
from unspool.data.predictions import Prediction, Text
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row
from unspool.data.tokenizer import Tokenizer, line_break


class Generation(NamedTuple):
    """What a search found for one record."""

    candidates: Sequence[tuple[list[int], float]]  # ids without the end, and their log-probability in nats; best first
    attention: Tensor | None = None  # (U + 1, S), of each id of the best and of the end to each place of the source


class GeneratedText(Preprocessor):
    """Records whose answer is a text that a model generates id by id, up to the id `end`.

    A batch of rows without targets holds prompts: what is read before the first id is generated.
    """

    end: int
    """The id that ends a text."""

    @abstractmethod
    def tokens(self, ids: Sequence[int]) -> list[str]:
        """What generated ids stand for, token by token: BLEU counts these."""

    @abstractmethod
    def text(self, ids: Sequence[int]) -> str:
        """The text of generated ids, as a user reads it."""

    def decode(self, output: Generation, record: Record) -> Prediction:
        """The best candidate as a text, with the others as its alternatives."""
        best, *others = [Text(self.text(ids), self.tokens(ids), value) for ids, value in output.candidates]
        return replace(best, alternatives=others, attention=output.attention)


class TokenizedTarget:
    """What a preprocessor has whose generated text is made of a tokenizer's words, and ends with a line break."""

    tokenizer: Tokenizer
    """Of the text."""

    @property
    def inputs(self) -> Domain:
        """Token ids of the text."""
        return Tokens(self.tokenizer.size)

    @property
    def targets(self) -> Domain:
        """Token ids of the text."""
        return Tokens(self.tokenizer.size)

    @cached_property
    def end(self) -> int:
        """The id of the line break of the text."""
        return line_break(self.tokenizer)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The words, with punctuation apart."""
        return self.tokenizer.decode(ids).split()

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens of the text."""
        return [self.tokenizer.token(id) for id in ids]


class SourceAndText(GeneratedText):
    """A source for an encoder, and a text between two ids `end` that is generated from it; the first is the prompt."""

    def framed(self, ids: Sequence[int]) -> Tensor:
        """The ids of a text between two ends, (U,)."""
        return torch.tensor([self.end, *ids, self.end])

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Sources and texts side by side; rows without a text have the prompt alone."""
        prompt = torch.tensor([self.end, self.end])
        return sequence_pairs([row.input for row in rows], [prompt if r.target is None else r.target for r in rows])
