"""A model's state as a line of memory, and back."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.generate.compiled.program import LANES, Program, Slot, padded
from unspool.nn.part import CoreState, tensors

Lines = NDArray[np.float32]


def fill_lines(program: Program, lines: Lines, core: CoreState, logits: Tensor) -> None:
    """Write the states of some rows, and the scores behind them, into their lines.

    Args:
        program: of the model.
        lines: (B, row_size), written.
        core: the state of its core, of B rows.
        logits: (B, V).
    """
    found = dict(tensors(core))
    for slot in program.state:
        value = found[slot.path]
        if slot.layout == "length":
            continue
        room = slot_view(program, lines, slot)
        if slot.layout == "plain":
            room[..., : slot.shape[-1]] = value.numpy()
            continue
        room[:] = 0
        held = value.numpy()  # (B, K, slots, D)
        if slot.layout == "values":
            room[:, :, : held.shape[2], : held.shape[3]] = held
        else:
            by_panel = np.zeros((*room.shape[:3], LANES, room.shape[3]), np.float32)
            by_panel.reshape(*room.shape[:2], -1, room.shape[3])[:, :, : held.shape[2]] = held
            room[:] = by_panel.swapaxes(3, 4)
    lines[:, program.logits : program.logits + program.size] = logits.numpy()


def core_of(program: Program, lines: Lines, positions: NDArray[np.int64]) -> CoreState:
    """The states of the rows as the model's own nested tuples: the inverse of `fill_lines`.

    Args:
        program: of the model.
        lines: (B, row_size).
        positions: how many tokens every row has read since its window began, (B,).
    """
    found: dict[str, Tensor] = {}
    for slot in program.state:
        if slot.layout == "length":
            found[slot.path] = torch.from_numpy(positions.copy())
            continue
        room = slot_view(program, lines, slot)
        if slot.layout == "keys":
            room = room.swapaxes(3, 4).reshape(*room.shape[:2], -1, room.shape[3])
        shape = (len(lines), *slot.shape)
        room = room[..., : slot.shape[-1]] if slot.layout == "plain" else room[:, :, : slot.shape[1], : slot.shape[2]]
        found[slot.path] = torch.from_numpy(np.array(room.reshape(shape)))
    return nested(found)


def slot_view(program: Program, lines: Lines, slot: Slot) -> Lines:
    """Where a tensor is in the lines, in the shape in which it lies there."""
    slots = padded(program.capacity)
    if slot.layout == "plain":
        shape: tuple[int, ...] = (*slot.shape[:-1], padded(slot.shape[-1]))
    elif slot.layout == "values":
        shape = (slot.shape[0], slots, padded(slot.shape[2]))
    else:
        shape = (slot.shape[0], slots // LANES, slot.shape[2], LANES)
    size = int(np.prod(shape))
    return lines[:, slot.offset : slot.offset + size].reshape(len(lines), *shape)


def nested(found: dict[str, Tensor]) -> CoreState:
    """Nested tuples of tensors from their paths.

    >>> nested({"0.0": torch.zeros(1), "0.1": torch.ones(1), "2": torch.zeros(2)})
    ((tensor([0.]), tensor([1.])), (), tensor([0., 0.]))
    """
    groups: dict[int, dict[str, Tensor] | Tensor] = {}
    for path, value in found.items():
        head, _, rest = path.partition(".")
        if rest:
            groups.setdefault(int(head), {})[rest] = value  # type: ignore[index]
        else:
            groups[int(head)] = value
    places: list[Any] = [groups.get(number, {}) for number in range(max(groups, default=-1) + 1)]
    return tuple(one if isinstance(one, Tensor) else nested(one) for one in places)
