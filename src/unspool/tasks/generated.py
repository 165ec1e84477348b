"""The base of tasks that generate their own data."""

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.drawn import Drawn
from unspool.data.splits import NoData
from unspool.metrics.labels import Accuracy, SequenceAccuracy
from unspool.metrics.metric import EvalSet, MetricFactory, Unit
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.task import Task

SPLITS = {"train": 0, "valid": 1, "test": 2}


class Generated(Task):
    """A task with a new random batch at every step, so that nothing can be memorized.

    `epoch` says how many batches are one pass, in training and in every evaluation. The batches of the set "fresh" come
    from other seeds than those of training.

    Args:
        batch_size: rows in a batch.
        epoch: so many batches are one pass, in training and in every evaluation.
        seed: what everything is drawn from.
    """

    dataset = NoData
    unit = Unit("symbol")

    def __init__(self, batch_size: Count, epoch: Count, seed: int) -> None:
        self.batch_size, self.epoch, self.seed = batch_size, epoch, seed

    def draw(self, random: torch.Generator) -> Batch:
        """One batch."""
        raise NotImplementedError

    def train_batches(self) -> Batches:
        """Batches that never come again."""
        return self.drawn("train")

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """One pass of batches that training never sees."""
        return {"fresh": EvalSet(self.drawn(split), self.metrics())}

    def metrics(self) -> list[MetricFactory]:
        """The share of counted positions that are right, and of rows that are right in all of them."""
        return [Accuracy, SequenceAccuracy]

    def drawn(self, split: str) -> Batches:
        """The batches of a split."""
        return Drawn(self.draw, seed_of(self.seed, split), self.epoch)


def seed_of(seed: int, split: str) -> int:
    """What a split is drawn from: training from the seed itself, the others from seeds of their own.

    >>> seed_of(3, "train"), seed_of(3, "valid") == seed_of(3, "test")
    (3, False)
    """
    return mix(seed, -SPLITS[split]) if split != "train" else seed


def bits(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Zeros and ones, as likely as each other."""
    return torch.randint(2, shape, generator=random)
