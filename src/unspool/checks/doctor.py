"""A report on this machine: versions, devices and defaults."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import disk_usage

import torch

PACKAGES = ("unspool", "torch", "numpy", "safetensors", "pydantic", "tokenizers", "matplotlib", "tensorboard")


def examine() -> dict[str, str]:
    """Machine, versions, devices and defaults as text by name.

    >>> "device" in examine()
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = disk_usage(Path.cwd()).free / 2**30
    found = {
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "processor": f"{torch.backends.cpu.get_cpu_capability()}, {cores} cores for this process",
        "disk": f"{free:.1f} GiB free here",
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        found["device"] = f"cuda: {names}"
    elif torch.backends.mps.is_available():
        found["device"] = "mps: Apple's graphics processor"
    else:
        found["device"] = "cpu: no GPU found"
    found["kernels"] = (
        "cuDNN"
        if torch.backends.cudnn.is_available()
        else "oneDNN"
        if torch.backends.mkldnn.is_available()
        else "plain"
    )
    found["precision"] = "measured when training begins: float32 or bfloat16, one thread or all"
    return found
