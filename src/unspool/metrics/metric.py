"""What is measured of a trained model: metrics, the sets that they are measured on, and the unit of a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Any, ClassVar

from unspool.batch import Batches
from unspool.data.tokenizer import Tokenizer
from unspool.metrics.drawings import Drawing

Values = Mapping[str, float | None]
"""Values of metrics by name; None: undefined."""
LONGEST = 1000
"""Characters of a text among which its first token is."""


class Metric(ABC):
    """Sums something over batches or predictions, and says what came of it.

    On an `EvalSet` it is shown a model's output (B, T, V) and the `Batch`; on a `GenerationSet` one prediction and the
    record that it belongs to.

    >>> from unspool.metrics.labels import ExactMatch
    >>> metric = ExactMatch()
    >>> metric.update("25", "25")
    >>> metric.compute()
    {'exact_match': 1.0}
    """

    grades: ClassVar[Sequence[str]] = ()
    """What `grade` says of a prediction, the best first; empty where the metric has no grades."""

    @abstractmethod
    def update(self, output: Any, reference: Any) -> None:
        """Count one batch or one prediction."""

    @abstractmethod
    def compute(self) -> Values:
        """The values over everything that was counted, by name.

        None is a value that is undefined for this data, such as a ratio to zero; what was not counted is left out.
        """

    def drawing(self) -> dict[str, Drawing]:
        """Pictures of what was counted, by the name of their file; most metrics have none."""
        return {}

    def grade(self, output: Any, reference: Any) -> str:
        """How good one prediction is: one of `grades`, or an empty text where there are none."""
        return ""


class Mean(Metric):
    """A mean over positions: a subclass adds to `total` and `number` in `update`."""

    name: str

    def __init__(self) -> None:
        self.total, self.number = 0.0, 0.0

    def compute(self) -> Values:
        """The mean; nothing where nothing was counted."""
        return {self.name: self.total / self.number} if self.number else {}


MetricFactory = Callable[[], Metric]
"""A metric's class, or a partial of it: every evaluation begins with a new one."""


def nothing(loss: float) -> dict[str, float]:
    """No values besides the loss."""
    return {}


@dataclass(frozen=True)
class EvalSet:
    """Batches that a model is evaluated on, teacher-forced, and what is measured besides the loss.

    Args:
        batches: one epoch of them is evaluated.
        metrics: factories of metrics that are shown every output and its batch.
        derived: more values that follow from the mean loss, such as the perplexity or bits per character.
        at_end: evaluated at the end of a training only, and by `unspool eval`.

    >>> import torch
    >>> from unspool.data.batching.contiguous import ContiguousEval
    >>> from unspool.metrics.labels import Accuracy
    >>> EvalSet(ContiguousEval(torch.arange(9), batch_size=2, length=4), [Accuracy], token_perplexity).derived(0.0)
    {'perplexity': 1.0}
    """

    batches: Batches
    metrics: Sequence[MetricFactory] = ()
    derived: Callable[[float], Mapping[str, float]] = nothing
    at_end: bool = False


def no_groups(record: Mapping[str, Any]) -> Sequence[str]:
    """Every record counts in the set as a whole alone."""
    return ()


def no_drawing(predictions: Sequence[Any]) -> Mapping[str, Drawing]:
    """No pictures."""
    return {}


@dataclass(frozen=True)
class GenerationSet:
    """Records that a task's own pipeline is run on, and what is measured of its predictions.

    What is measured is what a user gets: the predictions come from the pipeline behind `unspool predict`.

    Args:
        records: what the pipeline predicts; each holds its own reference.
        metrics: factories of metrics that are shown every prediction and its record.
        groups: the groups that a record belongs to, besides the whole set; each is measured by itself.
        options: options for the pipeline, on top of the recipe's.
        drawing: pictures of the records and their predictions.
        batch_size: so many records are predicted at once, which changes nothing but the speed.

    >>> from unspool.metrics.text import TextMatch
    >>> GenerationSet([{"source": "1+1", "target": "2"}], [TextMatch]).batch_size
    64
    """

    records: Sequence[Mapping[str, Any]]
    metrics: Sequence[MetricFactory]
    groups: Callable[[Mapping[str, Any]], Sequence[str]] = no_groups
    options: Mapping[str, Any] = field(default_factory=dict)
    drawing: Callable[[Sequence[Any]], Mapping[str, Drawing]] = no_drawing
    batch_size: int = 64


@dataclass(frozen=True)
class Unit:
    """What one position of the loss is: the unit in which losses and speeds are reported.

    Only tokens have a perplexity and bits: the loss of a label is in nats, that of a number in nats of a density or in
    half squared errors, as its head says.

    Args:
        name: singular, "token" or "value" for instance.
        is_token: whether it is a token of a text.

    >>> Unit("token", is_token=True).loss(1.0, "nats"), Unit("value").loss(0.5, "half squared error")
    ('loss 1.000 nats per token (1.44 bits)', 'loss 0.500 half squared error per value')
    """

    name: str
    is_token: bool = False

    def loss(self, value: float, measure: str) -> str:
        """A loss in words: its number and what it is counted in."""
        bits = f" ({value / log(2):.2f} bits)" if self.is_token else ""
        return f"loss {value:.3f} {measure} per {self.name}{bits}"

    def speed(self, per_second: float) -> str:
        """A speed in words.

        >>> Unit("token").speed(12_000.0)
        '12,000 tokens/s'
        """
        return f"{per_second:,.0f} {self.name}s/s"


def perplexity(loss: float) -> float:
    """The exponential of a loss in nats; what no float can hold is cut off.

    >>> perplexity(0.0), perplexity(1e9) < float("inf")
    (1.0, True)
    """
    return exp(min(loss, 700.0))


def token_perplexity(loss: float) -> dict[str, float]:
    """The perplexity, as a value that an `EvalSet` derives from its loss."""
    return {"perplexity": perplexity(loss)}


def text_bits(tokenizer: Tokenizer, text: str, nats: float, behind: bool = False) -> dict[str, float]:
    """Bits per character and per byte of a text.

    The bits are those of a lossless code for the text as the tokenizer normalizes it: of its tokens, and to spell each
    unknown word 8 bits a byte, its end included.

    Args:
        tokenizer: of the text.
        text: what was predicted.
        nats: the negative log-probability of its tokens, of all but the first where nothing comes before it.
        behind: whether something comes before the first token, so that it counts too.

    >>> from unspool.data.tokenizer import tokenizers
    >>> text_bits(tokenizers.build("tokenizer", "char").fit("abc"), "cab", 2 * log(2))
    {'bits_per_character': 1.0, 'bits_per_byte': 1.0}
    """
    lost, counted = tokenizer.lost(text), tokenizer.normalized(text)
    if not behind and text:
        first = tokenizer.normalized(text[: tokenizer.offsets(text[:LONGEST])[0][1]])
        lost, counted = lost[1:] if lost[:1] == [first] else lost, counted.removeprefix(first)
    bits = nats / log(2) + sum(8 * (len(word.encode("utf-8", "replace")) + 1) for word in lost)
    return {
        "bits_per_character": bits / max(1, len(counted)),
        "bits_per_byte": bits / max(1, len(counted.encode("utf-8", "replace"))),
    }
