"""The base of tasks whose models generate whole documents, such as tunes."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from unspool.batch import Batch
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.metrics.metric import EvalSet, GenerationSet
from unspool.pipelines.writing import Writer
from unspool.schema import Count, Natural
from unspool.tasks.sequence import RowTask


class DocumentTask(RowTask):
    """Predict every next token of documents, each of which begins with an empty state.

    Rows of similar lengths make a batch, every document once an epoch. The set "teacher_forced" is every token of every
    document, given those before it; the set "generated" is documents that the model writes by itself.

    Args:
        splits: the documents of each split.
        preprocessor: turns them into ids.
        seed: of the order of the rows.
        batch_size: rows in a batch.
        pool: so many batches' worth of rows are sorted by length at a time.
        documents: so many documents are written in every evaluation of the set "generated" (0: none).
    """

    pipeline: ClassVar[type[Writer]]

    def __init__(
        self,
        splits: Any,
        preprocessor: Preprocessor,
        seed: int = 0,
        batch_size: Count = 16,
        pool: Natural = 20,
        documents: Natural = 100,
    ) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool)
        self.documents = documents

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every token of the split once."""
        if split not in self.rows:
            return {}
        return {"teacher_forced": EvalSet(self.batches(split), derived=partial(self.derived, split))}

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """So many documents, the same for every split that there is."""
        if split not in self.rows or not self.documents:
            return {}
        numbers = [{"number": number} for number in range(self.documents)]
        return {"generated": GenerationSet(numbers, self.pipeline.metrics)}

    def derived(self, split: str, loss: float) -> Mapping[str, float]:
        """What follows from the mean loss of a token."""
        raise NotImplementedError

    def nats(self, split: str, loss: float) -> float:
        """The loss of a whole split in nats, from its mean over tokens."""
        return loss * sum(len(row.input) - 1 for row in self.rows[split])

    def first(self, split: str, rows: int, length: int) -> Batch | None:
        """The first documents of the split, as they stand in the data, without what is beyond their ends."""
        batch = super().first(split, rows, length)
        return batch and replace(batch, mask=batch.loss_mask)
