"""Rows of symbols without any meaning, written as numbers."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch

from unspool.batch import Domain, Tokens
from unspool.data.preprocessors.generation import SourceAndText
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors, required
from unspool.errors import DataError
from unspool.schema import Count


@preprocessors.register("symbols")
class Symbols(SourceAndText):
    """A source and a target of symbols, each written as numbers with spaces between.

    The id beyond the symbols begins a target and ends it.

    Args:
        size: how many symbols there are.

    >>> row = Symbols(size=4).encode({"source": "2 0", "target": "0 2"})
    >>> row.input.tolist(), row.target.tolist()
    ([2, 0], [4, 0, 2, 4])
    """

    fields: ClassVar[Mapping[str, str]] = {"source": "source"}
    example: ClassVar[str] = "1 2 3"

    def __init__(self, size: Count = 16) -> None:
        self.size = self.end = size
        self.source: Domain = Tokens(size)
        self.inputs = self.targets = Tokens(size + 1)

    def symbols(self, text: str) -> list[int]:
        """The symbols of a text. Raises: DataError where one is none."""
        words = text.split()
        if not words or not all(word.isdecimal() and int(word) < self.size for word in words):
            raise DataError(
                f"{text!r} is not a row of numbers from 0 to {self.size - 1}",
                hint="write the numbers with spaces between them",
            )
        return [int(word) for word in words]

    def encode(self, record: Record) -> Row:
        """The ids of the source (S,), and of the target between two ends (U,)."""
        source = torch.tensor(self.symbols(str(required(record, "source"))))
        if "target" not in record:
            return Row(source)
        target = str(record["target"])
        return Row(source, self.framed(self.symbols(target) if target.strip() else []))

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The numbers."""
        return self.input_labels(ids)

    def text(self, ids: Sequence[int]) -> str:
        """The numbers with spaces between."""
        return " ".join(self.tokens(ids))

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Numbers, and a line at either end."""
        return ["|" if id == self.size else str(id) for id in ids]
