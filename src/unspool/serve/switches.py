"""Units of a model that are forced while a part of a text is read: gates open or shut, heads off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch

from unspool.look.edits import without
from unspool.look.watch import Edit
from unspool.serve.activity import Place


@dataclass(frozen=True)
class Switch:
    """A unit of a place that is forced while a part of the text is read: a gate open (1) or shut (0), a head off.

    Args:
        place: the path of the place.
        unit: the number of the unit, or of the head.
        value: what it is held at.
        begin: the first character that is read so.
        end: the first that is not any more; None: all that come.
    """

    place: str
    unit: int
    value: float
    begin: int
    end: int | None = None

    def is_on(self, character: int) -> bool:
        """Whether it holds for a token that begins at this character."""
        return self.begin <= character and (self.end is None or character < self.end)


def edits(switches: Iterable[Switch], places: Mapping[str, Place]) -> dict[str, Edit]:
    """What `watch` does to the values of the model for these switches.

    >>> place = Place("core.forget", "core", "forget", "gate", 3)
    >>> some = edits([Switch(place.path, 0, 1.0, 0), Switch(place.path, 2, 0.0, 0)], {place.path: place})
    >>> some["core.forget"](torch.full((1, 3), 0.5))
    tensor([[1.0000, 0.5000, 0.0000]])
    """
    found: dict[str, list[Edit]] = {}
    for one in switches:
        place = places[one.place]
        edit = without([one.unit]) if place.kind == "attention" else held(one.value, one.unit, place.size)
        found.setdefault(one.place, []).append(edit)
    return {path: _one_after_the_other(some) for path, some in found.items()}


def held(value: float, unit: int, size: int) -> Edit:
    """Put a number in place of one of `size` units, which lie along the last axis, or the last two (heads)."""
    index = torch.tensor([unit])
    return lambda now: now.reshape(-1, size).index_fill(1, index.to(now.device), value).reshape(now.shape)


def _one_after_the_other(some: Sequence[Edit]) -> Edit:
    return lambda value: reduce(lambda before, edit: edit(before), some, value)


def shifted(switch: Switch, start: int, removed: int, inserted: int) -> Switch:
    """The switch at the same letters after an edit that replaces `removed` characters by `inserted` ones.

    >>> shifted(Switch("core.forget", 0, 1.0, 10, 20), 12, 2, 5)
    Switch(place='core.forget', unit=0, value=1.0, begin=10, end=23)
    """

    def moved(edge: int) -> int:
        return edge + inserted - removed if edge >= start + removed and edge > start else min(edge, start)

    return replace(switch, begin=moved(switch.begin), end=None if switch.end is None else moved(switch.end))


def first_change(old: Sequence[Switch], new: Sequence[Switch]) -> int | None:
    """The first character at which other switches hold than before; None: the same hold everywhere.

    >>> one = Switch("core.forget", 0, 1.0, 10)
    >>> first_change([one], []), first_change([one], [replace(one, end=30)]), first_change([one], [one])
    (10, 30, None)
    """
    edges = sorted({edge for one in {*old, *new} for edge in (one.begin, one.end) if edge is not None})
    for edge in edges:
        before, after = ({(s.place, s.unit, s.value) for s in some if s.is_on(edge)} for some in (old, new))
        if before != after:
            return edge
    return None
