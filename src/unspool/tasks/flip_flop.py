"""The flip-flop task: one bit of memory."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.metrics.labels import AccuracyWhere
from unspool.metrics.metric import MetricFactory
from unspool.schema import Count, Portion
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks


@tasks.register("flip-flop")
class FlipFlop(Generated):
    """Predict the bit that a flip-flop holds after every step, which depends on earlier inputs.

    "sr" reads nothing (0), set (1) or reset (2); "d" reads two bits as one number, 2 * clock + data, and takes the data
    when the clock is up. An input changes the bit or confirms it with probability `busy`. The accuracy
    at all other positions ("held") is at chance for a model without memory.

    Args:
        logic: "sr" (set and reset) or "d" (data and clock).
        length: how many inputs a sequence has.
        busy: how likely an input is that sets, resets or takes data.

    >>> batch = FlipFlop(length=6, batch_size=1).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets.tolist()
    ([[1, 1, 2, 0, 0, 2]], [[1, 1, 0, 0, 0, 0]])
    """

    def __init__(
        self,
        logic: Literal["sr", "d"] = "sr",
        length: Count = 40,
        busy: Portion = 0.3,
        batch_size: Count = 32,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.logic, self.length, self.busy = logic, length, busy
        self.inputs, self.targets = Tokens(3 if logic == "sr" else 4), Tokens(2)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of inputs, and what is held after each."""
        shape = self.batch_size, self.length
        acts = torch.rand(shape, generator=random) < self.busy
        acts[:, 0] = True  # so that there is something to hold
        data = torch.randint(2, shape, generator=random)
        last = torch.where(acts, torch.arange(self.length), 0).cummax(dim=1).values  # when it last took something
        held = data.gather(1, last)
        inputs = torch.where(acts, 2 - data, 0) if self.logic == "sr" else 2 * acts + data
        return Batch(inputs, held, torch.ones_like(inputs, dtype=torch.bool))

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """Nothing, set and reset; or the data, behind an arrow when the clock is up."""
        return [("·SR" if self.logic == "sr" else ("0", "1", "↑0", "↑1"))[id] for id in ids]

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The bit."""
        return [str(id) for id in ids]

    def quiet(self, batch: Batch) -> Tensor:
        """Where nothing happens."""
        return batch.inputs == 0 if self.logic == "sr" else batch.inputs < 2

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The stored bit, and whether something happens."""
        return {"holds a 1": batch.targets == 1, "something happens": ~self.quiet(batch)}

    def metrics(self) -> list[MetricFactory]:
        """Accuracies over all positions and over rows, and over the positions where nothing happens."""
        return [*super().metrics(), partial(AccuracyWhere, "held", self.quiet)]
