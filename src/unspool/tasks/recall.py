"""Associative recall: the value that belongs to a key."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.errors import ConfigError
from unspool.schema import Count
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks


@tasks.register("recall")
class Recall(Generated):
    """Associative recall: read pairs of a key and a value, then the keys in another order, and predict their values.

    After (Ba et al. 2016, arXiv:1610.06258; in this form Arora et al. 2023, arXiv:2312.04927): a state of
    constant size holds only so many pairs, attention any number. Of `size` keys and as many values; chance is
    1 / `size`.

    Args:
        size: how many keys there are, and how many values.
        pairs: how many pairs a sequence has.

    >>> batch = Recall(size=4, pairs=2, batch_size=1, seed=3).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets[batch.loss_mask].tolist()
    ([[3, 5, 1, 5, 3, 1]], [1, 1])
    """

    def __init__(
        self, size: Count = 16, pairs: Count = 4, batch_size: Count = 32, epoch: Count = 30, seed: int = 0
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        if pairs > size:
            raise ConfigError(f"{pairs} pairs need as many keys, and there are {size}", hint=f"task.pairs={size}")
        self.size, self.pairs = size, pairs
        self.inputs, self.targets = Tokens(2 * size), Tokens(size)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of key, value, key, value, and the keys again."""
        rows = self.batch_size
        keys = torch.rand(rows, self.size, generator=random).argsort(dim=1)[:, : self.pairs]
        values = torch.randint(self.size, (rows, self.pairs), generator=random)
        asked = torch.rand(rows, self.pairs, generator=random).argsort(dim=1)
        shown = torch.stack([keys, self.size + values], dim=-1).flatten(1)
        inputs = torch.cat([shown, keys.gather(1, asked)], dim=1)
        targets = torch.cat([torch.zeros_like(shown), values.gather(1, asked)], dim=1)
        loss_mask = (torch.arange(3 * self.pairs) >= 2 * self.pairs).expand(rows, -1)
        return Batch(inputs, targets, loss_mask)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Keys and values, each with its number."""
        return [f"k{id}" if id < self.size else f"v{id - self.size}" for id in ids]

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """Values."""
        return [f"v{id}" for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is read just now, and which keys have come by."""
        key, pairs = batch.inputs < self.size, (batch.inputs >= self.size).cumsum(dim=1)
        kinds = {
            "a key": key & ~batch.loss_mask,
            "a value": ~key,
            "is asked": batch.loss_mask,
            "pairs so far": pairs.float(),
        }
        return kinds | {f"k{id} came by": (batch.inputs == id).cumsum(dim=1) > 0 for id in range(self.size)}
