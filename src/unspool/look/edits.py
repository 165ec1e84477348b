"""What one can do to a value inside a model: each gives an edit for `unspool.watch`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.look.watch import Edit


def fixed(value: float, units: Sequence[int] | None = None) -> Edit:
    """Put a number in place of some units, the last axis, or of all: a gate is shut by 0 and opened by 1.

    >>> fixed(1.0, units=[2])(torch.zeros(1, 3))
    tensor([[0., 0., 1.]])
    """
    return lambda values: _filled(values, value, -1, units)


def without(heads: Sequence[int]) -> Edit:
    """Take heads away: nothing of what they attend to, "weights" (B, K, T, C), comes through.

    >>> without([0])(torch.ones(1, 2, 1, 1)).flatten()
    tensor([0., 1.])
    """
    return lambda values: _filled(values, 0.0, 1, heads)


def _filled(values: Tensor, value: float, axis: int, numbers: Sequence[int] | None) -> Tensor:
    chosen = torch.arange(values.shape[axis]) if numbers is None else torch.tensor(numbers)
    return values.index_fill(axis, chosen.to(values.device), value)
