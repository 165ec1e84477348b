"""Forecasting of time series."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.drawn import Drawn
from unspool.data.predictions import Series
from unspool.data.preprocessors.preprocessor import Record
from unspool.data.preprocessors.series import ScaledSeries
from unspool.data.scaling import Scaling
from unspool.data.series import TimeSeries
from unspool.data.splits import Splits
from unspool.errors import DataError
from unspool.metrics.drawings import Drawing, Outlook, Outlooks
from unspool.metrics.forecast import (
    BetterThanSeasonalNaive,
    Coverage,
    OfSeasonalNaive,
    ScaledCrps,
    ScaledError,
    seasonal_naive,
)
from unspool.metrics.metric import EvalSet, GenerationSet, MetricFactory, Unit
from unspool.metrics.values import MeanAbsoluteError
from unspool.pipelines.forecasting import Forecaster
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.task import Task, tasks

FEW = 12
"""So many series are measured one by one, and so many are drawn."""


class Known(NamedTuple):
    """A series of the data."""

    name: str
    values: Tensor  # (N,) all of it, in its own unit
    read: Tensor  # (N,) scaled
    scaling: Scaling
    ends: dict[str, tuple[int, int]]  # where each split begins and ends


Window = tuple[Known, int]
"""A series, and the first value of it that is to be predicted."""


@tasks.register("forecast")
class Forecast(Task):
    """Forecast series of numbers: the next value is learned, and predictions are fed back for longer horizons.

    Every series is scaled by its training part alone; `season` and `context` are set in [preprocessor]
    (`unspool.data.preprocessors.series.ScaledSeries`). The model reads windows of `context` + `horizon` values, and
    predicts by how much the next value differs from this one.

    The set "one_step" is the loss one step ahead, in nats per value. The set "free_running" are forecasts of `horizon`
    steps, `paths` of them drawn from a model with model.components above 0 (one path of means from any other), in
    windows that follow one another through the whole split: the mean absolute scaled error of their median (MASE, by
    the seasonal naive error of the training part; Hyndman & Koehler 2006), that of the forecasts "as now" and "as a
    season ago", CRPS by the same unit (Gneiting & Raftery 2007), and how much the middle 80 % of the paths cover. They
    are means over series; where there are at most twelve, each is measured by itself as well.

    Args:
        splits: the series, cut in time.
        preprocessor: fitted on the training part of each.
        seed: of the windows of training, and of the drawn paths.
        horizon: so many steps are predicted behind each context.
        batch_size: windows in a batch.
        epoch: so many batches are called one pass.

    >>> from unspool import build
    >>> recipe = {"task": {"kind": "forecast"}, "data": {"corpus": "five-series"}}
    >>> task = build.task(recipe, build.dataset(recipe).read())
    >>> task.train_batches()[0].inputs.shape  # (B, context + horizon, numbers of a step)
    torch.Size([32, 72, 2])
    """

    dataset = TimeSeries
    preprocessing = ScaledSeries
    pipeline = Forecaster
    unit = Unit("value")
    preprocessor: ScaledSeries

    def __init__(
        self,
        splits: Splits,
        preprocessor: ScaledSeries,
        seed: int = 0,
        horizon: Count = 24,
        batch_size: Count = 32,
        epoch: Count = 30,
    ) -> None:
        self.preprocessor, self.seed, self.horizon = preprocessor, seed, horizon
        self.season, self.context = preprocessor.season, preprocessor.context
        self.batch_size, self.epoch = batch_size, epoch
        self.inputs, self.targets = preprocessor.inputs, preprocessor.targets
        parts = {name: {r["series"]: r["values"] for r in getattr(splits, name)} for name in ("train", "valid", "test")}
        self.series = [self.known(name, parts, splits.places.get(name, name)) for name in parts["train"]]

    def known(self, name: str, parts: Mapping[str, Mapping[str, list[float]]], place: str) -> Known:
        """One series with its splits. Raises: DataError where one of them is too short."""
        ends: dict[str, tuple[int, int]] = {}
        every: list[float] = []
        for part, values in parts.items():
            ends[part] = len(every), len(every) + len(values.get(name, ()))
            every += values.get(name, ())
        least = self.season + self.context + self.horizon + 1
        for part, size in (("train", least), ("valid", self.horizon), ("test", self.horizon)):
            begin, end = ends[part]
            if 0 < end - begin < size or (part == "train" and end < size):
                raise DataError(
                    f"{place}: the series {name!r} has {end - begin} values for {part}, and {size} are needed",
                    hint="give a longer series, a larger data.valid and data.test (0: none), or a smaller "
                    "preprocessor.season, preprocessor.context and task.horizon",
                )
        own, scaling = torch.tensor(every, dtype=torch.float64), self.preprocessor.scalings[name]
        return Known(name, own, scaling.scale(own, 0), scaling, ends)

    def batch(self, windows: Sequence[Window], first: int) -> Batch:
        """Windows of `context` + `horizon` values, whose targets count from step `first` on.

        Args:
            windows: the first predicted value of each is the one behind the context.
            first: `context` - 1 is the step at which that value is the target; 0 asks for all of the context, too.
        """
        begins = [origin - self.context - self.season for _, origin in windows]
        length = self.context + self.horizon - 1 + (first == 0)
        cuts = [
            known.read[begin:][: self.season + length + 1] for (known, _), begin in zip(windows, begins, strict=True)
        ]
        cut = torch.stack(cuts)
        paths = (cut - cut[:, : self.season].mean(dim=1, keepdim=True)).float()
        inputs = self.preprocessor.inputs_of(paths[:, :-1], [begin + self.season for begin in begins])
        targets = paths.diff(dim=1)[:, self.season :].unsqueeze(-1)
        return Batch(inputs, targets, (torch.arange(length) >= first).expand(len(windows), -1))

    def train_batches(self) -> Batches:
        """Windows of the training parts, from anywhere."""
        return Drawn(self._drawn, self.seed, self.epoch)

    def _drawn(self, random: torch.Generator) -> Batch:
        length = self.context + self.horizon
        chosen = torch.randint(len(self.series), (self.batch_size,), generator=random).tolist()
        chance = torch.rand(self.batch_size, generator=random, dtype=torch.float64).tolist()
        series = [self.series[index] for index in chosen]
        starts = [
            self.season + int(part * (one.ends["train"][1] - length - self.season))
            for part, one in zip(chance, series, strict=True)
        ]
        return self.batch([(one, start + self.context) for one, start in zip(series, starts, strict=True)], 0)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every value of the split but those that fill no horizon, one step ahead."""
        windows = self.windows(split)
        return {"one_step": EvalSet(Listed(self, windows), [MeanAbsoluteError])} if windows else {}

    def windows(self, split: str) -> list[Window]:
        """The windows of a split, series by series. The last of each ends with the split."""
        found = []
        for one in self.series:
            begin, end = one.ends[split]
            begin = max(begin, self.season + self.context)
            found += [(one, origin) for origin in range(begin + (end - begin) % self.horizon, end, self.horizon)]
        return [(one, origin) for one, origin in found if origin + self.horizon <= one.ends[split][1]]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The value now and that of a season ago, and where in the season it is, as far as they are read."""
        names = ("the value", "the value a season ago", "", "sine of the season", "cosine of the season")
        return {name: value for name, value in zip(names, batch.inputs.unbind(dim=-1), strict=False) if name}

    def summary(self) -> str:
        """How many series there are, and how long."""
        sizes = [len(one.values) for one in self.series]
        return f"{len(sizes)} series of {min(sizes):,} to {max(sizes):,} values"

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """Forecasts of whole horizons, over all series and of each; none of the training part."""
        windows = self.windows(split) if split != "train" else []
        if not windows:
            return {}
        records = [self.record(*window) for window in windows]
        options = {"horizon": self.horizon, "seed": mix(self.seed, 1)}
        few, drawing = len(self.series) <= FEW, partial(self.drawing, records)
        groups = (lambda record: [slug(record["series"])]) if few else (lambda record: [])
        return {"free_running": GenerationSet(records, self.metrics(), groups, options, drawing)}

    def record(self, one: Known, origin: int) -> Record:
        """What is known of a series before a value of it, and what comes then."""
        start = origin - self.season - self.context
        return {
            "series": one.name,
            "values": one.values[start:origin].tolist(),
            "start": start,
            "future": one.values[origin : origin + self.horizon].tolist(),
            "naive": one.scaling.naive,
        }

    def metrics(self) -> list[MetricFactory]:
        """What forecasts are measured by."""
        naive = seasonal_naive(self.season)
        return [
            ScaledError,
            partial(ScaledError, "as_now", seasonal_naive(1)),
            partial(ScaledError, "as_a_season_ago", naive),
            ScaledCrps,
            Coverage,
            partial(OfSeasonalNaive, self.season),
            partial(BetterThanSeasonalNaive, self.season),
        ]

    def drawing(self, records: Sequence[Record], predictions: Sequence[Series]) -> Mapping[str, Drawing]:
        """The last window of the first series."""
        outlooks = []
        for known in self.series[:FEW]:
            mine = [pair for pair in zip(predictions, records, strict=True) if pair[1]["series"] == known.name]
            measured = [ScaledError(), ScaledError("as_a_season_ago", seasonal_naive(self.season))]
            values: dict[str, float] = {}
            for metric in measured:
                for pair in mine:
                    metric.update(*pair)
                values |= {name: value for name, value in metric.compute().items() if value is not None}
            outlooks += [self.outlook(known, *mine[-1], values)] if mine else []
        return {"forecasts": Outlooks(outlooks)}

    def outlook(self, one: Known, predicted: Series, record: Record, values: Mapping[str, float]) -> Outlook:
        """What is drawn of one window: as much before it as is read, and the forecast."""
        origin = record["start"] + self.season + self.context
        begin = max(0, origin - max(self.context, 2 * self.season))
        summary = ", ".join(
            f"{name} {values[key]:.2f}"
            for name, key in (("MASE", "mase"), ("seasonal naive", "as_a_season_ago"))
            if key in values
        )
        whole = one.values[begin : origin + self.horizon].tolist()
        return Outlook(one.name, whole, origin - begin, predicted.quantiles or {"0.5": predicted.values}, summary)


class Listed:
    """Windows of a split as batches: every one once, and of each what follows its context."""

    def __init__(self, task: Forecast, windows: Sequence[Window]) -> None:
        self.task, self.windows = task, windows

    @property
    def epoch(self) -> int:
        """How many batches have all windows."""
        return ceil(len(self.windows) / self.task.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        size = self.task.batch_size
        number %= self.epoch
        return self.task.batch(self.windows[number * size : (number + 1) * size], self.task.context - 1)


def slug(name: str) -> str:
    """A name as it can stand in the key of a result.

    >>> slug("north 2 (new)")
    'north_2_new'
    """
    return "_".join("".join(c if c.isalnum() else " " for c in name).split())
