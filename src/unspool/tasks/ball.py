"""Trajectories of a ball in a box: predict its next place."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.predictions import Flight
from unspool.data.preprocessors.flight import FlightPlaces
from unspool.data.splits import NoData
from unspool.data.synthetic.flight import Ball, flight
from unspool.metrics.drawings import Drawing, Flights
from unspool.metrics.flights import DistanceAhead, stay, straight
from unspool.metrics.metric import EvalSet, GenerationSet, Unit
from unspool.metrics.values import Distance
from unspool.pipelines.flights import FlightForecaster
from unspool.schema import Count, Natural, NotNegative
from unspool.seeds import mix
from unspool.tasks.generated import seed_of
from unspool.tasks.task import Task, tasks

HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200)
"""The error of a free-running prediction is measured so many frames ahead, and at its end."""
FLIGHTS = 64
"""So many flights are predicted."""
DRAWN = 6
"""So many of them are drawn."""


@tasks.register("ball")
class BallInBox(Task):
    """Predict the next place of a ball that flies through a box and bounces off its walls without losing speed.

    A place is shown as how far it is from the middle, across and up, in half box widths; the target is how far the ball
    moves until the next frame, in units of `speed`. It begins anywhere, in any direction, with up to `speed` box
    widths a frame; `gravity` pulls it down, in box widths a frame squared. Flight n follows from the seed and n alone.

    With `frames` the model sees so many places and is asked for the one after them: a single one does not
    tell its direction (MIT 6.S191, lecture 2). With 0 it sees all before, and is asked from the second one on at
    each of `length`.

    The set "fresh" is how far off the prediction is, in box widths, after true places. In the set "free_running" the
    model has seen `seen` places (or `frames`) and then goes on from its own predictions, `horizon` frames far, beside
    what a ball is off that stays and one that flies straight on.

    Args:
        preprocessor: how places are read; its `speed` is the highest speed of a ball.
        frames: so many places are seen before a prediction; 0: all before.
        length: the places of a flight that are seen in training, where `frames` is 0.
        gravity: in box widths a frame squared.
        seen: so many places are seen before the model goes on by itself.
        horizon: so many frames it goes on.
        batch_size: flights in a batch.
        epoch: so many batches are called one pass.
        seed: of the flights.

    >>> task = BallInBox(length=4)
    >>> task.train_batches()[0].inputs.shape, float(task.places(3, 1, 9).min()) >= 0
    (torch.Size([32, 4, 2]), True)
    """

    dataset = NoData
    preprocessing = FlightPlaces
    pipeline = FlightForecaster
    unit = Unit("value")
    preprocessor: FlightPlaces

    def __init__(
        self,
        preprocessor: FlightPlaces | None = None,
        frames: Natural = 0,
        length: Count = 40,
        gravity: NotNegative = 0.0,
        seen: Count = 10,
        horizon: Count = 50,
        batch_size: Count = 32,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        self.preprocessor = preprocessor or FlightPlaces()
        self.speed = self.preprocessor.speed
        self.frames, self.length, self.gravity = frames, frames or length, gravity
        self.seen, self.horizon = max(2, seen, frames), horizon
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.inputs, self.targets = self.preprocessor.inputs, self.preprocessor.targets

    def places(self, first: int, number: int, frames: int, seed: int | None = None) -> Tensor:
        """Where the ball is in so many flights from flight `first` on, in box widths: (number, frames, 2)."""
        chance = torch.stack(
            [
                torch.rand(4, generator=torch.Generator().manual_seed(mix(self.seed if seed is None else seed, flight)))
                for flight in range(first, first + number)
            ]
        ).double()
        angle, speed = 2 * torch.pi * chance[:, 2], self.speed * (0.2 + 0.8 * chance[:, 3])
        begins = Ball(chance[:, :2], speed.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], dim=1))
        return flight(begins, torch.tensor([0.0, self.gravity]).double(), frames).float()

    def train_batches(self) -> Batches:
        """Flights that never come again."""
        return Flown(self, self.seed)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Flights that training never sees."""
        return {"fresh": EvalSet(Flown(self, seed_of(self.seed, split)), [partial(Distance, self.speed)])}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Where the ball is, which one sees, and where it goes, which one does not."""
        (across, up), (right, rise) = batch.inputs.unbind(dim=-1), batch.targets.unbind(dim=-1)
        return {"how far right": across, "how far up": up, "flies right": right > 0, "flies up": rise > 0}

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """How far off a model is that goes on from its own predictions, by how many frames ahead."""
        places = self.places(0, FLIGHTS, self.seen + self.horizon, seed_of(self.seed, split))
        records = [
            {
                "flight": f"{number}",
                "across": one[: self.seen, 0].tolist(),
                "up": one[: self.seen, 1].tolist(),
                "future": one[self.seen :].tolist(),
            }
            for number, one in enumerate(places)
        ]
        horizons = [*(h for h in HORIZONS if h < self.horizon), self.horizon]
        forecasts = (("error", None), ("stay", stay), ("straight", straight))
        metrics = [partial(DistanceAhead, name, horizons, forecast) for name, forecast in forecasts]
        options = {"frames": self.frames, "horizon": self.horizon}
        drawing = partial(self.drawing, places)
        return {"free_running": GenerationSet(records, metrics, options=options, drawing=drawing)}

    @staticmethod
    def drawing(places: Tensor, predictions: Sequence[Flight]) -> Mapping[str, Drawing]:
        """The first flights, true and as the model goes on."""
        own = [list(map(list, zip(one.across, one.up, strict=True))) for one in predictions[:DRAWN]]
        return {"flights": Flights(places[:DRAWN].tolist(), own)}


class Flown:
    """Batches of flights, by number."""

    def __init__(self, task: BallInBox, seed: int) -> None:
        self.task, self.seed = task, seed

    @property
    def epoch(self) -> int:
        """How many batches are called one pass."""
        return self.task.epoch

    def __getitem__(self, number: int) -> Batch:
        """Every place but the first is asked for, or with `frames` the last alone."""
        rows, length = self.task.batch_size, self.task.length
        places = self.task.places(number * rows, rows, length + 1, self.seed)
        loss_mask = torch.arange(length) >= (self.task.frames or 2) - 1
        return Batch(
            self.task.preprocessor.scale(places[:, :-1]),
            places.diff(dim=1) / self.task.speed,
            loss_mask.expand(rows, -1),
        )
