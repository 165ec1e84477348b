"""How does a series go on?"""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from unspool.batch import Batch, Batches, Vectors
from unspool.data.batching.drawn import Drawn
from unspool.data.series import Series
from unspool.data.splits import Splits
from unspool.errors import DataError
from unspool.metrics.drawings import Outlook, Outlooks
from unspool.metrics.forecast import covered, crps, mase, naive_error
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.legacy import Figures, Finals, Marks, Roller, Task, Trained, tasks

BANDS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Quantiles that are drawn: the median, and the middle 50, 80 and 90 %."""
FEW = 12
"""So many series are told one by one, and so many are drawn."""


class Scaled(NamedTuple):
    """A series with what its training part says of it."""

    name: str
    values: Tensor  # (N,) all of it, in its own unit
    logs: bool  # whether logarithms are read
    level: Tensor  # (N,) what each place in the season is in the mean of the training part
    unit: float  # the standard deviation of the training part around that
    ends: dict[str, tuple[int, int]]  # where each part begins and ends
    naive: float  # the error of the seasonal naive forecast in the training part, one season ahead

    def read(self) -> Tensor:
        """The values as a model sees them; of logarithms, no value is below a hundredth of the least known."""
        least = float(self.values[: self.ends["train"][1]].min()) / 100
        values = self.values.clamp(min=least) if self.logs else self.values
        return ((values.log() if self.logs else values) - self.level) / self.unit

    def written(self, read: Tensor, origin: int, season: int) -> Tensor:
        """What such values (..., T) from the one at `origin` on are in the unit of the series."""
        level = self.level[:season][(origin + torch.arange(read.shape[-1])) % season]
        found = read * self.unit + level
        return found.clamp(max=700).exp() if self.logs else found


class Window(NamedTuple):
    """Steps of some series, side by side: inputs and targets, and what takes them back to values."""

    series: Sequence[Scaled]
    starts: Sequence[int]  # at which value each begins
    inputs: Tensor  # (B, T, F)
    targets: Tensor  # (B, T, 1)
    paths: Tensor  # (B, season + T + 1): the scaled values, from a season before the first input on
    references: Tensor  # (B, 1): what was taken from the scaled values


@tasks.register("forecast")
class Forecast(Task):
    """How does a series of numbers go on? What comes next is learned, and fed back to see further.

    Every series is scaled by its training part alone: what each place in the `season` is in the mean is taken away, the
    rest is divided by its standard deviation; logarithms are taken before, where nothing is below zero and the swings
    grow with the values (after Guerrero 1993). Of that the model reads windows of `context` + `horizon` values, as far
    as they are from the mean of the season before the window, each with the two values a season before it and before
    the next one, and where in the season the next one is; it says by how much the next value differs from this one.

    Told is the loss one step ahead ("ahead"), in nats per value, and "rolled" what `paths` paths of `horizon` steps
    are worth, drawn from a model with model.components above 0 (one path of means from any other), in windows that
    follow one another through the whole part: the mean absolute scaled error of their median (MASE, by the seasonal
    naive error of the training part; Hyndman & Koehler 2006), that of the forecasts "as now" and "as a season ago",
    CRPS by the same unit (Gneiting & Raftery 2007) and how much the middle 80 % of the paths cover.
    """

    dataset = Series
    foretells = True

    def __init__(
        self,
        splits: Splits,
        seed: int = 0,
        season: Count = 1,
        context: Count = 48,
        horizon: Count = 24,
        paths: Count = 100,
        batch_size: Count = 32,
        epoch: Count = 30,
    ) -> None:
        self.season, self.context, self.horizon, self.paths = season, context, horizon, paths
        self.batch_size, self.epoch, self.seed = batch_size, epoch, seed
        self.inputs, self.targets = Vectors(5 if season > 1 else 2), Vectors(1)
        parts = {name: {r["series"]: r["values"] for r in getattr(splits, name)} for name in ("train", "valid", "test")}
        self.series = [self.scaled(name, parts, splits.places.get(name, name)) for name in parts["train"]]

    def scaled(self, name: str, parts: dict[str, dict[str, list[float]]], place: str) -> Scaled:
        """One series, by the statistics of its training part."""
        ends: dict[str, tuple[int, int]] = {}
        every: list[float] = []
        for part, known in parts.items():
            ends[part] = len(every), len(every) + len(known.get(name, ()))
            every += known.get(name, ())
        least = self.season + self.context + self.horizon + 1
        for part, size in (("train", least), ("valid", self.horizon), ("test", self.horizon)):
            begin, end = ends[part]
            if 0 < end - begin < size or (part == "train" and end < size):
                raise DataError(
                    f"{place}: the series {name!r} has {end - begin} values for {part}, and {size} are needed",
                    hint="give a longer series, a larger data.valid and data.test (0: none), or a smaller task.season, "
                    "task.context and task.horizon",
                )
        values = torch.tensor(every, dtype=torch.float64)
        train = values[: ends["train"][1]]
        logs = steadier_in_logs(train, max(self.season, self.horizon))
        read = train.log() if logs else train
        slots = torch.arange(len(values)) % self.season
        means = torch.stack([read[slots[: len(read)] == slot].mean() for slot in range(self.season)])
        level = means[slots]
        unit = float((read - level[: len(read)]).std(correction=0)) or 1.0
        return Scaled(name, values, logs, level, unit, ends, naive_error(train, self.season) or unit)

    def window(self, series: Sequence[Scaled], starts: Sequence[int], length: int) -> Window:
        """`length` steps of each series from the value `start` on, which is at least one season from its beginning."""
        cut = torch.stack(
            [one.read()[start - self.season : start + length + 1] for one, start in zip(series, starts, strict=True)]
        )
        references = cut[:, : self.season].mean(dim=1, keepdim=True)
        paths = (cut - references).float()
        inputs = torch.stack([self.input(paths[:, : self.season + t + 1], starts, t) for t in range(length)], dim=1)
        targets = paths.diff(dim=1)[:, self.season :].unsqueeze(-1)
        return Window(series, starts, inputs, targets, paths, references)

    def input(self, paths: Tensor, starts: Sequence[int], step: int) -> Tensor:
        """What is read at a step (B, F), of paths (B, at least a season + step + 1) that end there."""
        now, before, then = paths[:, -1], paths[:, -self.season - 1], paths[:, -self.season]
        if self.season == 1:
            return torch.stack([now, before], dim=1)
        angle = torch.tensor([2 * torch.pi * ((start + step + 1) % self.season) / self.season for start in starts])
        return torch.stack([now, before, then, angle.sin(), angle.cos()], dim=1)

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
        return asked(self.window(series, starts, length), 0)

    def exams(self, split: str) -> dict[str, Batches]:
        """Every value of the split but those that fill no horizon, one step ahead."""
        windows = self.origins(split)
        return {"ahead": Listed(self, windows)} if windows else {}

    def origins(self, split: str) -> list[tuple[Scaled, int]]:
        """The windows of a split: a series, and the first value that is to be said. The last ends with the split."""
        found = []
        for one in self.series:
            begin, end = one.ends[split]
            begin = max(begin, self.season + self.context)
            found += [(one, o) for o in range(begin + (end - begin) % self.horizon, end, self.horizon)]
        return [(one, origin) for one, origin in found if origin + self.horizon <= one.ends[split][1]]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """The value now and that of a season ago, and where in the season it is, as far as they are read."""
        summary = ("the value", "the value a season ago", "", "sine of the season", "cosine of the season")
        return {name: value for name, value in zip(summary, batch.inputs.unbind(dim=-1), strict=False) if name}

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How far off the means are, in standard deviations."""
        off = (scores - batch.targets)[batch.loss_mask].float().abs()
        return {"mean_absolute_error": (float(off.sum()), float(off.numel()))}

    def summary(self) -> str:
        """How many series there are, and how long."""
        sizes = [len(one.values) for one in self.series]
        return f", {len(sizes)} series of {min(sizes):,} to {max(sizes):,} values"

    def ahead(
        self, roll: Roller, series: Sequence[Scaled], origins: Sequence[int], length: int, count: int, seed: int
    ) -> Tensor:
        """Paths of the values from each origin on, in the unit of its series: (count, B, length)."""
        starts = [origin - self.context for origin in origins]
        shown = self.window(series, starts, self.context - 1)
        number = count if roll.spreads else 1
        paths = shown.paths.repeat_interleave(number, dim=0)
        begins = [start for start in starts for _ in range(number)]
        first = self.input(paths, begins, self.context - 1).unsqueeze(1)
        prompt = torch.cat([shown.inputs.repeat_interleave(number, dim=0), first], dim=1)

        def feed(step: int, move: Tensor) -> Tensor:
            nonlocal paths
            paths = torch.cat([paths, paths[:, -1:] + move], dim=1)
            return self.input(paths, begins, self.context + step)

        moves = roll(prompt, length, feed, seed=seed if roll.spreads else None)
        said = (paths[:, self.season + self.context - 1 :][:, :1] + moves.squeeze(-1).cumsum(dim=1)).double()
        said = said.view(len(series), number, length).transpose(0, 1) + shown.references
        summary = enumerate(zip(series, origins, strict=True))
        return torch.stack([one.written(said[:, n], origin, self.season) for n, (one, origin) in summary], dim=1)

    def finals(self, split: str, trained: Trained) -> Finals:
        """The errors of whole horizons, over all series and one by one, and the last window of each."""
        windows = self.origins(split) if split != "train" else []
        if not windows:
            return {}, {}
        series, origins = [one for one, _ in windows], [origin for _, origin in windows]
        said = self.ahead(trained.roll, series, origins, self.horizon, self.paths, mix(self.seed, 1))
        by_series: dict[str, dict[str, float]] = {}
        outlooks = []
        for one in self.series:
            mine = [n for n, other in enumerate(series) if other is one]
            true = torch.stack([one.values[origins[n] : origins[n] + self.horizon] for n in mine])
            now = torch.stack([one.values[origins[n] - 1].expand(self.horizon) for n in mine])
            back = torch.arange(self.horizon) % self.season - self.season
            season = torch.stack([one.values[origins[n] + back] for n in mine])
            paths = said[:, mine]
            figures = {
                "mase": mase(paths.median(dim=0).values, true, one.naive),
                "as_now": mase(now, true, one.naive),
                "as_a_season_ago": mase(season, true, one.naive),
                "crps": float(crps(paths, true).mean()) / one.naive,
            }
            figures["of_seasonal_naive"] = figures["mase"] / figures["as_a_season_ago"]
            if trained.roll.spreads:
                figures["covered_80"] = covered(paths, true, 0.8)
            by_series[one.name] = figures
            outlooks.append(self.outlook(one, origins[mine[-1]], paths[:, -1], figures))
        found: Figures = {
            name: sum(figures[name] for figures in by_series.values()) / len(by_series)
            for name in next(iter(by_series.values()))
        }
        found["better_than_seasonal_naive"] = sum(f["of_seasonal_naive"] < 1 for f in by_series.values()) / len(
            by_series
        )
        if len(by_series) <= FEW:
            for name, figures in by_series.items():
                found |= {f"{slug(name)}_{key}": figures[key] for key in ("mase", "of_seasonal_naive")}
        return {"rolled": found}, {"forecasts": Outlooks(outlooks[:FEW])}

    def foretold(self, roll: Roller, length: int, count: int, seed: int) -> Iterator[dict[str, str | float]]:
        """The next values of every series: its name, which path, how many steps ahead, the value in its own unit."""
        said = self.ahead(roll, self.series, [len(one.values) for one in self.series], length, count, seed)
        for n, one in enumerate(self.series):
            for path, values in enumerate(said[:, n].tolist(), start=1):
                for step, value in enumerate(values, start=1):
                    yield {"series": one.name, "path": path, "step": step, "value": value}

    def outlook(self, one: Scaled, origin: int, paths: Tensor, figures: dict[str, float]) -> Outlook:
        """What is to be drawn of one window of a series: as much before as is seen, and all that is said."""
        levels = BANDS if len(paths) > 1 else (0.5,)
        bands = {str(level): paths.quantile(level, dim=0).tolist() for level in levels}
        begin = origin - max(self.context, 2 * self.season)
        values = one.values[max(0, begin) : origin + self.horizon].tolist()
        summary = f"MASE {figures['mase']:.2f}, seasonal naive {figures['as_a_season_ago']:.2f}"
        return Outlook(one.name, values, origin - max(0, begin), bands, summary)


