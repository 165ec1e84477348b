"""Random numbers that follow from a seed and a number, so that there is no state to keep."""

import hashlib
import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

Whole = int | Sequence[int] | NDArray[np.int64]
"""One whole number or several."""
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The step from a state of SplitMix64 to the next: 2**64 over the golden ratio, made odd."""


def mix(seed: int, number: int) -> int:
    """A seed for the thing of that number: near numbers give unrelated seeds, below 2**63.

    >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(f"{seed} {number}".encode(), digest_size=8).digest()) >> 1


def random_numbers(seeds: Whole, places: Whole) -> NDArray[np.float64]:
    """Numbers from 0 to below 1, each from a seed and a place alone: so far along the seed's stream of SplitMix64.

    Steele, Lea and Flood 2014 (doi:10.1145/2660193.2660195): a counter and a hash of it, so that any place costs the
    same. The streams of near seeds are unrelated, for they begin at the seeds' hashes.

    Args:
        seeds: whole numbers, of which the last 64 bits count.
        places: whole numbers from 0; both are broadcast.

    >>> bool((random_numbers([3, 4], 10) == [random_numbers(3, 10), random_numbers(4, 10)]).all())
    True
    """
    last = np.atleast_1d(np.asarray(seeds, dtype=object) & (2**64 - 1)).astype(np.uint64)
    steps = np.atleast_1d(np.asarray(places, dtype=np.uint64)) + np.uint64(1)
    bits = _hashed(_hashed(last) + GOLDEN * steps) >> np.uint64(11)
    shape = np.broadcast_shapes(np.shape(seeds), np.shape(places))
    return np.asarray(bits * 2.0**-53, dtype=np.float64).reshape(shape)


def _hashed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def start(seed: int, device: torch.device | str = "cpu") -> None:
    """Start every generator that a model may draw from: torch's on the CPU and on that device, Python's, NumPy's.

    >>> start(1)
    >>> first = torch.rand(1)
    >>> start(1)
    >>> bool(torch.rand(1) == first)
    True
    """
    torch.default_generator.manual_seed(seed)
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.manual_seed_all(seed)
    elif kind == "mps":
        torch.mps.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
