"""What tasks that read a text have in common: what its tokens are called, and what is true of it."""

from collections.abc import Sequence

from torch import Tensor

from unspool.batch import Batch
from unspool.data.probe import everywhere
from unspool.data.text_features import features_of_rows
from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.tasks.legacy import Task

BEYOND = "___"
"""An id beyond the tokenizer's: a blank."""


class OfText(Task):
    """What is read is a text, token by token, as `tokenizer` has it."""

    tokenizer: Tokenizer

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The tokens."""
        return [self.tokenizer.token(id) if id < self.tokenizer.size else BEYOND for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far."""
        there = everywhere(batch.inputs, batch.mask) & (batch.inputs < self.tokenizer.size)
        rows = zip(batch.inputs, there, strict=True)
        texts = [[*map(TextStream(self.tokenizer).feed, ids[here].tolist())] for ids, here in rows]
        return super().features(batch) | features_of_rows(texts, there)
