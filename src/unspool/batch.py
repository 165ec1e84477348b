"""Mini-batches, and the domains of what they hold.

Axes:  B batch   T time   S source time   D width   H hidden   V vocabulary
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """A domain: token ids from 0 to below `size`.

    Args:
        size: V, how many ids there are.

    >>> Tokens(65).size
    65
    """

    size: int


@dataclass(frozen=True)
class UnalignedTokens(Tokens):
    """A domain: token ids in the order of the input, fewer than its positions; which belongs to which is not known.

    The last id is the blank, "nothing new here": so a model may predict at every position (Graves et al. 2006).

    Args:
        size: how many ids there are, with the blank.

    >>> UnalignedTokens(28).blank
    27
    """

    @property
    def blank(self) -> int:
        """The id that stands for no token."""
        return self.size - 1


@dataclass(frozen=True)
class Vectors:
    """A domain: vectors of real numbers.

    Args:
        size: how many numbers there are at a position.

    >>> Vectors(2).size
    2
    """

    size: int


Domain = Tokens | Vectors
"""What the elements of a sequence are: it decides the embedding and the head."""


@dataclass(frozen=True)
class Batch:
    """A mini-batch: inputs, targets, loss mask, padding mask, and the source of an encoder-decoder model.

    >>> ids = torch.tensor([[1, 2, 3]])
    >>> batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, 2, dtype=torch.bool))
    >>> batch.positions
    2
    """

    inputs: Tensor  # (B, T) ids, or (B, T, size) numbers
    targets: Tensor  # (B, T) ids, or (B, T, size) numbers
    loss_mask: Tensor  # (B, T) bool: the positions that the loss is taken over
    mask: Tensor | None = None  # (B, T) bool: the positions that are not padding; None: all
    source: Tensor | None = None  # (B, S) ids, or (B, S, size) numbers, that an encoder reads
    source_mask: Tensor | None = None  # (B, S) bool: the source positions that are not padding; None: all
    carries_state: bool = False  # the rows continue those of the batch before, so its last state is carried over

    @property
    def positions(self) -> int:
        """How many positions the loss is taken over."""
        return int(self.loss_mask.sum())

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        if self.inputs.device == torch.device(device):
            return self
        moved: dict[str, Any] = {n: v.to(device, non_blocking=True) for n, v in self.tensors().items()}
        return replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def parts(self, number: int) -> Iterator["Batch"]:
        """Split the rows into `number` smaller batches, in order; fewer where there are fewer rows.

        Where inputs and targets are padded on the right, each part is only as long as its longest row: so the padding
        must be the end of a row, and the next batch must not go on from there.
        """
        number = min(number, len(self.inputs))
        split = {name: value.tensor_split(number) for name, value in self.tensors().items()}
        for index in range(number):
            part: dict[str, Any] = {name: values[index] for name, values in split.items()}
            yield replace(self, **part).trimmed()

    def trimmed(self) -> "Batch":
        """The same without the columns at the end in which every row is padding; `self` where there are none.

        >>> ids, mask = torch.tensor([[1, 2, 0], [3, 0, 0]]), torch.tensor([[True, True, False], [True, False, False]])
        >>> Batch(ids, ids, mask, mask).trimmed().inputs
        tensor([[1, 2],
                [3, 0]])
        """
        if self.mask is None or self.targets.shape[:2] != self.inputs.shape[:2]:
            return self
        length = int(self.mask.any(dim=0).nonzero().max()) + 1 if self.mask.any() else 1
        if length == self.inputs.shape[1]:
            return self
        cut = {n: getattr(self, n)[:, :length] for n in ("inputs", "targets", "loss_mask", "mask")}
        return replace(self, **cut)


@runtime_checkable
class Batches(Protocol):
    """Batches by number: the same number always gives the same batch, so a position in the data is one integer.

    Numbers continue after the first epoch: batch `epoch` is the first of the second pass.

    >>> from unspool.data.batching.contiguous import ContiguousBatches
    >>> batches = ContiguousBatches(torch.arange(26), batch_size=2, length=4)
    >>> isinstance(batches, Batches), batches.epoch, batches[0].inputs.shape
    (True, 3, torch.Size([2, 4]))
    """

    @property
    def epoch(self) -> int:
        """How many batches are one pass over the data; 0: endless."""
        ...

    def __getitem__(self, number: int) -> Batch: ...


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """A domain as JSON data.

    >>> domain_to_json(Tokens(65))
    {'kind': 'Tokens', 'size': 65}
    """
    return {"kind": type(domain).__name__, "size": domain.size}


def domain_from_json(data: Mapping[str, Any]) -> Domain:
    """The domain that `domain_to_json` described.

    >>> domain_from_json({"kind": "Tokens", "size": 65})
    Tokens(size=65)
    """
    kinds: dict[str, type[Tokens] | type[Vectors]] = {
        kind.__name__: kind for kind in (Tokens, UnalignedTokens, Vectors)
    }
    return kinds[data["kind"]](int(data["size"]))
