"""Metrics of labels: accuracy, macro F1 and the confusion matrix, spans, exact matches."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.spans import spans, tells_spans
from unspool.metrics.drawings import Confusion, Drawing
from unspool.metrics.metric import Mean, Metric


def correct(logits: Tensor, batch: Batch) -> Tensor:
    """Whether the likeliest id is the target, at the positions that the loss counts: (N,) bool."""
    return (logits.argmax(dim=-1) == batch.targets)[batch.loss_mask]


class Accuracy(Mean):
    """The share of counted positions at which the likeliest id is the target.

    >>> ids, every = torch.tensor([[0, 1, 1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> batch, logits = Batch(ids, ids, every), torch.eye(2)[torch.tensor([[0, 1, 0]])]  # the last of three is wrong
    >>> metric = Accuracy()
    >>> metric.update(logits, batch)
    >>> metric.compute()
    {'accuracy': 0.6666666666666666}
    """

    name = "accuracy"

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch."""
        right = correct(output, reference)
        self.total, self.number = self.total + float(right.sum()), self.number + len(right)


class AccuracyWhere(Mean):
    """The share of some positions at which the likeliest id is the target.

    Args:
        name: of the value.
        where: the positions of a batch, (B, T) bool.

    >>> ids, every = torch.tensor([[0, 1, 1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> batch, logits = Batch(ids, ids, every), torch.eye(2)[torch.tensor([[0, 1, 0]])]  # the last of three is wrong
    >>> metric = AccuracyWhere("of_ones", lambda batch: batch.targets == 1)
    >>> metric.update(logits, batch)
    >>> metric.compute()
    {'of_ones': 0.5}
    """

    def __init__(self, name: str, where: Callable[[Batch], Tensor]) -> None:
        super().__init__()
        self.name, self.where = name, where

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch."""
        there = self.where(reference)
        right = (output.argmax(dim=-1) == reference.targets) & there
        self.total, self.number = self.total + float(right.sum()), self.number + float(there.sum())


class SequenceAccuracy(Mean):
    """The share of rows in which every counted position is right.

    >>> ids, every = torch.tensor([[0, 1, 1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> batch, logits = Batch(ids, ids, every), torch.eye(2)[torch.tensor([[0, 1, 0]])]  # the last of three is wrong
    >>> metric = SequenceAccuracy()
    >>> metric.update(logits, batch)
    >>> metric.compute()
    {'solved': 0.0}
    """

    name = "solved"

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch."""
        right = (output.argmax(dim=-1) == reference.targets) | ~reference.loss_mask
        self.total, self.number = self.total + float(right.all(dim=1).sum()), self.number + len(right)


class ExactMatch(Mean):
    """The share of predictions that equal their reference.

    >>> metric = ExactMatch()
    >>> metric.update("25", "25")
    >>> metric.update("24", "25")
    >>> metric.compute()
    {'exact_match': 0.5}
    """

    name = "exact_match"

    def update(self, output: Any, reference: Any) -> None:
        """Count one prediction."""
        self.total, self.number = self.total + (output == reference), self.number + 1


class ConfusionMatrix(Metric):
    """Accuracy and macro F1 of one label for each sequence, and the table of which label was predicted for which.

    F1 of a label = 2 correct / (predicted + actual). The macro F1 is the mean over the labels that occur, so that rare
    labels weigh as much as frequent ones; it equals scikit-learn's `f1_score(average="macro")`.

    Args:
        labels: the names of the label ids.

    >>> ids, every = torch.tensor([[0, 1, 1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> batch, logits = Batch(ids, ids, every), torch.eye(2)[torch.tensor([[0, 1, 0]])]  # the last of three is wrong
    >>> metric = ConfusionMatrix(["neg", "pos"])
    >>> metric.update(logits, batch)
    >>> {name: round(value, 2) for name, value in metric.compute().items()}
    {'accuracy': 0.67, 'macro_f1': 0.67}
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.matrix = torch.zeros(len(self.labels), len(self.labels), dtype=torch.long)  # actual, predicted

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: logits (B, T, V) and its targets."""
        actual = reference.targets[reference.loss_mask].cpu()
        predicted = output.argmax(dim=-1)[reference.loss_mask].cpu()
        places = actual * len(self.labels) + predicted
        self.matrix += torch.bincount(places, minlength=self.matrix.numel()).view_as(self.matrix)

    def compute(self) -> dict[str, float]:
        """Accuracy and macro F1."""
        number = int(self.matrix.sum())
        if not number:
            return {}
        either = self.matrix.sum(dim=0) + self.matrix.sum(dim=1)
        scores = 2 * self.matrix.diagonal()[either > 0] / either[either > 0]
        return {"accuracy": float(self.matrix.trace()) / number, "macro_f1": float(scores.mean())}

    def drawing(self) -> dict[str, Drawing]:
        """The table."""
        return {"confusion": Confusion(self.matrix.tolist(), self.labels)}


class SpanF1(Metric):
    """F1 of whole spans of labels such as B-X and I-X: a span is right when both its ends and its X are.

    F1 = 2 correct / (predicted + actual), as conlleval and seqeval count it, in each scheme that `unspool.data.spans`
    reads. Where labels tell no spans there is nothing to count.

    Args:
        labels: the names of the label ids.

    >>> ids, every = torch.tensor([[0, 1, 1]]), torch.ones(1, 3, dtype=torch.bool)
    >>> batch, logits = Batch(ids, ids, every), torch.eye(2)[torch.tensor([[0, 1, 0]])]  # the last of three is wrong
    >>> metric = SpanF1(["B-name", "O"])
    >>> metric.update(logits, batch)
    >>> metric.compute()
    {'span_f1': 0.6666666666666666}
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = list(labels)
        self.has_spans = tells_spans(self.labels)
        self.correct = self.total = 0

    def update(self, output: Tensor, reference: Batch) -> None:
        """Count a batch: logits (B, T, V) and its targets."""
        if not self.has_spans:
            return
        for predicted, actual, counted in zip(
            output.argmax(dim=-1), reference.targets, reference.loss_mask, strict=True
        ):
            one, other = (spans([self.labels[id] for id in ids[counted].tolist()]) for ids in (predicted, actual))
            self.correct, self.total = self.correct + len(one & other), self.total + len(one) + len(other)

    def compute(self) -> dict[str, float]:
        """The F1; nothing where there are no spans."""
        return {"span_f1": 2 * self.correct / self.total} if self.total else {}
