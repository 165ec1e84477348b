"""See inside a model while it runs, and reach into it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial

from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.part import Part, Watcher

Trace = dict[str, list[Tensor]]
"""Tapped values by place: "core.layers.0.0.forget" -> one tensor a tick, or one for all of them."""
Edit = Callable[[Tensor], Tensor]
"""What to go on with in place of a tapped value."""


@contextmanager
def watch(
    model: nn.Module,
    keep: bool | str | Sequence[str] = True,
    edits: Mapping[str, Edit] | None = None,
    strict: bool = True,
) -> Iterator[Trace]:
    """Collect tapped values inside the block, and their gradients after a backward pass; `edits` change them.

    Blocks may be nested: the outer one sees a value first. What is collected are the values after the edits. While a
    model is watched it runs its plain code, so `keep=False` without edits only turns the fused kernels off.

    Args:
        model: a model, or any module made of parts.
        keep: which places are collected: all, none, or those that match a pattern, for instance
            `"*.forget"`.
        edits: functions from a tapped value to the one that the model continues with, by the pattern of their places
            (`unspool.look.edits` has some).
        strict: whether an edit whose place never came is an error.

    Returns:
        The collected values by place, filled while the model runs.

    Raises:
        ConfigError: for an edit whose place never came.

    >>> import torch
    >>> from unspool import cells
    >>> cell = cells.build("cell", "lstm", input_size=1, hidden_size=2)
    >>> x = torch.zeros(1, 1)
    >>> with watch(cell, edits={"output": torch.zeros_like}) as trace:
    ...     h, c = cell.tick(cell.read(x), cell.start(x))
    >>> sorted(trace), h.tolist()
    (['candidate', 'forget', 'hidden', 'input', 'memory', 'output'], [[0.0, 0.0]])
    """
    trace: Trace = defaultdict(list)
    patterns = ("*",) if keep is True else (keep,) if isinstance(keep, str) else keep or ()
    unused = set(edits or ())

    def show(path: str, before: Watcher | None, name: str, value: Tensor) -> Tensor:
        value = value if before is None else before(name, value)
        place = f"{path}.{name}" if path else name
        for pattern, edit in (edits or {}).items():
            if fnmatchcase(place, pattern):
                unused.discard(pattern)
                value = edit(value)
        if any(fnmatchcase(place, pattern) for pattern in patterns):
            if value.requires_grad:
                value.retain_grad()
            trace[place].append(value)
        return value

    with _attached(model, show):
        yield trace
    if unused and strict:
        raise ConfigError(
            f"nothing was shown at {', '.join(sorted(unused))}", hint="`watch(model)` collects all places"
        )


@contextmanager
def _attached(model: nn.Module, show: Callable[[str, Watcher | None, str, Tensor], Tensor]) -> Iterator[None]:
    """Every part of the model shows its values, with its path and who watched it before, inside the block."""
    parts = {path: part for path, part in model.named_modules() if isinstance(part, Part)}
    watchers = {path: part.watcher for path, part in parts.items()}
    for path, part in parts.items():
        part.watcher = partial(show, path, part.watcher)
    try:
        yield
    finally:
        for path, part in parts.items():
            part.watcher = watchers[path]
