"""The contract of a task: what the problem is, apart from any model."""

from typing import Any

from unspool.batch import Batches, Kind
from unspool.registry import Registry


class Task:
    """What is read, what is predicted, the batches of each split, and how a loss is told.

    >>> sorted(Task.figures(None, "valid", 1.0))
    ['loss']
    """

    reads: Kind
    writes: Kind
    causal: bool = True
    """Whether a model that sees what comes after would be cheating."""

    def batches(self) -> Batches:
        """What to train on."""
        raise NotImplementedError

    def exams(self, split: str) -> dict[str, Batches]:
        """What to evaluate on, by the name of the way: every position of the split once. Empty without that split."""
        raise NotImplementedError

    def figures(self, split: str, loss: float) -> dict[str, float]:
        """The loss, in nats per position, in the units that people compare."""
        return {"loss": loss}


tasks: Registry[Task] = Registry("task", "unspool.tasks")


def kind_to_json(kind: Kind) -> dict[str, Any]:
    """A kind as plain data.

    >>> from unspool.batch import Tokens
    >>> kind_to_json(Tokens(65))
    {'kind': 'Tokens', 'size': 65}
    """
    return {"kind": type(kind).__name__, "size": kind.size}
