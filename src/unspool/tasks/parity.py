"""The parity task."""

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.schema import Count
from unspool.tasks.generated import Generated, bits
from unspool.tasks.task import tasks


@tasks.register("parity")
class Parity(Generated):
    """Predict after every bit whether the number of ones so far is odd: one bit of memory that every one flips.

    Args:
        length: how many bits a sequence has.

    >>> batch = Parity(length=5, batch_size=1).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets.tolist()
    ([[1, 1, 1, 0, 0]], [[1, 0, 1, 1, 1]])
    """

    def __init__(self, length: Count = 40, batch_size: Count = 32, epoch: Count = 30, seed: int = 0) -> None:
        super().__init__(batch_size, epoch, seed)
        self.length = length
        self.inputs = self.targets = Tokens(2)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of bits, and the parity of each beginning of them."""
        inputs = bits((self.batch_size, self.length), random)
        return Batch(inputs, inputs.cumsum(dim=1) % 2, torch.ones_like(inputs, dtype=torch.bool))

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The parity, and the bit that may flip it."""
        return {"odd so far": batch.targets == 1, "a one": batch.inputs == 1}
