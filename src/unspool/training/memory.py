"""How much memory a training takes."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

import torch


def restart_peak(device: str) -> None:
    """Begin to measure anew, where the system can: a process may have trained before. What it kept is given back.

    Args:
        device: as torch names devices.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is what is used now
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> dict[str, int]:
    """The most bytes that were in use at once since `restart_peak`, or since the process began where it cannot restart.

    Args:
        device: as torch names devices.

    Returns:
        "peak_memory": the resident memory of the process, left out where the system does not tell; "peak_gpu_memory":
        what torch held on the GPU, where the device is one.

    >>> sorted(peak_memory("cpu")) in (["peak_memory"], [])
    True
    """
    found = {}
    if resident := _resident():
        found["peak_memory"] = resident
    if torch.device(device).type == "cuda":
        found["peak_gpu_memory"] = torch.cuda.max_memory_allocated(device)
    return found


def _resident() -> int:
    """The peak of this process's resident memory in bytes; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024
