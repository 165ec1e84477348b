"""Every random number generator that a training step may draw from."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed(number: int) -> None:
    """Start them all from one number.

    >>> seed(1)
    >>> first = torch.rand(1)
    >>> seed(1)
    >>> bool(torch.rand(1) == first)
    True
    """
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number % 2**32)


def tensors() -> dict[str, Tensor]:
    """The states of torch's generators: the CPU's, and each CUDA device's."""
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def plain() -> dict[str, Any]:
    """The states of Python's and NumPy's generators, as JSON can hold them."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [name, np.asarray(keys).tolist(), position, has_gauss, cached],
    }


def restore(saved: dict[str, Tensor], others: dict[str, Any]) -> None:
    """Put all states back; those of devices that are not here are left."""
    torch.set_rng_state(saved["torch"].cpu())
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda.{index}" in saved:
            torch.cuda.set_rng_state(saved[f"cuda.{index}"].cpu(), index)
    if "mps" in saved and torch.backends.mps.is_available():
        torch.mps.set_rng_state(saved["mps"].cpu())
    version, numbers, gauss = others["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = others["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
