"""Modules whose intermediate values can be watched and replaced, and functions over states."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

CoreState = tuple[Any, ...]
"""The state of a core: nested tuples of tensors, batch first. Nothing else is carried between steps."""

Watcher = Callable[[str, Tensor], Tensor]
"""Is called with a name and a value, and returns the value to use instead (or the same)."""


class Part(nn.Module):
    """A module whose intermediate values can be recorded and replaced.

    `self.tap("forget", f)` returns `f`; while a watcher is attached it is called with the name and the value first.

    >>> part, seen = Part(), []
    >>> part.watcher = lambda name, value: seen.append(name) or value
    >>> _ = part.tap("hidden", torch.zeros(1))
    >>> seen
    ['hidden']
    """

    watcher: Watcher | None = None
    attends_to_source: ClassVar[bool] = False
    """Whether the "weights" that it taps are attention weights over a source."""

    def tap(self, name: str, value: Tensor) -> Tensor:
        """The value, or what the watcher returns for it."""
        return value if self.watcher is None else self.watcher(name, value)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; the mode from before is restored after it, on errors too.

    >>> layer = nn.Dropout()
    >>> with eval_mode(layer):
    ...     layer.training
    False
    >>> layer.training
    True
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def map_state(function: Callable[[Tensor], Tensor], state: CoreState) -> CoreState:
    """Apply a function to every tensor of a state."""
    return tuple(function(s) if isinstance(s, Tensor) else map_state(function, s) for s in state)


def detach(state: CoreState) -> CoreState:
    """Detach every tensor from the graph, as truncated back-propagation through time does between chunks.

    Args:
        state: nested tuples of tensors, batch first.

    >>> (h,) = detach((torch.zeros(1, 2, requires_grad=True),))
    >>> h.requires_grad
    False
    """
    return map_state(Tensor.detach, state)


def select(state: CoreState, rows: Tensor) -> CoreState:
    """Select rows of the batch by index, in that order, as beam search does after every step.

    Args:
        state: nested tuples of tensors, batch first.
        rows: indices of rows, (R,); a row may be repeated.

    Returns:
        The state of those rows.

    >>> (h,) = select((torch.tensor([[1.0], [2.0]]),), torch.tensor([1, 1, 0]))
    >>> h.flatten().tolist()
    [2.0, 2.0, 1.0]
    """
    return map_state(lambda s: s.index_select(0, rows), state)


def move(state: CoreState, device: torch.device | str) -> CoreState:
    """Move a state to another device.

    Args:
        state: nested tuples of tensors, batch first.
        device: as torch names devices.

    >>> (h,) = move((torch.zeros(1, 2),), "cpu")
    >>> h.device
    device(type='cpu')
    """
    return map_state(lambda s: s.to(device), state)


def fork(state: CoreState) -> CoreState:
    """Clone a state: generation may write into the original in place.

    Args:
        state: nested tuples of tensors, batch first.

    >>> state = (torch.zeros(1, 2),)
    >>> fork(state)[0].data_ptr() == state[0].data_ptr()
    False
    """
    return map_state(Tensor.clone, state)


def split_state(state: CoreState, number: int) -> Iterator[CoreState]:
    """Split the rows of a state in `number` parts, as `Batch.parts` splits a batch."""
    rows = next(tensors(state))[1].shape[0]
    for piece in torch.arange(rows).tensor_split(min(number, rows)):
        yield map_state(lambda s, p=piece: s[p[0] : p[-1] + 1], state)  # type: ignore[misc]


def join_states(states: Iterable[CoreState]) -> CoreState:
    """Concatenate the rows of several states: the inverse of `split_state`."""
    first, *others = states
    return _zip(first, others) if others else first


def _zip(first: CoreState, others: list[CoreState]) -> CoreState:
    return tuple(
        torch.cat([s, *(o[i] for o in others)]) if isinstance(s, Tensor) else _zip(s, [o[i] for o in others])
        for i, s in enumerate(first)
    )


def tensors(state: CoreState, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a state with its path; "0.1" is the second tensor of the first tuple."""
    for index, inner in enumerate(state):
        if isinstance(inner, Tensor):
            yield f"{path}{index}", inner
        else:
            yield from tensors(inner, f"{path}{index}.")


def fill(state: CoreState, values: Mapping[str, Tensor]) -> CoreState:
    """A state of the same structure with its tensors taken from `values` by path: the inverse of `tensors`.

    Raises:
        ValueError: where a tensor is missing, or has another shape or type than that of the state.

    >>> h, c = torch.zeros(2, 3), torch.ones(2, 3)
    >>> fill(((h, c),), dict(tensors(((c, h),))))[0][0].sum()
    tensor(6.)
    >>> fill((h,), {"0": torch.zeros(2, 4)})
    Traceback (most recent call last):
    ...
    ValueError: 0 is float32 (2, 4), and float32 (2, 3) is expected
    """
    refuse_unlike(values, dict(tensors(state)))
    return _filled(state, values, "")


def _filled(state: CoreState, values: Mapping[str, Tensor], path: str) -> CoreState:
    return tuple(
        values[f"{path}{index}"] if isinstance(inner, Tensor) else _filled(inner, values, f"{path}{index}.")
        for index, inner in enumerate(state)
    )


def refuse_unlike(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Compare the names, shapes and types of tensors from a file before they are used.

    Where a wanted shape has a 0, that of a cache which is still empty, any size fits: the same in all tensors of it.

    Raises:
        ValueError: which names the first tensor that does not fit, with both types and shapes.

    >>> refuse_unlike({"bias": torch.zeros(2)}, {"bias": torch.zeros(2), "weight": torch.zeros(2, 2)})
    Traceback (most recent call last):
    ...
    ValueError: weight is missing
    """
    strange = sorted(found.keys() ^ wanted.keys())
    if strange:
        raise ValueError(f"{strange[0]} is {'missing' if strange[0] in wanted else 'not part of this model'}")
    slots: dict[str, tuple[int, ...]] = {}
    for name, value in found.items():
        like = wanted[name]
        pairs = list(zip(value.shape, like.shape, strict=False))
        fits = value.dtype == like.dtype and value.dim() == like.dim() and all(b in (a, 0) for a, b in pairs)
        free = tuple(size for size, usual in pairs if usual == 0)
        if not fits or (free and slots.setdefault(name.rpartition(".")[0], free) != free):
            raise ValueError(f"{name} is {_form(value)}, and {_form(like)} is expected")


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


LARGEST = 1e15
"""No weight of a model that works is larger; float32 ends at 3e38, which two products reach from here."""


def diverged(values: Iterable[Tensor]) -> bool:
    """Whether a number among some weights is NaN, infinite or beyond all use.

    >>> diverged([torch.zeros(2)]), diverged([torch.zeros(2), torch.tensor([1.0, float("nan")])])
    (False, True)
    """
    return any(value.numel() and not bool(value.abs().max() < LARGEST) for value in values)
