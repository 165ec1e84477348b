"""Scaling of series: level and unit are those of the training part alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.data.clock import Clock


@dataclass(frozen=True)
class Scaling:
    """Scales the values of a series for a model, and back.

    Args:
        level: the mean of each slot of the season; the first slot is that of the first value.
        unit: the standard deviation around the level.
        logs: whether logarithms are taken before.
        least: of logarithms, values below are read as this one.
        naive: the mean absolute error of the seasonal naive forecast, one season ahead.
        clock: the times of the values, where they are equally far apart.
    """

    level: tuple[float, ...]
    unit: float
    logs: bool
    least: float
    naive: float
    clock: Clock | None = None

    @classmethod
    def of(cls, values: Float[Tensor, " N"], season: int, context: int, times: Sequence[Any] = ()) -> "Scaling":
        """The scaling that is fitted to these values."""
        logs = steadier_in_logs(values, season if season > 1 else context)
        read = values.log() if logs else values
        slots = torch.arange(len(values)) % season
        level = torch.stack([read[slots == slot].mean() for slot in range(season)])
        unit = float((read - level[slots]).std(correction=0)) or 1.0
        least = float(values.min()) / 100 if logs else 0.0
        return cls(tuple(level.tolist()), unit, logs, least, naive_error(values, season), Clock.of(times))

    def at(self, start: int, number: int) -> Float[Tensor, " number"]:
        """The level at so many values, the first of them the one that is numbered `start` from 0."""
        season = len(self.level)
        return torch.tensor(self.level, dtype=torch.float64)[(start + torch.arange(number)) % season]

    def scale(self, values: Float[Tensor, " T"], start: int) -> Float[Tensor, " T"]:
        """Values as a model reads them; of logarithms, no value is below a hundredth of the least that was known."""
        read = values.clamp(min=self.least).log() if self.logs else values
        return (read - self.at(start, len(values))) / self.unit

    def unscale(self, read: Float[Tensor, "*N T"], start: int) -> Float[Tensor, "*N T"]:
        """What such values are in the unit of the series."""
        found = read * self.unit + self.at(start, read.shape[-1])
        return found.clamp(max=700).exp() if self.logs else found


def naive_error(values: Float[Tensor, " T"], season: int = 1) -> float:
    """How far a value is from the one a season before it, in the mean: the unit of the scaled errors.

    >>> naive_error(torch.tensor([1.0, 2.0, 4.0]))
    1.5
    """
    return float((values[season:] - values[:-season]).abs().mean())


def steadier_in_logs(values: Tensor, length: int) -> bool:
    """Whether the swings of positive values grow with them: from block to block, std / mean differs less than std.

    >>> t = torch.arange(96.0)
    >>> steadier_in_logs((1 + t) * (2 + t.sin()), 12), steadier_in_logs(200 + t + t.sin(), 12)
    (True, False)
    """
    if bool((values <= 0).any()) or len(values) < 3 * length or length < 2:
        return False
    blocks = values[: len(values) // length * length].view(-1, length)
    swings = blocks.std(dim=1)
    shares = swings / blocks.mean(dim=1)
    return bool(shares.std() / shares.mean() < 0.8 * swings.std() / swings.mean())
