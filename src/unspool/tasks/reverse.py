"""Say it backwards."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.probe import left
from unspool.errors import DataError
from unspool.schema import Count
from unspool.tasks.generated import Generated
from unspool.tasks.legacy import GenerationRequest, tasks


@tasks.register("reverse")
class Reverse(Generated):
    """Say the symbols of a source backwards: the smallest translation there is, for a model that looks.

    There are `size` symbols, and `length` of them at most; the length is drawn, so sources are padded. The id beyond
    the symbols begins an answer and ends it.

    >>> batch = Reverse(size=4, length=3, batch_size=1, seed=10).train_batches()[0]
    >>> batch.source.tolist(), batch.inputs.tolist(), batch.targets.tolist()
    ([[2, 0]], [[4, 0, 2]], [[0, 2, 4]])
    """

    answers: ClassVar[bool] = True

    def __init__(
        self, size: Count = 16, length: Count = 10, batch_size: Count = 64, epoch: Count = 30, seed: int = 0
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.size, self.length = size, length
        self.inputs = self.targets = Tokens(size + 1)
        self.source = Tokens(size)

    def ask(self, text: str, dataset: Any) -> GenerationRequest:
        """Symbols as numbers, with spaces between them."""
        words = text.split()
        if not words or not all(word.isdecimal() and int(word) < self.size for word in words):
            raise DataError(
                f"{text!r} is not a row of symbols", hint=f"write numbers below {self.size} with spaces between them"
            )
        return GenerationRequest([self.size], self.size, max(self.length, len(words)), [int(word) for word in words])

    def answer(self, ids: list[int], dataset: Any) -> str:
        """The numbers again."""
        return " ".join(map(str, ids))

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Numbers, and a line at either end."""
        return ["|" if id == self.size else str(id) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """How much is still to be said."""
        return {"symbols left to say": left(batch)}

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of different lengths."""
        lengths = torch.randint(1, self.length + 1, (self.batch_size, 1), generator=random)
        longest = int(lengths.max())
        source = torch.randint(self.size, (self.batch_size, longest), generator=random)
        columns = torch.arange(longest + 1)
        backwards = source.gather(1, (lengths - 1 - columns[:-1]).clamp(min=0))
        edge = torch.full((self.batch_size, 1), self.size)
        targets = torch.where(columns < lengths, torch.cat([backwards, edge], dim=1), self.size)
        inputs = torch.cat([edge, targets[:, :-1]], dim=1)
        mask = columns <= lengths
        return Batch(inputs, targets, mask, mask, source, columns[:-1] < lengths)
