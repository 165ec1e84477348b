"""Probes: rows on which a model is inspected, with the names of their tokens and features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch

Named = Callable[[Sequence[int]], list[str]]
"""Gives the names of ids."""
Places = tuple[Tensor, Tensor]
"""Rows (B, 1) and columns (B, T) of a batch: padding never changes a result, so present places may stand in front."""
WRITTEN = 2
"""So many numbers at one place are written out; more are called by their place."""


@dataclass(frozen=True)
class Probe:
    """Rows on which a model is inspected: a batch, the names of its tokens, and features to compare units with.

    >>> import torch
    >>> ids = torch.tensor([[0, 1, 0]])
    >>> batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, 2, dtype=torch.bool))
    >>> Probe(batch, [["a", "b"]], [["b", "a"]]).tokens[0][1]
    'b'
    """

    batch: Batch
    tokens: list[list[str]]  # what is read, row by row; "" where nothing is
    targets: list[list[str]]  # what is to be predicted; "" at positions without a target
    source: list[list[str]] = field(default_factory=list)  # the tokens of the source
    features: dict[str, Tensor] = field(default_factory=dict)  # (B, T) by name: yes or no, or numbers; NaN: not asked


def everywhere(values: Tensor, mask: Tensor | None) -> Bool[Tensor, "B T"]:
    """Which places of a batch are no padding.

    >>> everywhere(torch.zeros(1, 2), None).tolist()
    [[True, True]]
    """
    return torch.ones(values.shape[:2], dtype=torch.bool) if mask is None else mask


def left(batch: Batch) -> Tensor:
    """How many targets are left at each position, its own included, (B, T).

    >>> ids = torch.zeros(1, 3, dtype=torch.long)
    >>> left(Batch(ids, ids, torch.tensor([[False, True, True]]))).tolist()
    [[2.0, 2.0, 1.0]]
    """
    return batch.loss_mask.flip(1).cumsum(dim=1).flip(1).float()


def beginning(batch: Batch, rows: int, longest: int) -> Places:
    """Where the first rows begin: at most `longest` present places of each, from the first one on, then padding.

    >>> there = torch.tensor([[False, False, True, True], [True, True, True, True]])
    >>> [index.tolist() for index in beginning(Batch(there, there, there, there), rows=2, longest=3)]
    [[[0], [1]], [[2, 3, 0], [0, 1, 2]]]
    """
    there = everywhere(batch.inputs, batch.mask)[:rows]
    order = (~there).int().argsort(dim=1, stable=True)
    return torch.arange(len(there)).unsqueeze(1), order[:, : min(longest, int(there.sum(dim=1).max()))]


def select_positions(batch: Batch, places: Places) -> Batch:
    """The batch at these positions; the source is not cut.

    >>> ids, there = torch.tensor([[0, 0, 3, 4], [5, 6, 7, 8]]), torch.tensor([[False, False, True, True], [True] * 4])
    >>> batch = Batch(ids, ids, there, there)
    >>> select_positions(batch, beginning(batch, rows=2, longest=3)).inputs.tolist()
    [[3, 4, 0], [5, 6, 7]]
    """
    values: dict[str, Any] = {f.name: getattr(batch, f.name) for f in fields(batch)}
    for name in {"inputs", "targets", "loss_mask", "mask"} & set(values):
        values[name] = None if values[name] is None else values[name][places]
    if batch.source is not None:
        seen = everywhere(batch.source, batch.source_mask)[: len(places[0])]
        width = int((seen.any(dim=0) * torch.arange(1, seen.shape[1] + 1)).max())
        values |= {"source": batch.source[: len(seen), :width], "source_mask": seen[:, :width]}
    return Batch(**values)


def names(values: Tensor, there: Bool[Tensor, "B T"], called: Named, axis: str = "t") -> list[list[str]]:
    """What stands at each place, row by row, and "" where it is not `there`.

    >>> there = torch.tensor([[True, False]])
    >>> names(torch.tensor([[7, 0]]), there, lambda ids: [str(id) for id in ids])
    [['7', '']]
    >>> names(torch.full((1, 2, 2), 0.5), there, list), names(torch.zeros(1, 2, 9), there, list)
    ([['0.5 0.5', '']], [['t=0', '']])
    """
    found = []
    for row, here in zip(values, there, strict=True):
        if row.dim() == 1:
            some = called(row[here].tolist())
        elif row.shape[1] > WRITTEN:
            some = [f"{axis}={place}" for place in here.nonzero().flatten().tolist()]
        else:
            some = [" ".join(f"{number:.2g}" for number in numbers) for numbers in row[here].tolist()]
        left = iter(some)
        found.append([next(left) if one else "" for one in here.tolist()])
    return found


@runtime_checkable
class Labels(Protocol):
    """Names of ids: a task or a preprocessor."""

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of input ids."""
        ...

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of target ids."""
        ...

    def source_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of the ids of a source."""
        ...


def name_batch(batch: Batch, labels: Labels, features: Mapping[str, Tensor]) -> Probe:
    """A batch with the names of everything in it, and those features that vary.

    Args:
        batch: rows of a task.
        labels: what its ids are called.
        features: (B, T) by name.
    """
    there, source = everywhere(batch.inputs, batch.mask), batch.source
    return Probe(
        batch,
        names(batch.inputs, there, labels.input_labels),
        names(batch.targets, batch.loss_mask, labels.target_labels),
        [] if source is None else names(source, everywhere(source, batch.source_mask), labels.source_labels, "s"),
        varying(features, there),
    )


def varying(features: Mapping[str, Tensor], there: Bool[Tensor, "B T"]) -> dict[str, Tensor]:
    """The features that are not the same at all places that are there and asked; False, 0 or NaN at all others.

    >>> here = torch.tensor([[True, True, False]])
    >>> varying({"one": torch.tensor([[1.0, 2.0, 3.0]]), "all": here}, here)
    {'one': tensor([[1., 2., 0.]])}
    """
    return {n: v * there for n, v in features.items() if len(v[there & ~v.isnan()].unique()) > 1}
