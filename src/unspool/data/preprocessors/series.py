"""Series of numbers, each scaled by its own training part."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.batch import Batch, Domain, Vectors
from unspool.data.clock import Clock
from unspool.data.predictions import Prediction, Series
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, preprocessors, required
from unspool.data.scaling import Scaling
from unspool.errors import DataError
from unspool.schema import Count

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""The quantiles of a forecast: the median, and the middle 50, 80 and 90 %."""


@dataclass(frozen=True)
class SeriesBatch(Batch):
    """Windows of series, with what is needed to go on behind them."""

    paths: Tensor | None = None  # (B, season + T): the scaled values, from a season before the first input on
    starts: Sequence[int] = ()  # which value of its season is the first input of each row


class Given(NamedTuple):
    """What a record says of a series: its scaling, and the values that are read."""

    scaling: Scaling
    values: Tensor  # (season + context,) the last values, in their own unit
    start: int  # the number of the first of them
    end: int  # how many values there are


@preprocessors.register("scaled-series")
class ScaledSeries(Preprocessor):
    """The last values of a series, scaled by its training part alone.

    What each slot of the season is in the mean is taken away, and the rest is divided by its standard deviation;
    logarithms are taken before, where all values are above zero and the swings grow with the values (after Guerrero
    1993). Of that the model reads how far each value is from the mean of the season before the window, each with the
    two values a season before it and before the next one, and where in the season the next one is (without a season:
    each with the value before).

    A record holds `values`, and may hold the name of its `series`, its `times`, and `start`, how many values of the
    series are left out before the first. A series of the training data keeps its scaling; its values must begin with
    its first one, or have times or a start that say where they stand in the season. Any other is scaled by its own
    values.

    Args:
        season: after so many values a season comes again; 1: there is none.
        context: so many values are read before the first that is forecast.

    >>> preprocessor = ScaledSeries(context=4)
    >>> preprocessor.fit([{"series": "sales", "values": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]}])
    >>> preprocessor.encode({"series": "sales", "values": [5.0, 6.0, 7.0, 8.0, 9.0]}).input.shape
    torch.Size([5, 2])
    """

    fields: ClassVar[Mapping[str, str]] = {"values": "column", "series": "group", "times": "time"}
    targets = Vectors(1)

    def __init__(self, season: Count = 1, context: Count = 48) -> None:
        self.season, self.context = season, context
        self.scalings: dict[str, Scaling] = {}

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """The value, the one before, and of a season three numbers more."""
        return Vectors(5 if self.season > 1 else 2)

    @property
    def needed(self) -> int:
        """So many values a series must have to be forecast."""
        return self.season + self.context

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the scaling of every series."""
        for record in records:
            values = torch.tensor(record["values"], dtype=torch.float64)
            if len(values) > self.season:
                scaling = Scaling.of(values, self.season, self.context, record.get("times", ()))
                self.scalings[record["series"]] = scaling

    def given(self, record: Record) -> Given:
        """What a record says of a series. Raises: DataError for too few values, and for one that is no number."""
        values = finite_values(required(record, "values"))
        if len(values) < self.needed:
            raise DataError(
                f"the series has {len(values)} values, and {self.needed} are needed",
                hint="give more of its values before the first that is forecast",
            )
        times, start = list(record.get("times", ())), int(record.get("start", 0))
        scaling = self.scalings.get(str(record.get("series", "")))
        if scaling is None:
            scaling = Scaling.of(values, self.season, self.context, times)
        elif times and "start" not in record:
            position = scaling.clock.position(times[0]) if scaling.clock else None
            start = 0 if position is None else position
        return Given(scaling, values[-self.needed :], start + len(values) - self.needed, start + len(values))

    def encode(self, record: Record) -> Row:
        """The last values as they are read, from a season before the context on, and the number of each."""
        given = self.given(record)
        read = given.scaling.scale(given.values, given.start)
        read = (read - read[: self.season].mean()).float()
        slots = (given.start + torch.arange(self.needed)) % self.season
        return Row(torch.stack([read, slots.float()], dim=1))

    def collate(self, rows: Sequence[Row]) -> Batch:
        """The context of each series, behind whose last value the next one is predicted."""
        paths = torch.stack([row.input[:, 0] for row in rows])
        starts = [int(row.input[self.season, 1]) for row in rows]
        inputs = self.inputs_of(paths, starts)
        last = torch.arange(self.context) == self.context - 1
        targets = inputs.new_zeros(*inputs.shape[:2], 1)
        return SeriesBatch(inputs, targets, last.expand(len(rows), -1), paths=paths, starts=starts)

    def inputs_of(self, paths: Float[Tensor, "B N"], starts: Sequence[int]) -> Float[Tensor, "B T F"]:
        """What is read of scaled values, from a season behind the first of them on."""
        steps = range(paths.shape[1] - self.season)
        return torch.stack([self.step(paths[:, : self.season + t + 1], starts, t) for t in steps], dim=1)

    def step(self, paths: Float[Tensor, "B N"], starts: Sequence[int], step: int) -> Float[Tensor, "B F"]:
        """What is read at one step, of paths that end there.

        Args:
            paths: at least a season + step + 1 scaled values.
            starts: the number of the value that each reads at step 0.
            step: counted from 0.
        """
        now, before, then = paths[:, -1], paths[:, -self.season - 1], paths[:, -self.season]
        if self.season == 1:
            return torch.stack([now, before], dim=1)
        angle = torch.tensor([2 * torch.pi * ((start + step + 1) % self.season) / self.season for start in starts])
        return torch.stack([now, before, then, angle.sin(), angle.cos()], dim=1)

    def decode(self, output: Float[Tensor, "N H"], record: Record) -> Prediction:
        """Paths of the scaled values, as far as they are from the last value, as a forecast in the series' own unit."""
        given = self.given(record)
        last = given.scaling.scale(given.values[-1:], given.end - 1)
        paths = given.scaling.unscale(last + output.double(), given.end)
        times = list(record.get("times", ()))
        clock, number = Clock.of(times), paths.shape[1]
        steps = clock.times(len(times), number) if clock else list(range(1, number + 1))
        drawn = len(paths) > 1
        quantiles = {f"{level}": paths.quantile(level, dim=0).tolist() for level in LEVELS} if drawn else {}
        values = quantiles["0.5"] if drawn else paths[0].tolist()
        samples = paths.tolist() if drawn else []
        name = str(record.get("series", ""))
        return Series(name, steps, values, quantiles, samples, "time" if clock else "step")

    learned: ClassVar[Mapping[str, Any]] = {"series": dict[str, Scaling]}

    def fitted(self) -> dict[str, Any]:
        """The scaling of every training series by its name, and how many values a forecast needs."""
        return {"series": {name: asdict(one) for name, one in self.scalings.items()}, "needed": self.needed}

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take the scalings back."""
        self.scalings = dict(fitted["series"])


def finite_values(values: Any) -> Float[Tensor, " T"]:
    """Values as double-precision numbers. Raises: DataError where one is none, or not finite.

    >>> finite_values(["1", 2])
    tensor([1., 2.], dtype=torch.float64)
    """
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError):
        raise DataError("the values are not all numbers", hint="give a list of numbers") from None
    wrong = next((n for n, value in enumerate(found) if not isfinite(value)), None)
    if wrong is not None:
        raise DataError(f"value {wrong + 1} of the series is not finite", hint="fill it")
    return torch.tensor(found, dtype=torch.float64)
