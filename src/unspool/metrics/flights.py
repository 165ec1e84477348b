"""Metrics of trajectories: the error by how many frames ahead a place was predicted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.data.predictions import Flight
from unspool.metrics.metric import Metric

Record = Mapping[str, Any]
"""A flight: its places `across` and `up` so far, and the places of its `future`, (across, up) each."""
Forecast = Callable[[Flight, Record], Tensor]
"""The predicted places (H, 2)."""


class DistanceAhead(Metric):
    """The mean distance of predicted places from the true ones, for some horizons: `error_10` is ten frames ahead.

    Args:
        name: of the values, before the horizon.
        horizons: numbers of frames.
        forecast: what is evaluated; by default the prediction.

    >>> metric = DistanceAhead("error", [1, 2])
    >>> metric.update(Flight("a", [1, 2], [0.5, 0.5], [0.0, 0.25]), {"future": [[0.5, 0.0], [0.5, 0.5]]})
    >>> metric.compute()
    {'error_1': 0.0, 'error_2': 0.25}
    """

    def __init__(self, name: str, horizons: Sequence[int], forecast: Forecast | None = None) -> None:
        self.name, self.horizons, self.forecast = name, list(horizons), forecast or predicted
        self.totals, self.number = torch.zeros(len(self.horizons), dtype=torch.float64), 0

    def update(self, output: Any, reference: Any) -> None:
        """Count one flight."""
        error = self.forecast(output, reference) - torch.tensor(reference["future"], dtype=torch.float64)
        self.totals += error[[horizon - 1 for horizon in self.horizons]].norm(dim=-1)
        self.number += 1

    def compute(self) -> dict[str, float]:
        """The mean for every horizon."""
        names = [f"{self.name}_{horizon}" for horizon in self.horizons]
        return dict(zip(names, (self.totals / self.number).tolist(), strict=True)) if self.number else {}


def predicted(output: Flight, reference: Record) -> Tensor:
    """The predicted places."""
    return torch.tensor([output.across, output.up], dtype=torch.float64).T


def stay(output: Flight, reference: Record) -> Tensor:
    """Everything stays where it is.

    >>> stay(Flight("", [], [], []), {"across": [0.1, 0.5], "up": [0.0, 0.25], "future": [[0, 0], [0, 0]]}).tolist()
    [[0.5, 0.25], [0.5, 0.25]]
    """
    last = torch.tensor([reference["across"][-1], reference["up"][-1]], dtype=torch.float64)
    return last.expand(len(reference["future"]), -1)


def straight(output: Flight, reference: Record) -> Tensor:
    """Everything goes on as between the last two frames.

    >>> straight(Flight("", [], [], []), {"across": [0.5, 0.75], "up": [0.0, 0.0], "future": [[0, 0], [0, 0]]}).tolist()
    [[1.0, 0.0], [1.25, 0.0]]
    """
    places = torch.tensor([reference["across"][-2:], reference["up"][-2:]], dtype=torch.float64).T
    ahead = torch.arange(1, len(reference["future"]) + 1, dtype=torch.float64).unsqueeze(1)
    return places[-1] + ahead * (places[-1] - places[-2])
