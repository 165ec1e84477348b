"""The compiled kernels that train recurrent layers on a CPU, and where they are used instead of torch's."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from unspool.nn.kernels.numba_cache import forget_other_sources

Kernel = Callable[..., tuple[Tensor, ...]]
"""One of torch's recurrent kernels, as torch.lstm, or one like it: (input, state, weights, ...)."""
KernelName = Literal["lstm", "gru", "elman_tanh", "elman_relu"]
SOURCE = [Path(__file__).with_name(f"{name}.py") for name in ("elman", "gru", "lstm", "products", "vectors")]
"""What is compiled."""


def training_kernel(name: KernelName, tensors: Sequence[Tensor]) -> Kernel | None:
    """The compiled kernel where it applies: in training in float32 on a CPU, with Numba installed.

    Args:
        name: of the kernel.
        tensors: all that it would get.
    """
    if not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return None
    fits = all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
    return compiled_kernels().get(name) if fits else None


@cache
def compiled_kernels() -> dict[str, Kernel]:
    """All of them; none where Numba is missing or cannot write its cache."""
    try:
        from unspool.nn.kernels import elman, gru, lstm

        forget_other_sources(lstm.ahead, SOURCE)
    except (ImportError, RuntimeError, OSError):
        return {}
    found: dict[str, Any] = {"lstm": lstm.lstm, "gru": gru.gru}
    return found | {"elman_tanh": elman.elman_tanh, "elman_relu": elman.elman_relu}
