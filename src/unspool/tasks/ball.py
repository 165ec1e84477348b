"""Where is the ball next?"""

import torch
from torch import Tensor

from unspool.batch import Batch, Batches, Vectors
from unspool.data.splits import NoData
from unspool.data.synthetic.flight import Ball, flight
from unspool.metrics.drawings import Flights
from unspool.schema import Count, Natural, NotNegative, Positive
from unspool.seeds import mix
from unspool.tasks.generated import seed_of
from unspool.tasks.legacy import Figures, Finals, Marks, Roller, Task, Trained, tasks

HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200)
"""So many frames ahead the roll-out is judged, and at its end."""
ROLLED = 64
"""So many flights are gone on with."""
DRAWN = 6
"""So many of them are drawn."""


@tasks.register("ball")
class BallInBox(Task):
    """A ball flies through a box and bounces off its walls without a loss: where will it be in the next frame?

    A place is shown as how far it is from the middle, across and up, in half box widths; the answer is how far the ball
    will be from where it is now, in units of `speed`. It begins anywhere, in any direction, with up to `speed` box
    widths a frame; `gravity` pulls it down, in box widths a frame squared. Flight n follows from the seed and n alone.

    With `frames` the model sees so many places and is asked for the one after them: of a single one nobody can tell
    where the ball is going (MIT 6.S191, lecture 2). With 0 it sees all before, and is asked from the second one on at
    each of `length`.

    Told is how far off the answer is, in box widths: "fresh" after true places, and "rolled" where the model has seen
    `seen` places (or `frames`) and then goes on from its own answers, `horizon` frames far, beside what a ball is off
    that stays and one that flies straight on.

    Args:
        batch_size: flights in a batch.

    >>> task = BallInBox(length=4, speed=0.1)
    >>> task.train_batches()[0].inputs.shape, float(task.places(3, 1, 9).min()) >= 0
    (torch.Size([32, 4, 2]), True)
    """

    dataset = NoData

    def __init__(
        self,
        frames: Natural = 0,
        length: Count = 40,
        speed: Positive = 0.1,
        gravity: NotNegative = 0.0,
        seen: Count = 10,
        horizon: Count = 50,
        batch_size: Count = 32,
        epoch: Count = 30,
        seed: int = 0,
    ) -> None:
        self.frames, self.length, self.speed, self.gravity = frames, frames or length, speed, gravity
        self.seen, self.horizon = max(2, seen, frames), horizon
        self.batch_size, self.seed, self.epoch = batch_size, seed, epoch
        self.inputs = self.targets = Vectors(2)

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

    def exams(self, split: str) -> dict[str, Batches]:
        """Flights that training never sees."""
        return {"fresh": Flown(self, seed_of(self.seed, split))}

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How far off the answers are, in box widths."""
        off = (scores - batch.targets)[batch.loss_mask].float().norm(dim=-1) * self.speed
        return {"error": (float(off.sum()), float(len(off)))}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Where the ball is, which one sees, and where it goes, which one does not."""
        (across, up), (right, rise) = batch.inputs.unbind(dim=-1), batch.targets.unbind(dim=-1)
        return {"how far right": across, "how far up": up, "flies right": right > 0, "flies up": rise > 0}

    def follow(self, roll: Roller, shown: Tensor, frames: int) -> Tensor:
        """Where a model says that balls will be in the next frames, each told from where it said they were."""
        now = shown[:, -1]

        def feed(step: int, move: Tensor) -> Tensor:
            nonlocal now
            now = now + self.speed * move
            return 2 * now - 1

        moves = roll(2 * shown - 1, frames, feed, window=self.frames)
        return shown[:, -1:] + self.speed * moves.cumsum(dim=1)

    def finals(self, split: str, trained: Trained) -> Finals:
        """How far off a model is that lives on its own answers, by how many frames ahead."""
        places = self.places(0, ROLLED, self.seen + self.horizon, seed_of(self.seed, split))
        shown, true = places[:, : self.seen], places[:, self.seen :]
        said = self.follow(trained.roll, shown, self.horizon)
        ahead = torch.arange(1, self.horizon + 1).view(1, -1, 1)
        answers = {
            "error": said,
            "stay": shown[:, -1:].expand_as(true),
            "straight": shown[:, -1:] + ahead * (shown[:, -1:] - shown[:, -2:-1]),
        }
        found: Figures = {}
        for horizon in (*(h for h in HORIZONS if h < self.horizon), self.horizon):
            for name, answer in answers.items():
                found[f"{name}_{horizon}"] = float((answer - true)[:, horizon - 1].norm(dim=-1).mean())
        return {"rolled": found}, {"flights": Flights(places[:DRAWN].tolist(), said[:DRAWN].tolist())}


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
        return Batch(2 * places[:, :-1] - 1, places.diff(dim=1) / self.task.speed, loss_mask.expand(rows, -1))
