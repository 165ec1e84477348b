"""Random batches, for tasks that generate their own data."""

from collections.abc import Callable

import torch

from unspool.batch import Batch
from unspool.schema import Count
from unspool.seeds import mix


class Drawn:
    """Batch `number` follows from the seed and the number alone; `epoch` only says how many are called one pass.

    >>> def draw(random):
    ...     ids = torch.randint(9, (1, 4), generator=random)
    ...     return Batch(ids, ids, torch.ones(1, 4, dtype=torch.bool))
    >>> drawn = Drawn(draw, seed=1, epoch=10)
    >>> torch.equal(drawn[3].inputs, drawn[3].inputs), torch.equal(drawn[3].inputs, drawn[4].inputs)
    (True, False)
    """

    def __init__(self, draw: Callable[[torch.Generator], Batch], seed: int, epoch: Count) -> None:
        self.draw, self.seed, self._epoch = draw, seed, epoch

    @property
    def epoch(self) -> int:
        """How many batches are called one pass."""
        return self._epoch

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        return self.draw(torch.Generator().manual_seed(mix(self.seed, number)))
