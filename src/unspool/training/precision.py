"""Devices, and the precision and thread count with which a model trains fastest, by measurement."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Literal

import torch

from unspool.batch import Batch, Batches
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.training.threads import torch_threads

PrecisionName = Literal["float32", "bfloat16"]

CACHED_KERNELS = 128
"""How many compiled kernels oneDNN and torch's layer over it keep, of 1,024 each if nobody says otherwise."""
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):  # read once, at the first product in bfloat16
    os.environ.setdefault(_cache, str(CACHED_KERNELS))  # each shape is a kernel: many lengths would take gigabytes

SECONDS = 1.0
"""How many seconds the trials may take, about, after one pass of each setting that does not count."""
FIRST = 9
"""Of so many batches the one of median size is timed."""
TRIALS = 9
"""How many times each setting is timed at most; the least time counts, which other processes disturb the least."""
HOPELESS = 2.0
"""A setting that takes this many times the best is not timed further."""
WORTH = 1.3
"""How much faster more threads must be to be chosen: they are slower when other processes need a core."""
SMALL = 0.004
"""Seconds of a pass on one thread from which on more threads are tried: below it they mostly wait for each other."""


@dataclass(frozen=True)
class HardwareChoice:
    """The chosen precision and number of threads, the reason as text for the user, and the measured speed."""

    precision: PrecisionName
    threads: int
    why: str
    seconds_per_position: float | None = None  # of a forward and a backward pass; None: nothing was measured


def usable(name: str) -> str:
    """Check that a device can be used here, and let float32 be float32 on a GPU.

    cuDNN would round the inputs of convolutions and recurrent layers to TF32, 10 bits, so that a whole text and the
    same text step by step differ in the third digit. Where that is precise enough, bfloat16 is faster still.

    Args:
        name: as torch names devices; "auto": cuda, else mps, else cpu.

    Raises:
        ConfigError: where there is no such device.

    >>> usable("cpu")
    'cpu'
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.ones(1, device=name).cpu()
    except (RuntimeError, AssertionError, ImportError):
        raise ConfigError(
            f"there is no device {name!r} here", hint="`unspool doctor` lists what there is; auto picks the fastest"
        ) from None
    if torch.device(name).type == "cuda":
        torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
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


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies in bfloat16 in hardware: GPUs, and CPUs with AVX512-BF16 or AMX that torch may use.

    Elsewhere the same product takes many times as long as in float32.

    Args:
        device: as torch names devices.

    >>> isinstance(has_bfloat16("cpu"), bool)
    True
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu":
        return True
    has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    uses = "AVX512" in torch.backends.cpu.get_cpu_capability()  # ATEN_CPU_CAPABILITY=avx2 forbids it
    return uses and bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def choose(
    model: SequenceModel,
    batches: Batches,
    device: str,
    precision: PrecisionName | Literal["auto"] = "auto",
    threads: int = 0,
) -> HardwareChoice:
    """The fastest of what is not yet decided (precision "auto", threads 0), by forward and backward on a usual batch.

    Every setting has one pass that does not count (kernels are compiled in it, memory is taken), then they take turns,
    and of each the least time counts. bfloat16 is tried only where the hardware has it (`has_bfloat16`), more threads
    only where a pass takes longer than a few milliseconds. The model's weights, gradients and random numbers are left
    as they were.

    Args:
        model: is moved to the device.
        batches: what it trains on; of the first few the one of median size is used.
        device: as torch names devices.
        precision: "auto" to measure, or one of the two.
        threads: 0 to measure, or how many.
    """
    names: list[PrecisionName] = [precision] if precision != "auto" else ["float32"]
    if precision == "auto" and has_bfloat16(device):
        names.append("bfloat16")
    counts = [threads] if threads else _thread_counts(device)
    if len(names) * len(counts) == 1:
        why = "as the recipe says" if precision != "auto" else "this processor has no bfloat16"
        return HardwareChoice(names[0], counts[0], why)
    batch, model = _usual(batches).to(device), model.to(device)
    before = torch.get_num_threads()
    with _untouched(model, device):
        times = _in_turns(model, batch, device, [(name, counts[0]) for name in names])
        if len(counts) > 1 and min(times.values()) > SMALL:
            settings = [(name, count) for count in counts for name in names if (name, counts[0]) in times]
            times = _in_turns(model, batch, device, settings)
    torch.set_num_threads(before)
    best = min(times.values())
    name, count = min((c for c in times if times[c] <= best * WORTH), key=lambda c: (c[1], times[c]))
    table = ", ".join(f"{n} on {c} thread{'s' * (c > 1)} {1000 * t:.3g} ms" for (n, c), t in times.items())
    return HardwareChoice(name, count, f"measured per batch: {table}", times[name, count] / max(1, batch.positions))


def _usual(batches: Batches) -> Batch:
    """Of the first few batches the one of median size."""
    first = [batches[number] for number in range(FIRST)]
    return sorted(first, key=lambda batch: batch.inputs.shape[:2].numel())[FIRST // 2]


def _thread_counts(device: str) -> list[int]:
    """One, and the number of cores that this process may use; on a GPU only the current number."""
    if torch.device(device).type != "cpu":
        return [torch_threads.allowed()]
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sorted({1, min(available, torch_threads.allowed())})


def _in_turns(
    model: SequenceModel, batch: Batch, device: str, settings: Sequence[tuple[PrecisionName, int]]
) -> dict[tuple[PrecisionName, int], float]:
    """The least seconds that each setting takes, in the order of the settings."""
    for setting in settings:
        _time(model, batch, device, *setting)  # compiles, and takes memory
    times = dict.fromkeys(settings, inf)
    began = perf_counter()
    for trial in range(TRIALS):
        for setting in settings:
            if trial == 0 or times[setting] < HOPELESS * min(times.values()):
                times[setting] = min(times[setting], _time(model, batch, device, *setting))
        if perf_counter() - began > SECONDS:
            break
    return times


def _time(model: SequenceModel, batch: Batch, device: str, name: PrecisionName, threads: int) -> float:
    """Seconds of one forward and one backward pass."""
    torch.set_num_threads(threads)
    start = perf_counter()
    with autocast(device, name):
        loss, _ = model.loss(batch)
    loss.backward()
    loss.item()  # waits for the device
    return perf_counter() - start


@contextmanager
def _untouched(model: SequenceModel, device: str) -> Iterator[None]:
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    training = model.training
    with torch.random.fork_rng(devices=devices):
        model.train()
        yield
    model.train(training)
    model.zero_grad()
