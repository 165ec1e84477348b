"""Devices, and the precision and thread count with which a model trains fastest, by measurement."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import inf
from statistics import median
from time import perf_counter
from typing import Literal

import torch

from unspool.batch import Batch
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel

PrecisionName = Literal["float32", "bfloat16"]

SECONDS = 1.0
"""How many seconds the whole measurement may take, about."""
WORTH = 1.3
"""How much faster more threads must be to be chosen: they are slower when other processes need a core."""


@dataclass(frozen=True)
class HardwareChoice:
    """The chosen precision and number of threads, and the reason as text for the user."""

    precision: PrecisionName
    threads: int
    why: str


def usable(name: str) -> str:
    """Check that a device can be used here.

    Args:
        name: as torch names devices; "auto": cuda, else mps, else cpu.

    Raises:
        ConfigError: where there is no such device.

    >>> usable("cpu")
    'cpu'
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.ones(1, device=name).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise ConfigError(
            f"there is no device {name!r} here", hint="`unspool doctor` lists what there is; auto picks the fastest"
        ) from None
    return name


def autocast(device: str, precision: PrecisionName) -> AbstractContextManager[object]:
    """A context in which matrix products are computed in that precision; weights, sums and losses stay in float32.

    Args:
        device: as torch names devices.
        precision: "float32" (no autocast) or "bfloat16".
    """
    if precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


def choose(
    model: SequenceModel,
    batch: Batch,
    device: str,
    precision: PrecisionName | Literal["auto"] = "auto",
    threads: int = 0,
) -> HardwareChoice:
    """The fastest of what is not yet decided (precision "auto", threads 0), by forward and backward on one batch.

    The model's weights, gradients and random numbers are left as they were.
    """
    names: list[PrecisionName] = ["float32", "bfloat16"] if precision == "auto" else [precision]
    counts = [threads] if threads else _thread_counts(device)
    if len(names) * len(counts) == 1:
        return HardwareChoice(names[0], counts[0], "as the recipe says")
    batch = batch.to(device)
    model = model.to(device)
    before = torch.get_num_threads()
    with _untouched(model, device):
        times: dict[tuple[PrecisionName, int], float] = {}
        for count in counts:
            torch.set_num_threads(count)
            for name in names:
                limit = min(times.values(), default=inf)
                times[name, count] = _time(model, batch, device, name, SECONDS / len(names) / len(counts), limit)
    torch.set_num_threads(before)
    best = min(times.values())
    name, count = min((c for c in times if times[c] <= best * WORTH), key=lambda c: (c[1], times[c]))
    table = ", ".join(f"{n} on {c} thread{'s' * (c > 1)} {1000 * t:.3g} ms" for (n, c), t in times.items())
    return HardwareChoice(name, count, f"measured per batch: {table}")


def _thread_counts(device: str) -> list[int]:
    """One, and the number of cores that this process may use; on a GPU only the current number."""
    if torch.device(device).type != "cpu":
        return [torch.get_num_threads()]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, min(available, torch.get_num_threads())})


def _time(model: SequenceModel, batch: Batch, device: str, name: PrecisionName, budget: float, limit: float) -> float:
    """Seconds of a forward and a backward pass: the median of a few, after one that does not count.

    A setting whose first pass takes four times the limit is not measured further.
    """
    taken: list[float] = []
    began = perf_counter()
    while not taken or (len(taken) < 12 and perf_counter() - began < budget and taken[0] < 4 * limit):
        start = perf_counter()
        with autocast(device, name):
            loss, _ = model.loss(batch)
        loss.backward()
        loss.item()  # waits for the device
        taken.append(perf_counter() - start)
    return median(taken[1:] or taken)


@contextmanager
def _untouched(model: SequenceModel, device: str) -> Iterator[None]:
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    training = model.training
    with torch.random.fork_rng(devices=devices):
        model.train()
        yield
    model.train(training)
    model.zero_grad()
