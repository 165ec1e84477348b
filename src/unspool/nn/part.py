"""What every module here can do: be watched, and carry a state."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

CoreState = tuple[Any, ...]
"""Tensors, batch first, nested as the model is nested. Nothing else is remembered between steps."""

Watcher = Callable[[str, Tensor], Tensor]
"""Is shown a name and a value, and answers with the value to go on with."""


class Part(nn.Module):
    """A module that can show what it computes.

    `self.tap("forget", f)` returns `f`, and shows it to a watcher when there is one.

    >>> part, seen = Part(), []
    >>> part.watcher = lambda name, value: seen.append(name) or value
    >>> _ = part.tap("hidden", torch.zeros(1))
    >>> seen
    ['hidden']
    """

    watcher: Watcher | None = None
    attends_to_source: ClassVar[bool] = False
    """Whether the "weights" that it shows say where in a source it looks."""

    def tap(self, name: str, value: Tensor) -> Tensor:
        """The value itself, or what the watcher makes of it."""
        return value if self.watcher is None else self.watcher(name, value)


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """No dropout inside the block; whatever happens in it, the model is in its own mode again behind it.

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
    """The same nest with every tensor replaced by what the function makes of it."""
    return tuple(function(s) if isinstance(s, Tensor) else map_state(function, s) for s in state)


def detach(state: CoreState) -> CoreState:
    """Cut the graph: what truncated back-propagation through time does between chunks."""
    return map_state(Tensor.detach, state)


def select(state: CoreState, rows: Tensor) -> CoreState:
    """Keep some rows of the batch, in that order: what beam search does after every step."""
    return map_state(lambda s: s.index_select(0, rows), state)


def move(state: CoreState, device: torch.device | str) -> CoreState:
    """The same state on another device."""
    return map_state(lambda s: s.to(device), state)


def fork(state: CoreState) -> CoreState:
    """A copy that can be come back to: generation may write into a state in place."""
    return map_state(Tensor.clone, state)


def parts(state: CoreState, number: int) -> Iterator[CoreState]:
    """The rows of a state cut as `Batch.parts` cuts a batch."""
    rows = next(tensors(state))[1].shape[0]
    for piece in torch.arange(rows).tensor_split(min(number, rows)):
        yield map_state(lambda s, p=piece: s[p[0] : p[-1] + 1], state)  # type: ignore[misc]


def join(states: Iterable[CoreState]) -> CoreState:
    """The rows of several states in one: undoes `parts`."""
    first, *others = states
    return _zip(first, others) if others else first


def _zip(first: CoreState, others: list[CoreState]) -> CoreState:
    return tuple(
        torch.cat([s, *(o[i] for o in others)]) if isinstance(s, Tensor) else _zip(s, [o[i] for o in others])
        for i, s in enumerate(first)
    )


def tensors(state: CoreState, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a state with its place, "0.1" for the second of the first."""
    for index, inner in enumerate(state):
        if isinstance(inner, Tensor):
            yield f"{path}{index}", inner
        else:
            yield from tensors(inner, f"{path}{index}.")


def fill(state: CoreState, values: dict[str, Tensor], path: str = "") -> CoreState:
    """The same nest with its tensors taken from `values` by place: undoes `tensors`.

    >>> h, c = torch.zeros(2, 3), torch.ones(2, 3)
    >>> fill(((h, c),), dict(tensors(((c, h),))))[0][0].sum()
    tensor(6.)
    """
    return tuple(
        values[f"{path}{index}"] if isinstance(inner, Tensor) else fill(inner, values, f"{path}{index}.")
        for index, inner in enumerate(state)
    )
