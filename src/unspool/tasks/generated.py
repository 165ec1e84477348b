"""What tasks that make their own data have in common: batches drawn anew, and other ones for each split."""

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.drawn import Drawn
from unspool.data.source import Nothing
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.task import Marks, Task, accuracy

SPLITS = {"train": 0, "valid": 1, "test": 2}


class Generated(Task):
    """A problem whose every batch is drawn anew: nothing can be learned by heart.

    `epoch` says how many batches are called one pass, in training and in every exam. The exams' batches come from other
    seeds; they are told as "fresh", with the accuracy over all positions that count and the share of rows that are
    right in all of them.
    """

    material = Nothing

    def __init__(self, batch_size: Count, epoch: Count, seed: int) -> None:
        self.batch_size, self.epoch, self.seed = batch_size, epoch, seed

    def draw(self, random: torch.Generator) -> Batch:
        """One batch."""
        raise NotImplementedError

    def batches(self) -> Batches:
        """Batches that never come again."""
        return self._drawn("train")

    def exams(self, split: str) -> dict[str, Batches]:
        """One pass of batches that training never sees."""
        return {"fresh": self._drawn(split)}

    def _drawn(self, split: str) -> Batches:
        return Drawn(self.draw, seed_of(self.seed, split), self.epoch)

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many positions that count are right, and how many rows are right in all of them."""
        right = (scores.argmax(dim=-1) == batch.targets) | ~batch.loss_mask
        return {
            "accuracy": accuracy(scores, batch),
            "solved": (float(right.all(dim=1).sum()), float(len(right))),
        }


def seed_of(seed: int, split: str) -> int:
    """What a split is drawn from: training from the seed itself, the others from seeds of their own.

    >>> seed_of(3, "train"), seed_of(3, "valid") == seed_of(3, "test")
    (3, False)
    """
    return mix(seed, -SPLITS[split]) if split != "train" else seed


def bits(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Zeros and ones, as likely as each other."""
    return torch.randint(2, shape, generator=random)
