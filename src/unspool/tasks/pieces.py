"""What tasks have in common whose model writes whole pieces: a row for each piece, and what is written is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.buckets import Buckets, padded
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.legacy import DocumentFormat, Finals, Task, Trained, tally


class Pieces(Task):
    """Go on with a piece, from its beginning to its end.

    Each piece is a row of its own and begins with an empty state; rows of similar lengths are trained on together
    (`pool` batches' worth are sorted at a time), every piece once an epoch. In the end the model has "written" so many
    whole `pieces` at a `temperature`, and told is the share of them that is as its `piece_form` says.

    `rows` are the ids of every piece of each split, from the first that is read to the last that is asked for.
    """

    way: ClassVar[str]
    """What one exam is called, and what the pieces are."""

    def __init__(
        self,
        rows: Mapping[str, Sequence[Tensor]],
        piece_form: DocumentFormat,
        seed: int,
        batch_size: Count,
        pool: Natural,
        pieces: Natural,
        temperature: NotNegative,
    ) -> None:
        self.rows, self.piece_form, self.seed = rows, piece_form, seed
        self.batch_size, self.pool = batch_size, pool
        self.pieces, self.temperature = pieces, temperature

    def train_batches(self) -> Batches:
        """The training pieces, shuffled anew in each epoch."""
        return self._buckets("train", self.pool)

    def exams(self, split: str) -> dict[str, Batches]:
        """Everything that is said in every piece, after what was said before it."""
        return {self.way: self._buckets(split, 0)} if split in self.rows else {}

    def first(self, split: str, rows: int, longest: int) -> Batch | None:
        """The first pieces of the split, as they stand in the data."""
        batch = side_by_side(self.rows[split][:rows]) if split in self.rows else None
        return batch and replace(batch, mask=batch.loss_mask)

    def _buckets(self, split: str, pool: int) -> Buckets:
        rows = self.rows[split]

        def gather(numbers: Tensor) -> Batch:
            return side_by_side([rows[number] for number in numbers.tolist()])

        return Buckets([len(row) for row in rows], self.batch_size, gather, pool, self.seed)

    def tokens(self, split: str) -> int:
        """How many ids are asked for in a split."""
        return sum(len(row) - 1 for row in self.rows[split])

    def finals(self, split: str, trained: Trained) -> Finals:
        """What the pieces are like that it writes."""
        if split not in self.rows or not self.pieces:
            return {}, {}
        made = trained.compose(self.piece_form, self.pieces, self.temperature)
        return {"written": {"pieces": float(self.pieces), **tally([self.piece_form.marks(ids) for ids in made])}}, {}


def side_by_side(rows: Sequence[Tensor]) -> Batch:
    """Pieces as a batch; what is read behind a piece's end counts for nothing."""
    ids, there = padded(rows)
    return Batch(ids[:, :-1], ids[:, 1:], there[:, 1:])
