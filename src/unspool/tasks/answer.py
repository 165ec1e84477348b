"""What tasks with one answer to a whole sequence have in common: the batches, and the options for them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from unspool.batch import Batch, Batches
from unspool.data.batching.bucketed import Bucketed, Row
from unspool.data.batching.buckets import Side
from unspool.data.readers.tables import Record
from unspool.schema import Count, Natural
from unspool.tasks.legacy import Task


def column(part: Sequence[Record], name: str) -> str:
    r"""What the records say under a name, one a line: what a tokenizer is fitted to.

    >>> column([{"text": "to be"}, {"text": "or not"}], "text")
    'to be\nor not\n'
    """
    return "".join(f"{record[name]}\n" for record in part)


class Answer(Task):
    """A sequence is read to its end, and then something is to be said of it.

    `rows` are the sequences of each split with their answers. An exam, told as "all", has every row once.
    """

    causal = False
    batching: ClassVar[type[Bucketed]] = Bucketed

    def __init__(
        self,
        rows: Mapping[str, Sequence[Row]],
        batch_size: Count,
        padding: Side,
        masked: bool,
        pool: Natural,
        pad: int,
        seed: int,
    ) -> None:
        self.rows = {name: split for name, split in rows.items() if split}
        self.batch_size, self.padding, self.masked = batch_size, padding, masked
        self.pool, self.pad, self.seed = pool, pad, seed

    def train_batches(self) -> Batches:
        """The training rows, in another order in every epoch."""
        return self._bucketed("train", self.pool)

    def exams(self, split: str) -> dict[str, Batches]:
        """Every row of the split once."""
        return {"all": self._bucketed(split, pool=0 if self.pool > 1 else self.pool)} if split in self.rows else {}

    def first(self, split: str, rows: int, longest: int) -> Batch | None:
        """The first rows of the split, as they stand in the data."""
        return self._bucketed(split, 0).batch(self.rows[split][:rows]) if split in self.rows else None

    def _bucketed(self, split: str, pool: int) -> Bucketed:
        return self.batching(self.rows[split], self.batch_size, self.padding, self.masked, self.pad, pool, self.seed)

    def summary(self) -> str:
        """How many rows each split has."""
        return ", examples: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())
