"""The adding problem: the sum of two marked numbers in a sequence."""

from functools import partial
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from unspool.batch import Batch, Vectors
from unspool.metrics.metric import MetricFactory, Unit
from unspool.metrics.values import MeanSquaredError, WithinTolerance
from unspool.schema import Count
from unspool.tasks.generated import Generated
from unspool.tasks.task import tasks


@tasks.register("adding")
class Adding(Generated):
    """The adding problem: predict the sum of the two marked numbers of a sequence, one in each half.

    The target is at the last position (Hochreiter & Schmidhuber 1997, experiment 4; as in Le et al. 2015,
    arXiv:1504.00941). Always predicting 1 has a squared error of 1/6; a prediction within 0.04 of the target counts as
    right.

    Args:
        length: how many pairs of a value and a mark a sequence has.

    >>> batch = Adding(length=6, batch_size=1).train_batches()[0]
    >>> values, marks = batch.inputs[0].unbind(dim=1)
    >>> bool(torch.isclose(batch.targets[0, -1, 0], (values * marks).sum())), int(marks.sum())
    (True, 2)
    """

    unit = Unit("value")

    def __init__(
        self, length: Annotated[int, Ge(2)] = 50, batch_size: Count = 32, epoch: Count = 30, seed: int = 0
    ) -> None:
        super().__init__(batch_size, epoch, seed)
        self.length = length
        self.inputs, self.targets = Vectors(2), Vectors(1)

    def draw(self, random: torch.Generator) -> Batch:
        """Rows of (value, mark) pairs."""
        rows, half = self.batch_size, self.length // 2
        values, marks = torch.rand(rows, self.length, generator=random), torch.zeros(rows, self.length)
        for first, many in ((0, half), (half, self.length - half)):
            marks.scatter_(1, first + torch.randint(many, (rows, 1), generator=random), 1.0)
        targets = (values * marks).sum(dim=1)[:, None, None].expand(rows, self.length, 1)
        loss_mask = (torch.arange(self.length) == self.length - 1).expand(rows, -1)
        return Batch(torch.stack([values, marks], dim=-1), targets, loss_mask)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Which of the marked numbers have been read, and what has to be remembered of them."""
        values, marks = batch.inputs.unbind(dim=-1)
        number, total = marks.cumsum(dim=1), (values * marks).cumsum(dim=1)
        first = (values * marks * (number == 1)).cumsum(dim=1)
        return {
            "marked": marks == 1,
            "one marked number so far": number == 1,
            "both marked numbers read": number == 2,
            "the first marked number": first,
            "the sum so far": total,
        }

    def metrics(self) -> list[MetricFactory]:
        """The squared error, and the share of sums within 0.04."""
        return [MeanSquaredError, partial(WithinTolerance, 0.04)]