class Listed:
    """Windows of a split as batches: every one once, and of each what follows its context."""

    def __init__(self, task: Forecast, windows: Sequence[tuple[Scaled, int]]) -> None:
        self.task, self.windows = task, windows

    @property
    def epoch(self) -> int:
        """How many batches have all windows."""
        return ceil(len(self.windows) / self.task.batch_size)

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        size, task = self.task.batch_size, self.task
        number %= self.epoch
        mine = self.windows[number * size : (number + 1) * size]
        starts = [origin - task.context for _, origin in mine]
        length = task.context + task.horizon - 1
        return asked(task.window([one for one, _ in mine], starts, length), task.context - 1)


def asked(window: Window, first: int) -> Batch:
    """The batch that asks for every step of a window from `first` on."""
    rows, length = window.inputs.shape[:2]
    return Batch(window.inputs, window.targets, (torch.arange(length) >= first).expand(rows, -1))


def steadier_in_logs(values: Tensor, length: int) -> bool:
    """Whether the swings of positive values grow with them: from block to block, std / mean differs less than std.

    >>> t = torch.arange(96.0)
    >>> steadier_in_logs((1 + t) * (2 + t.sin()), 12), steadier_in_logs(200 + t + t.sin(), 12)
    (True, False)
    """
    if bool((values <= 0).any()) or len(values) < 3 * length:
        return False
    blocks = values[: len(values) // length * length].view(-1, length)
    swings = blocks.std(dim=1)
    shares = swings / blocks.mean(dim=1)
    return bool(shares.std() / shares.mean() < 0.8 * swings.std() / swings.mean())


def slug(name: str) -> str:
    """A name as it can stand in a recipe.

    >>> slug("north 2 (new)")
    'north_2_new'
    """
    return "_".join("".join(c if c.isalnum() else " " for c in name).split())
