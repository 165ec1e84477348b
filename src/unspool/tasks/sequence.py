"""The base of tasks on records: batches of rows with similar lengths."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.buckets import Buckets
from unspool.data.preprocessors.preprocessor import Preprocessor, Row
from unspool.data.probe import everywhere
from unspool.data.splits import non_empty
from unspool.data.text_features import features_of_rows
from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.schema import Count, Natural
from unspool.tasks.task import Task


class RowTask(Task):
    """A task whose records become rows, each in a batch with others of similar length.

    Args:
        splits: the records of each split.
        preprocessor: fitted on the training records.
        seed: of the order of the rows.
        batch_size: rows in a batch.
        pool: so many batches' worth of rows are sorted by length at a time; 1 leaves lengths as they come, 0 sorts all.
    """

    preprocessor: Preprocessor

    def __init__(
        self, splits: Any, preprocessor: Preprocessor, seed: int = 0, batch_size: Count = 32, pool: Natural = 50
    ) -> None:
        self.preprocessor, self.records = preprocessor, non_empty(splits)
        self.inputs, self.targets, self.source = preprocessor.inputs, preprocessor.targets, preprocessor.source
        self.batch_size, self.pool, self.seed = batch_size, pool, seed
        self.rows = {split: self.encoded(records) for split, records in self.records.items()}

    def encoded(self, records: Sequence[Any]) -> Sequence[Row]:
        """The rows of some records."""
        return [self.preprocessor.encode(record) for record in records]

    def length(self, row: Row) -> int:
        """What rows are sorted by."""
        return len(row.input)

    def train_batches(self) -> Batches:
        """The training rows, in another order in every epoch."""
        return self.batches("train", self.pool)

    def batches(self, split: str, pool: int = 0) -> Buckets:
        """The rows of a split as batches, each row once an epoch."""
        rows = self.rows[split]

        def gather(numbers: Tensor) -> Batch:
            return self.preprocessor.collate([rows[number] for number in numbers.tolist()])

        return Buckets([self.length(row) for row in rows], self.batch_size, gather, pool, self.seed)

    def first(self, split: str, rows: int, length: int) -> Batch | None:
        """The first rows of the split, as they stand in the data."""
        return self.preprocessor.collate(self.rows[split][:rows]) if split in self.rows else None

    def summary(self) -> str:
        """How many rows each split has."""
        return "examples: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())


def evaluation_pool(pool: int) -> int:
    """The pool of an evaluation: lengths stay as they come where training leaves them so, else all is sorted."""
    return 0 if pool > 1 else pool


def text_features_of(batch: Batch, tokenizer: Tokenizer, ids: Tensor | None = None) -> dict[str, Tensor]:
    """What is true of the texts of a batch so far.

    Args:
        batch: rows of token ids.
        tokenizer: what they were made with.
        ids: (B, T), the ids to read where they are not the batch's inputs.
    """
    read = batch.inputs if ids is None else ids
    there = everywhere(read, batch.mask) & (read < tokenizer.size)
    rows = zip(read, there, strict=True)
    texts = [[*map(TextStream(tokenizer).feed, row[here].tolist())] for row, here in rows]
    return features_of_rows(texts, there)


def label_features(batch: Batch, names: Sequence[str]) -> Mapping[str, Tensor]:
    """Which label the target is: whether or not it can be known yet."""
    return {f"the label is {name}": batch.targets == id for id, name in enumerate(names)}
