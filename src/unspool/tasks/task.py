"""The contract of a task: what the problem is, apart from any model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from unspool.batch import Batch, Batches, Kind
from unspool.data.source import Source
from unspool.registry import Registry

Marks = dict[str, tuple[float, float]]
"""Sums, and over how many: an accuracy is the right ones and all of them. Over none, the sum itself is told."""
Figures = dict[str, float | str]
"""What came out by name; words say how a number was worked out."""


@dataclass(frozen=True)
class Confusion:
    """How many of each label (rows) were taken for each (columns).

    >>> Confusion([[9, 1], [0, 10]], ["cat", "dog"]).matrix[0][1]
    1
    """

    matrix: list[list[int]]
    labels: list[str]


@dataclass(frozen=True)
class Captioned:
    """An image, what was written under it, and what would have been right.

    >>> import torch
    >>> Captioned(torch.zeros(2, 2, 3), "a red ring", ["a red circle"]).said
    'a red ring'
    """

    image: Tensor  # (height, width, 3), red, green and blue from 0 to 255
    said: str
    right: list[str]


@runtime_checkable
class Writer(Protocol):
    """Shown sources (B, S) and what of them is present, a model writes an answer for each, from `begin` up to `end`."""

    def __call__(
        self,
        source: Tensor,
        source_present: Tensor,
        *,
        begin: int,
        end: int,
        length: int,
        width: int = 1,
        length_penalty: float = 0.0,
    ) -> list[list[int]]:
        """The ids of each answer, without `begin` and `end`, at most `length` of them."""


class Task:
    """What is read, what is predicted, the batches of each split, and how a result is told.

    >>> Task.figures(None, "valid", 1.0, {"accuracy": 0.5})
    {'loss': 1.0, 'accuracy': 0.5}
    """

    material: ClassVar[Callable[..., Any]] = Source
    """What reads the [data] section: the constructor of something with `read()`."""
    tokenizers: ClassVar[Mapping[str, str]] = {}
    """The recipe's sections for tokenizers, and the usual kind of each; the constructor takes them by these names."""
    speaks: ClassVar[bool] = False
    """Whether what is learned is to go on with a text, so that a model of it can be sampled from."""

    reads: Kind
    writes: Kind
    looks_at: Kind | None = None
    """What the source of a batch is made of, where there is one."""
    causal: bool = True
    """Whether a model that sees what comes after would be cheating."""

    mark: Callable[[Tensor, Batch], Marks] | None = None
    """From the predictions (B, T, V) of a batch to sums that are told beside the loss; None where the loss says all."""

    @classmethod
    def texts(cls, part: Any) -> dict[str, str]:
        """The text of one part of the data that each tokenizer is fitted to."""
        return {}

    def batches(self) -> Batches:
        """What to train on."""
        raise NotImplementedError

    def exams(self, split: str) -> dict[str, Batches]:
        """What to evaluate on, by the name of the way: every position of the split once. Empty without that split."""
        raise NotImplementedError

    def finals(self, split: str, write: Writer) -> Figures:
        """What only a model that writes by itself can be judged by, once it is trained. Empty where nothing is."""
        return {}

    def album(self, split: str, write: Writer) -> list[Captioned]:
        """A few images with what a model writes of them, to be drawn; empty where there are no images."""
        return []

    def told(self) -> str:
        """What there is to learn from, to be put behind the number of weights."""
        return ""

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """The loss, in nats per position, and the means of all marks, in the units that people compare."""
        return {"loss": loss, **marks}

    def confusions(self, marks: Mapping[str, float]) -> dict[str, Confusion]:
        """What of the marks is to be drawn as a table, by the name of its file; empty where there are no labels."""
        return {}


tasks: Registry[Task] = Registry("task", "unspool.tasks")


def kind_to_json(kind: Kind) -> dict[str, Any]:
    """A kind as plain data.

    >>> from unspool.batch import Tokens
    >>> kind_to_json(Tokens(65))
    {'kind': 'Tokens', 'size': 65}
    """
    return {"kind": type(kind).__name__, "size": kind.size}
