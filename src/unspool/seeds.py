"""Random numbers that follow from a seed and a number, so that there is no state to keep."""

import hashlib
import random

import numpy as np
import torch


def mix(seed: int, number: int) -> int:
    """A seed for the thing of that number: near numbers give unrelated seeds, below 2**63.

    >>> mix(0, 1) == mix(0, 1), mix(0, 1) == mix(1, 0)
    (True, False)
    """
    return int.from_bytes(hashlib.blake2b(f"{seed} {number}".encode(), digest_size=8).digest()) >> 1


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
