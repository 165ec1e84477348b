"""The echo task: repeat the input with a delay."""

from copy import copy

import torch
from torch import Tensor
from torch.nn.functional import pad

from unspool.batch import Batch, Batches, Tokens
from unspool.data.splits import NoData
from unspool.metrics.labels import Accuracy
from unspool.metrics.metric import EvalSet, Unit
from unspool.schema import Count, Natural
from unspool.seeds import mix
from unspool.tasks.generated import SPLITS, bits
from unspool.tasks.task import Task, tasks


@tasks.register("echo")
class Echo(Task):
    """The echo task: predict the random bit that was read `delay` steps before; zeros before there is one.

    Each of `batch_size` rows is a series of `series` bits, read `length` at a time with the state carried: truncated
    back-propagation through time has to carry what it cannot differentiate. A pass is one series, and the next pass has
    a new one (Canziani, NYU Deep Learning 2020, practicum 6).

    Args:
        delay: after how many steps an input is the target.
        batch_size: rows in a batch.
        length: steps of a row in a batch.
        series: steps of a row in a pass.
        seed: of the bits.

    >>> batch = Echo(delay=2, batch_size=1, length=6).train_batches()[0]
    >>> batch.inputs.tolist(), batch.targets.tolist()
    ([[1, 1, 1, 0, 0, 0]], [[0, 0, 1, 1, 1, 0]])
    """

    dataset = NoData
    unit = Unit("symbol")

    def __init__(
        self, delay: Natural = 3, batch_size: Count = 5, length: Count = 20, series: Count = 20_000, seed: int = 0
    ) -> None:
        self.delay, self.batch_size, self.length, self.series, self.seed = delay, batch_size, length, series, seed
        self.inputs = self.targets = Tokens(2)

    def train_batches(self) -> Batches:
        """Series after series."""
        return EchoBatches(self, self.seed)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """A series that training never sees, from an empty state to its end."""
        return {"contiguous": EvalSet(EchoBatches(self, mix(self.seed, -SPLITS[split])), [Accuracy])}

    def first(self, split: str, rows: int, length: int) -> Batch:
        """The split's series from its beginning on, as one chunk."""
        whole = copy(self)
        whole.length = length
        return whole.eval_sets(split)["contiguous"].batches[0]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The last `delay` bits, which a model has to remember."""
        heard, length = pad(batch.inputs, (self.delay, 0)), batch.inputs.shape[1]
        ago = {ticks: heard[:, self.delay - ticks :][:, :length] == 1 for ticks in range(self.delay + 1)}
        return {f"the bit {ticks} ticks ago": one for ticks, one in ago.items()}


class EchoBatches:
    """The chunks of one series after another, by number."""

    def __init__(self, echo: Echo, seed: int) -> None:
        self.echo, self.seed = echo, seed
        self.number, self.bits = -1, torch.zeros(0)

    @property
    def epoch(self) -> int:
        """How many chunks a series has."""
        return -(-self.echo.series // self.echo.length)

    def __getitem__(self, number: int) -> Batch:
        """A chunk; the first of a series begins from an empty state."""
        series, index = divmod(number, self.epoch)
        heard, first = self._series(series), index * self.echo.length
        last = min(first + self.echo.length, self.echo.series)
        inputs = heard[:, first + self.echo.delay : last + self.echo.delay]
        every = torch.ones((), dtype=torch.bool).expand(inputs.shape)
        return Batch(inputs, heard[:, first:last], every, carries_state=index > 0)

    def _series(self, number: int) -> torch.Tensor:
        """The bits of a series after `delay` zeros; the last series is kept, for its chunks follow one another."""
        if number != self.number:
            random = torch.Generator().manual_seed(mix(self.seed, number))
            heard = bits((self.echo.batch_size, self.echo.series), random)
            self.number, self.bits = number, pad(heard, (self.echo.delay, 0))
        return self.bits
