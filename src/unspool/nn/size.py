"""How large a model will be, counted before any memory is taken for it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module
from torch.overrides import TorchFunctionMode

from unspool.errors import ConfigError, UnspoolError

BYTES = 4
"""Of a weight in float32."""
CERTAIN = 500
"""So many tensors are enough to say that a model is too large, where they are already."""
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says what a container may take."""


class _Uninitialized(TorchFunctionMode):
    """Skips what fills tensors in place: on the device "meta" that would import a second's worth of torch."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":
            return args[0] if args else kwargs.get("tensor")
        return func(*args, **kwargs)


class _Enough(Exception):
    """The count has passed every limit: the rest need not be built."""


def refuse_too_large(make: Callable[[], nn.Module], copies: int = 1) -> None:
    """Build a model without memory, on torch's device "meta", and refuse it where this machine could not hold it.

    Args:
        make: builds the model.
        copies: how many numbers each weight needs: 1 to be used, 4 to be trained with Adam.

    Raises:
        ConfigError: with the number of weights, what they take, and what there is.

    >>> refuse_too_large(lambda: nn.Linear(10**7, 10**7))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    unspool.errors.ConfigError: this model has 1.0e+14 weights, which take 400 TB, and this machine has ...
    """
    there, numbers = memory(), 0
    tensors = 0

    def add(_: nn.Module, name: str, value: torch.Tensor | None) -> None:
        nonlocal numbers, tensors
        numbers, tensors = numbers + (value.numel() if value is not None else 0), tensors + 1
        if tensors > CERTAIN and numbers * copies * BYTES > there:
            raise _Enough

    hooks: list[Any] = [
        module.register_module_parameter_registration_hook(add),
        module.register_module_buffer_registration_hook(add),
    ]
    try:
        with torch.device("meta"), _Uninitialized():
            made = make()
        numbers = sum(value.numel() for value in (*made.parameters(), *made.buffers()))
    except (_Enough, UnspoolError) as error:
        if isinstance(error, UnspoolError):
            raise
    except Exception as error:
        if "overflow" not in str(error):
            return  # a plug-in that reads values while it is built: it is built as it is
        numbers = 2**63
    finally:
        for hook in hooks:
            hook.remove()
    if numbers * copies * BYTES > there:
        taken = float(numbers * copies * BYTES)
        how = "" if copies == 1 else f" with their gradients and moments ({copies} numbers each)"
        raise ConfigError(
            f"this model has {numbers:.1e} weights, which take {in_bytes(taken)}{how}, and this machine has "
            f"{in_bytes(there)}",
            hint="make core.width, core.layers or the vocabulary smaller",
        )


def memory() -> float:
    """How much memory this process may take, in bytes; infinite where the system does not say."""
    found = [float("inf")]
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        found.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    for file in LIMITS:
        try:
            found.append(float(file.read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    return min(found)


def in_bytes(number: float) -> str:
    """A number of bytes in words.

    >>> in_bytes(16e9), in_bytes(1.2e13)
    ('16 GB', '12 TB')
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.0f} EB"
