"""How good forecasts of numbers are: errors without a unit, and whether what is said of their spread is true."""

from math import pi

import torch
from jaxtyping import Float
from torch import Tensor


def naive_error(values: Float[Tensor, " T"], season: int = 1) -> float:
    """How far a value is from the one a season before it, in the mean: the unit of the scaled errors.

    >>> naive_error(torch.tensor([1.0, 2.0, 4.0]))
    1.5
    """
    return float((values[season:] - values[:-season]).abs().mean())


def mase(said: Float[Tensor, "*B H"], true: Float[Tensor, "*B H"], unit: float) -> float:
    """The mean absolute scaled error, by `naive_error` of the training part (Hyndman & Koehler 2006).

    Below 1, it is better than the seasonal naive forecast was one step ahead in that part.

    >>> mase(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]), unit=3.0)
    0.5
    """
    return float((said - true).abs().mean() / unit)


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
