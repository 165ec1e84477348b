"""Sequences of any length, each with one answer, as batches of similar lengths."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.batching.buckets import Buckets, Side, padded
from unspool.schema import Count, Natural

Row = tuple[Tensor, Tensor]
"""A sequence (T,) or (T, size), and its answer () or (size,), or one for every place."""


class Bucketed(Buckets):
    """Every row once an epoch, rows of similar lengths together, so that little is padded.

    With a pool of 1 lengths are as they come. The answer counts at the last present place of a row.

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
        self.rows, self.padding, self.masked, self.pad = rows, padding, masked, pad
        super().__init__([len(sequence) for sequence, _ in rows], batch_size, self._gather, pool, seed)

    def _gather(self, numbers: Tensor) -> Batch:
        return self.batch([self.rows[number] for number in numbers.tolist()])

    def batch(self, rows: Sequence[Row]) -> Batch:
        """These rows side by side."""
        inputs, mask = padded([sequence for sequence, _ in rows], self.pad, self.padding)
        if not self.masked:
            mask = torch.ones_like(mask)
        answers = torch.stack([answer for _, answer in rows]).unsqueeze(1)  # (B, 1) or (B, 1, size)
        columns = torch.arange(inputs.shape[1])
        last = torch.where(mask, columns, -1).amax(dim=1, keepdim=True)  # (B, 1)
        targets = answers.expand(-1, inputs.shape[1], *answers.shape[2:])
        return Batch(inputs, targets, columns == last, None if bool(mask.all()) else mask)


class Tagged(Bucketed):
    """The same for rows with an answer at every place, (T,): all that is present counts.

    >>> rows = [(torch.tensor([5, 6]), torch.tensor([1, 0])), (torch.tensor([7]), torch.tensor([1]))]
    >>> batch = Tagged(rows, batch_size=2, pool=0)[0]
    >>> batch.targets[batch.loss_mask].tolist()
    [1, 1, 0]
    """

    def batch(self, rows: Sequence[Row]) -> Batch:
        """These rows side by side."""
        inputs, mask = padded([sequence for sequence, _ in rows], self.pad, self.padding)
        targets, _ = padded([answers for _, answers in rows], 0, self.padding)
        return Batch(inputs, targets, mask, None if bool(mask.all()) else mask)
