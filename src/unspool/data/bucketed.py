"""Sequences of any length, each with one answer, as batches of similar lengths."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch
from unspool.registry import Count, Natural
from unspool.seeds import mix

Side = Literal["left", "right"]
Row = tuple[Tensor, Tensor]
"""A sequence (T,) or (T, size), and its answer () or (size,), or one for every place."""


class Bucketed:
    """Every row once an epoch, rows of similar lengths together, so that little is padded.

    The rows are shuffled by the seed and the number of the epoch; then every `pool` batches in a row share out their
    rows by length, and all batches are shuffled. With a pool of 1 lengths are as they come; with 0 all rows are sorted
    by length and nothing is shuffled, as an evaluation wants it. The answer counts at the last present place of a row.

    With `masked` false the padding is shown as if it were there, and the answer counts at the end of it.

    >>> rows = [(torch.arange(size), torch.tensor(size)) for size in (5, 1, 4, 2)]
    >>> batches = Bucketed(rows, batch_size=2, pool=0)
    >>> [batches[number].targets[:, 0].tolist() for number in range(batches.epoch)]
    [[1, 2], [4, 5]]
    """

    def __init__(
        self,
        rows: Sequence[Row],
        batch_size: Count,
        padding: Side = "right",
        masked: bool = True,
        pad: int = 0,
        pool: Natural = 50,
        seed: int = 0,
    ) -> None:
        self.rows, self.batch_size, self.pool, self.seed = rows, batch_size, pool, seed
        self.padding, self.masked, self.pad = padding, masked, pad
        self.lengths = torch.tensor([len(sequence) for sequence, _ in rows])
        self._ordered: tuple[int, list[Tensor]] = (-1, [])

    @property
    def epoch(self) -> int:
        """How many batches show every row."""
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        epoch, index = divmod(number, self.epoch)
        if self._ordered[0] != epoch:
            self._ordered = epoch, self.order(epoch)
        return self.batch([self.rows[row] for row in self._ordered[1][index].tolist()])

    def order(self, epoch: int) -> list[Tensor]:
        """Which rows each batch of an epoch has."""
        if not self.pool:
            return list(self.lengths.argsort(stable=True).split(self.batch_size))
        random = torch.Generator().manual_seed(mix(self.seed, epoch))
        shuffled = torch.randperm(len(self.rows), generator=random)
        batches: list[Tensor] = []
        for pool in shuffled.split(self.pool * self.batch_size):
            batches += pool[self.lengths[pool].argsort(stable=True)].split(self.batch_size)
        return [batches[index] for index in torch.randperm(len(batches), generator=random).tolist()]

    def batch(self, rows: Sequence[Row]) -> Batch:
        """These rows side by side."""
        inputs, present = padded([sequence for sequence, _ in rows], self.pad, self.padding)
        if not self.masked:
            present = torch.ones_like(present)
        answers = torch.stack([answer for _, answer in rows]).unsqueeze(1)  # (B, 1) or (B, 1, size)
        columns = torch.arange(inputs.shape[1])
        last = torch.where(present, columns, -1).amax(dim=1, keepdim=True)  # (B, 1)
        targets = answers.expand(-1, inputs.shape[1], *answers.shape[2:])
        return Batch(inputs, targets, columns == last, None if bool(present.all()) else present)


class Tagged(Bucketed):
    """The same for rows with an answer at every place, (T,): all that is present counts.

    >>> rows = [(torch.tensor([5, 6]), torch.tensor([1, 0])), (torch.tensor([7]), torch.tensor([1]))]
    >>> batch = Tagged(rows, batch_size=2, pool=0)[0]
    >>> batch.targets[batch.counts].tolist()
    [1, 1, 0]
    """

    def batch(self, rows: Sequence[Row]) -> Batch:
        """These rows side by side."""
        inputs, present = padded([sequence for sequence, _ in rows], self.pad, self.padding)
        targets, _ = padded([answers for _, answers in rows], 0, self.padding)
        return Batch(inputs, targets, present, None if bool(present.all()) else present)


def padded(sequences: Sequence[Tensor], pad: int = 0, side: Side = "right") -> tuple[Tensor, Bool[Tensor, "B T"]]:
    """The sequences side by side, filled up to the longest of them, and what of it is theirs.

    >>> padded([torch.tensor([1, 2, 3]), torch.tensor([4])], side="left")[0].tolist()
    [[1, 2, 3], [0, 0, 4]]
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences]).unsqueeze(1)  # (B, 1)
    longest = int(lengths.max())
    columns = torch.arange(longest)
    present = columns >= longest - lengths if side == "left" else columns < lengths
    together = sequences[0].new_full((len(sequences), longest, *sequences[0].shape[1:]), pad)
    together[present] = torch.cat(list(sequences))
    return together, present
