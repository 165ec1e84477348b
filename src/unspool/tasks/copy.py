"""The copy task: repeat a sequence after a delay."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.probe import left
from unspool.schema import Count, Natural
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks


@tasks.register("copy")
class Copy(Generated):
    """The copy task: read `length` symbols, wait `wait` steps, and repeat them at a signal.

    After Hochreiter & Schmidhuber 1997. There are `size` symbols, and two more for silence and the signal. The loss is
    taken over the answer alone; chance is 1 / `size`.

    Args:
        size: how many symbols there are.
        length: how many symbols are to be copied.
        wait: how many steps of silence lie between.

    >>> batch = Copy(size=8, length=3, wait=2, batch_size=1).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets[batch.loss_mask].tolist()
    ([[7, 1, 3, 8, 8, 9, 8, 8]], [7, 1, 3])
    """

    def __init__(
        self,
        size: Count = 8,
        length: Count = 5,
        wait: Natural = 10,
        batch_size: Count = 32,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.size, self.length, self.wait = size, length, wait
        self.inputs, self.targets = Tokens(size + 2), Tokens(size)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of symbols, silence, the signal, and silence while the answer is predicted."""
        symbols = torch.randint(self.size, (self.batch_size, self.length), generator=random)
        total = self.length + self.wait + self.length
        inputs = torch.full((self.batch_size, total), self.size)
        inputs[:, : self.length] = symbols
        inputs[:, self.length + self.wait] = self.size + 1
        targets = torch.zeros_like(inputs)
        targets[:, -self.length :] = symbols
        loss_mask = (torch.arange(total) >= total - self.length).expand(self.batch_size, -1)
        return Batch(inputs, targets, loss_mask)

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Numbers, a point for silence and the signal as a mark."""
        return [{self.size: "·", self.size + 1: "!"}.get(id, str(id)) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The phase, how much of the answer is left, and the symbol that has to be remembered the longest."""
        phases = {"listens": batch.inputs < self.size, "answers": batch.loss_mask}
        phases["waits"] = ~(phases["listens"] | phases["answers"])
        kept = {
            f"the first symbol was {id}": batch.inputs[:, :1].expand_as(batch.inputs) == id for id in range(self.size)
        }
        return {**phases, "symbols left to say": left(batch), **kept}
