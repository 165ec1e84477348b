"""Learning rate schedules: a factor for every progress between 0 and 1."""

from math import cos, pi
from typing import Literal

ScheduleName = Literal["constant", "linear", "cosine", "warmup-stable-decay", "plateau"]


class Schedule:
    """A factor on the learning rate: a linear warm-up, then the schedule of that name.

    Warm-up and decay are shares of the budget, so a budget in minutes gives the same curve as one in steps.

    Args:
        name: "constant"; "linear" and "cosine" fall to zero at the end of the budget; "warmup-stable-decay" is constant
            and then falls to zero (Hu et al. 2024, arXiv:2404.06395); "plateau" falls when the validation loss has not
            improved.
        warmup: the share of the budget in which the factor rises from 0 to 1.
        decay: the share of the budget in which "warmup-stable-decay" falls.
        drop: what "plateau" multiplies the factor by.

    >>> schedule = Schedule("warmup-stable-decay", warmup=0.1, decay=0.5)
    >>> [round(schedule.factor(progress), 2) for progress in (0.05, 0.1, 0.5, 0.75, 1.0)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """

    def __init__(self, name: ScheduleName, warmup: float = 0.0, decay: float = 0.5, drop: float = 0.25) -> None:
        self.name, self.warmup, self.decay, self.drop = name, warmup, decay, drop
        self.level = 1.0
        self.best = float("inf")

    def factor(self, progress: float) -> float:
        """The factor at a progress between 0 and 1."""
        rise = min(1.0, progress / self.warmup) if self.warmup else 1.0
        after = min(1.0, max(0.0, progress - self.warmup) / (1 - self.warmup))  # 0 at the end of the warm-up
        if self.name == "linear":
            return rise * (1 - after)
        if self.name == "cosine":
            return rise * (1 + cos(pi * after)) / 2
        if self.name == "warmup-stable-decay" and self.decay:
            return rise * min(1.0, max(0.0, 1 - progress) / self.decay)
        return rise * self.level

    def report(self, valid_loss: float) -> None:
        """Report a validation loss, which "plateau" depends on."""
        if self.name == "plateau" and valid_loss >= self.best:
            self.level *= self.drop
        self.best = min(self.best, valid_loss)
