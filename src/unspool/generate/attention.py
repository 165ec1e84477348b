"""How much every generated token attends to a source."""

from functools import partial

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.generate.engine import Engine
from unspool.nn.part import Part


def source_attention(engine: Engine, batch: Batch) -> Tensor | None:
    """The attention of every position of a batch to its source: the mean over all parts and heads that attend to it.

    Args:
        engine: with the model.
        batch: rows with a source (B, S), read from an empty state.

    Returns: (B, T, S), rows that sum to 1; None for a model that does not attend to its source.
    """
    parts = [part for part in engine.model.core.modules() if isinstance(part, Part) and part.attends_to_source]
    seen: list[list[Tensor]] = [[] for _ in parts]

    def note(number: int, name: str, value: Tensor) -> Tensor:
        if name == "weights":  # (B, S) of one time, or of several heads and times (B, K, T, S)
            seen[number].append(value)
        return value

    before = [part.watcher for part in parts]
    for number, part in enumerate(parts):
        part.watcher = partial(note, number)
    try:
        engine.forward(batch)
    finally:
        for part, watcher in zip(parts, before, strict=True):
            part.watcher = watcher
    maps = [
        some[0] if some[0].dim() == 4 else torch.stack(some, dim=1).unsqueeze(1)  # (B, K, T, S)
        for some in seen
        if some
    ]
    return torch.cat([one.float().cpu() for one in maps], dim=1).mean(dim=1) if maps else None
