"""The copy task: repeat a sequence after a delay."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.batching.drawn import Drawn
from unspool.data.probe import left
from unspool.metrics.metric import EvalSet
from unspool.schema import Count, Natural
from unspool.tasks.generated import Generated, seed_of
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
        measured_waits: waits to evaluate with as well at the end of a training; the set of 1,000 steps is "wait_1000".

    >>> batch = Copy(size=8, length=3, wait=2, batch_size=1).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets[batch.loss_mask].tolist()
    ([[7, 1, 3, 8, 8, 9, 8, 8]], [7, 1, 3])
    """

    def __init__(
        self,
        size: Count = 8,
        length: Count = 5,
        wait: Natural = 10,
        measured_waits: tuple[Natural, ...] = (),
        batch_size: Count = 32,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.size, self.length, self.wait, self.measured_waits = size, length, wait, measured_waits
        self.inputs, self.targets = Tokens(size + 2), Tokens(size)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Sequences that training never sees, with its wait and with others."""
        others = {}
        for wait in self.measured_waits:
            batches = Drawn(partial(self.draw, wait=wait), seed_of(self.seed, split), self.epoch)
            others[f"wait_{wait}"] = EvalSet(batches, self.metrics(), at_end=True)
        return super().eval_sets(split) | others

    def draw(self, random: torch.Generator, wait: int | None = None) -> Batch:
        """Rows of symbols, silence, the signal, and silence while the answer is predicted."""
        wait = self.wait if wait is None else wait
        symbols = torch.randint(self.size, (self.batch_size, self.length), generator=random)
        total = self.length + wait + self.length
        inputs = torch.full((self.batch_size, total), self.size)
        inputs[:, : self.length] = symbols
        inputs[:, self.length + wait] = self.size + 1
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
