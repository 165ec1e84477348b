"""The contract of a task: what the problem is, apart from any model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import exp
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.metrics.drawings import Confusion, Drawing

Marks = dict[str, tuple[float, float]]
"""Sums, and over how many: an accuracy is the right ones and all of them. Over none, the sum itself is told."""
Figures = dict[str, float | str]
"""What came out by name; words say how a number was worked out."""
Finals = tuple[dict[str, Figures], dict[str, Drawing]]
"""Figures by the way of judging, and what is to be drawn by the name of its file."""

from unspool.generate.beam import GenerationRequest
from unspool.generate.documents import DocumentFormat
from unspool.metrics.metric import EvalSet
from unspool.tasks.task import Task, tasks  # noqa: F401


@runtime_checkable
class Roller(Protocol):
    """A model of numbers that goes on by itself: `generate.rollout.Roller` says what it takes."""

    @property
    def predicts_distribution(self) -> bool:
        """Whether drawing makes sense."""
        ...

    def __call__(
        self,
        inputs: Tensor,
        length: int,
        feed: Callable[[int, Tensor], Tensor] | None = None,
        *,
        seed: int | None = None,
        window: int = 0,
    ) -> Tensor:
        """Inputs (B, T, F) give what follows them, (B, length, size)."""


@runtime_checkable
class Writer(Protocol):
    """Shown sources (B, S) and what of them is present, a model writes an answer for each, from `begin` up to `end`."""

    def __call__(
        self,
        source: Tensor,
        source_mask: Tensor,
        *,
        begin: int,
        end: int,
        length: int,
        width: int = 1,
        length_penalty: float = 0.0,
    ) -> list[list[int]]:
        """The ids of each answer, without `begin` and `end`, at most `length` of them."""


def accuracy(scores: Tensor, batch: Batch) -> tuple[float, float]:
    """At how many of the positions that count the likeliest id is the right one, and how many count."""
    right = (scores.argmax(dim=-1) == batch.targets) & batch.loss_mask
    return float(right.sum()), float(batch.loss_mask.sum())


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats; what no number can hold is cut off.

    >>> perplexity(0.0), perplexity(1e9) < float("inf")
    (1.0, True)
    """
    return exp(min(loss, 700.0))


def tally(marks: Sequence[Mapping[str, bool]]) -> dict[str, float]:
    """The share of the pieces of which each mark is true.

    >>> tally([{"parses": True}, {"parses": False}])
    {'parses': 0.5}
    """
    return {name: sum(mark[name] for mark in marks) / len(marks) for name in (marks[0] if marks else ())}


@runtime_checkable
class Trained(Protocol):
    """A trained model as its task examines it: all that one can be asked for."""

    @property
    def write(self) -> Writer:
        """Sources give answers."""
        ...

    @property
    def roll(self) -> Roller:
        """Numbers give the numbers that follow."""
        ...

    def score(self, batches: Batches, mark: Callable[[Tensor, Batch], Marks]) -> dict[str, float]:
        """The means of all marks over one epoch of batches."""
        ...

    def compose(self, form: DocumentFormat, count: int, temperature: float) -> list[list[int]]:
        """The ids of so many whole pieces."""
        ...

    def looks(self, batch: Batch) -> list[Tensor]:
        """Where each look at the source went, one (B, K, T, S) for each part that looks: rows sum to 1."""
        ...


class LegacyTask(Task):
    """What is read, what is predicted, the batches of each split, and how a result is told.

    >>> Task.figures(None, "valid", 1.0, {"accuracy": 0.5})
    {'loss': 1.0, 'accuracy': 0.5}
    """

    tokenizers: ClassVar[Mapping[str, str]] = {}
    """The recipe's sections for tokenizers, and the usual kind of each; the constructor takes them by these names."""
    speaks: ClassVar[bool] = False
    """Whether what is learned is to go on with a text, so that a model of it can be sampled from."""
    fills: ClassVar[bool] = False
    """Whether what is learned is to fill the blanks of a text."""
    answers: ClassVar[bool] = False
    """Whether what is learned is to answer a text with another: then there are `ask` and `answer`."""
    nothing: ClassVar[Any] = None
    """Splits with nothing in them, for a task that is only asked."""
    foretells: ClassVar[bool] = False
    """Whether it has series of numbers that can be gone on with beyond their ends."""

    mark: Callable[[Tensor, Batch], Marks] | None = None
    """From the predictions (B, T, V) of a batch to sums that are told beside the loss; None where the loss says all."""

    @classmethod
    def texts(cls, part: Any) -> dict[str, str]:
        """The text of one part of the data that each tokenizer is fitted to."""
        return {}

    @classmethod
    def form(cls, tokenizers: Mapping[str, Any]) -> DocumentFormat | None:
        """What a model of this task writes whole; None where there is no such thing."""
        return None

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Not ported yet."""
        return {name: EvalSet(batches) for name, batches in self.exams(split).items()}

    def exams(self, split: str) -> dict[str, Batches]:
        """What to evaluate on, by the name of the way: every position of the split once. Empty without that split."""
        raise NotImplementedError

    def finals(self, split: str, trained: "Trained") -> Finals:
        """What a trained model is worth beyond its exams: figures by the way of judging, and what is to be drawn."""
        return {}, {}

    def ask(self, text: str, dataset: Any) -> GenerationRequest:
        """What somebody types as a model is asked it. Errors: DataError where it cannot be read."""
        raise NotImplementedError

    def answer(self, ids: list[int], dataset: Any) -> str:
        """What a model says, as somebody reads it."""
        raise NotImplementedError

    def foretold(self, roll: Roller, length: int, count: int, seed: int) -> Iterator[dict[str, str | float]]:
        """The next values of every series, so many times over, as rows of a table with the same columns."""
        raise NotImplementedError

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """The loss, in nats per position, and the means of all marks, in the units that people compare."""
        return {"loss": loss, **marks}

    def confusions(self, marks: Mapping[str, float]) -> dict[str, Confusion]:
        """What of the marks is to be drawn as a table, by the name of its file; empty where there are no labels."""
        return {}
