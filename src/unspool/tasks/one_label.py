"""What tasks with one label for a sequence have in common: how right it was, and what was taken for what."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.batching.bucketed import Row
from unspool.data.batching.buckets import Side
from unspool.data.readers.tables import Record
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.metrics.drawings import Confusion
from unspool.schema import Count, Natural
from unspool.tasks.answer import Answer, column
from unspool.tasks.legacy import Marks

TAKEN = "taken for"


class OneLabel(Answer):
    """Which of a few labels does a sequence have?

    Told are the accuracy and the macro F1: the mean over the labels of 2 right / (given + due), so that rare labels
    weigh as much as frequent ones.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Row]],
        labels: Tokenizer,
        batch_size: Count,
        padding: Side,
        masked: bool,
        pool: Natural,
        pad: int,
        seed: int,
    ) -> None:
        super().__init__(rows, batch_size, padding, masked, pool, pad, seed)
        if labels.size < 2:
            raise DataError("the training data has one label only", hint="check data.path and data.label")
        self.labels, self.targets = labels, Tokens(labels.size)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The labels, one a line."""
        return {"labels": column(part, "label")}

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The labels."""
        return [self.labels.piece(id).decode() for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Which label the whole sequence has, whether or not it can be known yet."""
        names = self.target_labels(range(self.labels.size))
        return super().features(batch) | {f"the label is {name}": batch.targets == id for id, name in enumerate(names)}

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many are right, and how many of each label were taken for each."""
        due, given = batch.targets[batch.loss_mask], scores.argmax(dim=-1)[batch.loss_mask]
        pairs, numbers = torch.stack([due, given]).unique(dim=1, return_counts=True)
        marks = {"accuracy": (float((due == given).sum()), float(len(due)))}
        for (one, other), number in zip(pairs.T.tolist(), numbers.tolist(), strict=True):
            marks[f"{one} {TAKEN} {other}"] = (float(number), 0.0)
        return marks

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats per sequence, accuracy and macro F1."""
        matrix = torch.tensor(self.counted(marks))
        either = matrix.sum(dim=0) + matrix.sum(dim=1)
        scores = 2 * matrix.diagonal()[either > 0] / either[either > 0]
        return {"loss": loss, "accuracy": marks["accuracy"], "macro_f1": float(scores.mean()) if len(scores) else 0.0}

    def confusions(self, marks: Mapping[str, float]) -> dict[str, Confusion]:
        """What was taken for what."""
        return {"confusion": Confusion(self.counted(marks), self.target_labels(range(self.labels.size)))}

    def counted(self, marks: Mapping[str, float]) -> list[list[int]]:
        """How many of each label (rows) were taken for each (columns)."""
        matrix = [[0] * self.labels.size for _ in range(self.labels.size)]
        for name, number in marks.items():
            one, taken, other = name.partition(f" {TAKEN} ")
            if taken:
                matrix[int(one)][int(other)] = round(number)
        return matrix


def answered(sequences: Sequence[Tensor], records: Sequence[Record], labels: Tokenizer) -> list[Row]:
    """The sequences with the ids of their labels."""
    ids = torch.from_numpy(labels.encode("\n".join(record["label"] for record in records)))
    return list(zip(sequences, ids, strict=True))
