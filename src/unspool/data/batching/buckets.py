"""Rows of many lengths as batches of similar ones, each row once an epoch."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch
from unspool.schema import Count, Natural
from unspool.seeds import mix

Side = Literal["left", "right"]


class Buckets:
    """Batches of rows with similar lengths, so that little is padded; `gather` makes a batch of rows by number.

    Every epoch shuffles the rows by the seed and its number, sorts each `pool` batches' worth of them by length, and
    shuffles the batches: each row comes once an epoch. A pool of 0 sorts everything and shuffles nothing.

    >>> ids, here = torch.zeros(4, 1, dtype=torch.long), torch.ones(4, 1, dtype=torch.bool)
    >>> buckets = Buckets([5, 1, 4, 2], 2, lambda rows: Batch(ids[rows], ids[rows], here[rows]), pool=0)
    >>> [rows.tolist() for rows in buckets.order(epoch=0)]
    [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: Count,
        gather: Callable[[Tensor], Batch],
        pool: Natural = 50,
        seed: int = 0,
    ) -> None:
        self.lengths, self.batch_size, self.gather = torch.tensor(lengths), batch_size, gather
        self.pool, self.seed = pool, seed
        self._drawn: tuple[int, list[Tensor]] = (-1, [])

    @property
    def epoch(self) -> int:
        """How many batches show every row once."""
        return -(-len(self.lengths) // self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        epoch, index = divmod(number, self.epoch)
        if self._drawn[0] != epoch:
            self._drawn = epoch, self.order(epoch)
        return self.gather(self._drawn[1][index])

    def order(self, epoch: int) -> list[Tensor]:
        """The rows of every batch of an epoch."""
        if not self.pool:
            return list(self.lengths.argsort(stable=True).split(self.batch_size))
        random = torch.Generator().manual_seed(mix(self.seed, epoch))
        shuffled = torch.randperm(len(self.lengths), generator=random)
        pools = shuffled.split(self.pool * self.batch_size)
        batches = [b for pool in pools for b in pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)]
        return [batches[index] for index in torch.randperm(len(batches), generator=random).tolist()]


def padded(sequences: Sequence[Tensor], pad: int = 0, side: Side = "right") -> tuple[Tensor, Bool[Tensor, "B T"]]:
    """The sequences side by side, filled up to the longest of them, and what of it is theirs.

    >>> padded([torch.tensor([1, 2, 3]), torch.tensor([4])], side="left")[0].tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences]).unsqueeze(1)  # (B, 1)
    longest = int(lengths.max())
    columns = torch.arange(longest)
    mask = columns >= longest - lengths if side == "left" else columns < lengths
    together = sequences[0].new_full((len(sequences), longest, *sequences[0].shape[1:]), pad)
    together[mask] = torch.cat(list(sequences))
    return together, mask
