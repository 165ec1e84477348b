"""Sentences in two languages."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import torch

from unspool.batch import Domain, Tokens
from unspool.data.preprocessors.generation import SourceAndText, TokenizedTarget
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors, required
from unspool.data.punctuation import join_punctuation, split_punctuation
from unspool.data.tokenizer import Tokenizer, line_break


def prepared(line: str, lower: bool = True, split: bool = True) -> str:
    """A line as a tokenizer of words wants it; preparing it twice is preparing it once.

    Args:
        line: raw text.
        lower: whether it is written in lower case.
        split: whether punctuation is set apart from words.

    >>> prepared("The man's  Hat!")
    "the man 's hat !"
    """
    line = line.lower() if lower else line
    return split_punctuation(line) if split else " ".join(line.split())


@preprocessors.register("parallel-text")
class ParallelText(TokenizedTarget, SourceAndText):  # type: ignore[override]
    r"""A sentence and its translation.

    A translation begins and ends with a line break, as a line of a file does: every tokenizer has that symbol already.
    What is read is "\n a b c", what is predicted "a b c \n", and a translation ends with the second line break. A
    source ends with one too.

    Args:
        tokenizer: of the translations.
        source_tokenizer: of the sources.
        lower: whether both are read in lower case.
        split: whether punctuation is set apart, so that a tokenizer of words finds it.
        reverse_source: whether a source is read from its last token to its first, so that the first, where a
            translation begins, is the most recent in a single vector's memory (Sutskever et al. 2014,
            arXiv:1409.3215).

    >>> from unspool.data.tokenizer import tokenizers
    >>> words = tokenizers.build("tokenizer", "word").fit("eins zwei one two \n")
    >>> row = ParallelText(words, words).encode({"source": "Zwei eins", "target": "Two one"})
    >>> row.input.tolist(), row.target.tolist()
    ([2, 1, 5], [5, 4, 3, 5])
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "source_tokenizer": "word"}
    fields: ClassVar[Mapping[str, str]] = {"source": "source"}
    example: ClassVar[str] = "some text"

    def __init__(
        self,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer,
        lower: bool = True,
        split: bool = True,
        reverse_source: bool = False,
    ) -> None:
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        self.lower, self.split, self.reverse_source = lower, split, reverse_source

    @property
    def source(self) -> Domain:  # type: ignore[override]
        """Token ids of the source language."""
        return Tokens(self.source_tokenizer.size)

    @cached_property
    def source_end(self) -> int:
        """The id of the line break of the source language."""
        return line_break(self.source_tokenizer)

    def prepare(self, line: str) -> str:
        """A raw line as the tokenizers read it."""
        return prepared(line, self.lower, self.split)

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """Both sides, one sentence a line."""
        return {
            name: "".join(f"{self.prepare(record[field])}\n" for record in records)
            for name, field in (("tokenizer", "target"), ("source_tokenizer", "source"))
        }

    def encode(self, record: Record) -> Row:
        """The ids of a source up to its line break (S,), and of its translation between two (U,)."""
        ids = self.source_tokenizer.encode(self.prepare(str(required(record, "source")))).tolist()
        source = torch.tensor([*(reversed(ids) if self.reverse_source else ids), self.source_end])
        if "target" not in record:
            return Row(source)
        return Row(source, self.framed(self.tokenizer.encode(self.prepare(str(record["target"]))).tolist()))

    def references(self, record: Record) -> list[list[str]]:
        """The words of the right translation."""
        return [self.prepare(record["target"]).split()]

    def text(self, ids: Sequence[int]) -> str:
        """The sentence, its punctuation where it is usually written."""
        line = self.tokenizer.decode(ids)
        return join_punctuation(line) if self.split else line

    def source_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens of a source."""
        return [self.source_tokenizer.token(id) for id in ids]
