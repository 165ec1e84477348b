"""Metrics of forecasts: scaled errors, CRPS, and the coverage of intervals."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import pi
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.data.predictions import Series
from unspool.metrics.metric import Metric, Values

Record = Mapping[str, Any]
"""A series that is forecast: its `series` name, its `values` so far, its `future`, and its `naive` error."""
Forecast = Callable[[Series, Record], Sequence[float]]
"""The values of a forecast, for as many steps as the future of the record has."""


def mase(predicted: Float[Tensor, "*B H"], true: Float[Tensor, "*B H"], unit: float) -> float:
    """The mean absolute scaled error (Hyndman & Koehler 2006).

    Its unit is `unspool.data.scaling.naive_error` of the training part: below 1, a forecast is better than the
    seasonal naive one was in that part, one season ahead.

    >>> mase(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]), unit=3.0)
    0.5
    """
    return float((predicted - true).abs().mean() / unit)


def crps(paths: Tensor, true: Float[Tensor, " *B"]) -> Float[Tensor, " *B"]:
    """The continuous ranked probability score of N drawn values (Gneiting & Raftery 2007), in their unit.

    E|X - y| - E|X - X'| / 2, both taken over the drawn values, (N, *B): the absolute error where all are the same.

    >>> crps(torch.tensor([[0.0], [2.0]]), torch.tensor([1.0]))
    tensor([0.5000])
    """
    number = len(paths)
    ranks = torch.arange(1, number + 1, dtype=paths.dtype).view(-1, *[1] * true.dim())
    apart = (paths.sort(dim=0).values * (2 * ranks - number - 1)).sum(dim=0) / number**2  # E|X - X'| / 2
    return (paths - true).abs().mean(dim=0) - apart


def gaussian_crps(mean: Tensor, scale: Tensor, true: Tensor) -> Tensor:
    """The same of a Gaussian, exactly (Gneiting & Raftery 2007, equation 21).

    >>> gaussian_crps(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(0.0))
    tensor(0.2337)
    """
    off = (true - mean) / scale
    density = torch.exp(-off.square() / 2) / (2 * pi) ** 0.5
    return scale * (off * torch.erf(off / 2**0.5) + 2 * density - pi**-0.5)


def covered(paths: Tensor, true: Float[Tensor, " *B"], share: float) -> float:
    """How many true values lie within the middle `share` of the drawn ones: the same share, if they tell the truth.

    >>> covered(torch.arange(11.0).unsqueeze(1), torch.tensor([9.5]), 0.8)
    0.0
    """
    low, high = paths.quantile((1 - share) / 2, dim=0), paths.quantile((1 + share) / 2, dim=0)
    return float(((true >= low) & (true <= high)).float().mean())


def median(output: Series, reference: Record) -> Sequence[float]:
    """The forecast itself: its median."""
    return output.values


def seasonal_naive(season: int) -> Forecast:
    """The forecast that the last season comes again.

    >>> seasonal_naive(2)(Series("", [], []), {"values": [5.0, 1.0, 2.0], "future": [0.0, 0.0, 0.0]})
    [1.0, 2.0, 1.0]
    """

    def forecast(output: Series, reference: Record) -> Sequence[float]:
        return [reference["values"][step % season - season] for step in range(len(reference["future"]))]

    return forecast


class MeanOverSeries(Metric):
    """The mean over series of the mean over the windows of each; a series without a value is left out."""

    name: str

    def __init__(self) -> None:
        self.totals: dict[str, list[float]] = {}
        """The sum and the number of what was counted, by series."""

    @abstractmethod
    def value(self, output: Series, reference: Record) -> float | None:
        """What is counted of one window; None where it is not defined."""

    def update(self, output: Any, reference: Any) -> None:
        """Count one forecast."""
        if (value := self.value(output, reference)) is not None:
            total = self.totals.setdefault(reference["series"], [0.0, 0.0])
            total[0], total[1] = total[0] + value, total[1] + 1

    def compute(self) -> Values:
        """The mean; nothing where nothing was counted."""
        return {self.name: fmean(t / n for t, n in self.totals.values())} if self.totals else {}


class ScaledError(MeanOverSeries):
    """The mean absolute scaled error of a forecast (MASE, Hyndman & Koehler 2006).

    A series whose naive error is zero, because it is constant or exactly seasonal, has no such error: it is left out,
    and where all are, the value is undefined.

    Args:
        name: of the value.
        forecast: what is evaluated; by default the median.

    >>> metric = ScaledError()
    >>> record = {"series": "tide", "values": [1.0, 3.0], "future": [2.0, 4.0], "naive": 2.0}
    >>> metric.update(Series("tide", [1, 2], [2.0, 3.0]), record)
    >>> metric.compute()
    {'mase': 0.25}
    """

    def __init__(self, name: str = "mase", forecast: Forecast = median) -> None:
        super().__init__()
        self.name, self.forecast = name, forecast

    def compute(self) -> Values:
        """The mean over the series that have one; None where none has."""
        return super().compute() or {self.name: None}

    def value(self, output: Series, reference: Record) -> float | None:
        """The error of one window."""
        predicted, true = tensor(self.forecast(output, reference)), tensor(reference["future"])
        return mase(predicted, true, reference["naive"]) if reference["naive"] else None


class ScaledCrps(MeanOverSeries):
    """The continuous ranked probability score of drawn paths, by the naive error, as in `ScaledError`.

    Of a forecast without samples it is the scaled absolute error.

    >>> metric = ScaledCrps()
    >>> record = {"series": "tide", "values": [1.0, 3.0], "future": [2.0, 4.0], "naive": 2.0}
    >>> metric.update(Series("tide", [1, 2], [2.0, 3.0]), record)
    >>> metric.compute()
    {'crps': 0.25}
    """

    name = "crps"

    def compute(self) -> Values:
        """The mean over the series that have one; None where none has."""
        return super().compute() or {self.name: None}

    def value(self, output: Series, reference: Record) -> float | None:
        """The score of one window."""
        score = crps(tensor(output.samples or [output.values]), tensor(reference["future"]))
        return float(score.mean()) / reference["naive"] if reference["naive"] else None


class Coverage(MeanOverSeries):
    """The share of true values within the middle of the drawn paths: the same share, if their spread is right.

    Args:
        percent: how much of the paths lies in their middle.

    >>> metric = Coverage(80)
    >>> record = {"series": "tide", "values": [1.0, 3.0], "future": [2.0, 4.0], "naive": 2.0}
    >>> metric.update(Series("tide", [1, 2], [2.0, 3.0], samples=[[1.0, 2.0], [3.0, 3.0]]), record)
    >>> metric.compute()
    {'covered_80': 0.5}
    """

    def __init__(self, percent: int = 80) -> None:
        super().__init__()
        self.share, self.name = percent / 100, f"covered_{percent}"

    def value(self, output: Series, reference: Record) -> float | None:
        """The share of one window; None without drawn paths."""
        return covered(tensor(output.samples), tensor(reference["future"]), self.share) if output.samples else None


class OfSeasonalNaive(Metric):
    """The mean absolute error by that of the seasonal naive forecast of the same windows, the mean over series.

    Below 1 the model is better. A series that the seasonal naive forecast predicts exactly is left out.

    Args:
        season: of the series.

    >>> metric = OfSeasonalNaive(season=1)
    >>> record = {"series": "tide", "values": [1.0, 3.0], "future": [2.0, 4.0], "naive": 2.0}
    >>> metric.update(Series("tide", [1, 2], [2.0, 3.0]), record)
    >>> metric.compute()
    {'of_seasonal_naive': 0.5}
    """

    name = "of_seasonal_naive"

    def __init__(self, season: int) -> None:
        self.naive = seasonal_naive(season)
        self.errors: dict[str, list[float]] = {}

    def update(self, output: Any, reference: Any) -> None:
        """Count one forecast."""
        true, errors = tensor(reference["future"]), self.errors.setdefault(reference["series"], [0.0, 0.0])
        for n, predicted in enumerate((output.values, self.naive(output, reference))):
            errors[n] += float((tensor(predicted) - true).abs().mean())

    def ratios(self) -> list[float]:
        """The ratio of every series that has one."""
        return [error / naive for error, naive in self.errors.values() if naive]

    def compute(self) -> Values:
        """The mean ratio; None where no series has one."""
        return {self.name: fmean(found) if (found := self.ratios()) else None}


class BetterThanSeasonalNaive(OfSeasonalNaive):
    """The share of series whose forecasts are better than the seasonal naive ones.

    >>> metric = BetterThanSeasonalNaive(season=1)
    >>> record = {"series": "tide", "values": [1.0, 3.0], "future": [2.0, 4.0], "naive": 2.0}
    >>> metric.update(Series("tide", [1, 2], [2.0, 3.0]), record)
    >>> metric.compute()
    {'better_than_seasonal_naive': 1.0}
    """

    name = "better_than_seasonal_naive"

    def compute(self) -> Values:
        """The share; None where no series has a ratio."""
        return {self.name: fmean(ratio < 1 for ratio in found) if (found := self.ratios()) else None}


def tensor(values: Any) -> Tensor:
    """Numbers in double precision."""
    return torch.tensor(values, dtype=torch.float64)
