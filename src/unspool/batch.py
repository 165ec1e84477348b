"""The nouns every layer shares.

Axes:  B batch   T time   S source time   D width   H hidden   V vocabulary
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """Ids below `size`.

    >>> Tokens(65).size
    65
    """

    size: int


@dataclass(frozen=True)
class Vectors:
    """Vectors of `size` reals.

    >>> Vectors(2).size
    2
    """

    size: int


Domain = Tokens | Vectors
"""What a sequence is made of; it decides the embedding and the head."""


@dataclass(frozen=True)
class Batch:
    """What goes in, what should come out, where it counts, what is there at all, and what to look at.

    >>> ids = torch.tensor([[1, 2, 3]])
    >>> batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, 2, dtype=torch.bool))
    >>> batch.positions
    2
    """

    inputs: Tensor  # (B, T) ids, or (B, T, size) numbers
    targets: Tensor  # (B, T) ids, or (B, T, size) numbers
    loss_mask: Tensor  # (B, T) bool: the positions the loss looks at
    mask: Tensor | None = None  # (B, T) bool: the positions that are not padding; None when all are there
    source: Tensor | None = None  # (B, S) ids, or (B, S, size) numbers, for an encoder
    source_mask: Tensor | None = None  # (B, S) bool
    carries_state: bool = False  # the rows go on where the batch before stopped, so the state is carried over

    @property
    def positions(self) -> int:
        """How many positions the loss looks at."""
        return int(self.loss_mask.sum())

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on that device."""
        if self.inputs.device == torch.device(device):
            return self
        moved: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        moved |= {n: v.to(device, non_blocking=True) for n, v in moved.items() if isinstance(v, Tensor)}
        return Batch(**moved)

    def parts(self, number: int) -> Iterator["Batch"]:
        """The same rows in that many smaller batches (fewer when there are fewer rows), in order."""
        number = min(number, len(self.inputs))
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        pieces: dict[str, Any] = {
            n: v.tensor_split(number) if isinstance(v, Tensor) else [v] * number for n, v in values.items()
        }
        for index in range(number):
            yield Batch(**{name: split[index] for name, split in pieces.items()})


@runtime_checkable
class Batches(Protocol):
    """Batches by number: the same number always gives the same batch, so a data position is one integer.

    Numbers go on after the first epoch; `epoch` says how many batches one pass over the data takes (0: endless).
    """

    @property
    def epoch(self) -> int:
        """How many batches make one pass over the data; 0 when there is no end."""
        ...

    def __getitem__(self, number: int) -> Batch: ...


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """A domain as plain data.

    >>> domain_to_json(Tokens(65))
    {'kind': 'Tokens', 'size': 65}
    """
    return {"kind": type(domain).__name__, "size": domain.size}


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The domain that plain data describes.

    >>> domain_from_json({"kind": "Tokens", "size": 65})
    Tokens(size=65)
    """
    kinds: dict[str, type[Tokens] | type[Vectors]] = {"Tokens": Tokens, "Vectors": Vectors}
    return kinds[data["kind"]](int(data["size"]))
