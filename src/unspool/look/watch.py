"""See inside a model while it runs."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn

from unspool.nn.part import Part

Trace = dict[str, list[Tensor]]
"""Tapped values by place: "core.layers.0.0.forget" -> one tensor a tick."""


@contextmanager
def watch(model: nn.Module, keep: bool = True) -> Iterator[Trace]:
    """Collect every tapped value inside the block, and its gradient after a backward pass.

    Who watches gets the readable code, so with `keep=False` this only turns the fused twins off.
    """
    trace: Trace = defaultdict(list)
    parts = {path: part for path, part in model.named_modules() if isinstance(part, Part)}

    def record(path: str, name: str, value: Tensor) -> Tensor:
        if keep:
            if value.requires_grad:
                value.retain_grad()
            trace[f"{path}.{name}"].append(value)
        return value

    for path, part in parts.items():
        part.watcher = partial(record, path)
    try:
        yield trace
    finally:
        for part in parts.values():
            part.watcher = None
