"""What a trained model says of one record: small values that a user reads, by kind of use."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """What a model says of one record.

    >>> Label("pos", 0.9, {"pos": 0.9, "neg": 0.1}).columns()
    [{'label': 'pos', 'score': 0.9}]
    """

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)

    def columns(self) -> list[dict[str, Any]]:
        """The rows that it is in a table, each by column: one for most kinds, one for each step of a series."""
        raise NotImplementedError


@dataclass(frozen=True)
class Label(Prediction):
    """The likeliest label, its probability, and those of all labels."""

    label: str
    score: float
    scores: dict[str, float]

    def columns(self) -> list[dict[str, Any]]:
        """Label and score."""
        return [{"label": self.label, "score": self.score}]


@dataclass(frozen=True)
class Span:
    """A labelled part of a text.

    Args:
        start: offset of its first character.
        end: offset of the character after its last.
        score: the mean probability of its tokens' labels.
    """

    label: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True)
class Tags(Prediction):
    """A label for each token of a text, with its probability, and the spans that the labels make."""

    tokens: list[str]
    tags: list[str]
    scores: list[float]
    spans: list[Span]

    def columns(self) -> list[dict[str, Any]]:
        """The labels with spaces between them, and the spans."""
        return [{"tags": " ".join(self.tags), "spans": [asdict(span) for span in self.spans]}]


@dataclass(frozen=True)
class Value(Prediction):
    """A number, and the middle 90 % where the model predicts a distribution (else None)."""

    value: float
    low: float | None = None
    high: float | None = None

    def columns(self) -> list[dict[str, Any]]:
        """The value, and its interval where there is one."""
        found = {"value": self.value}
        return [found if self.low is None else found | {"low": self.low, "high": self.high}]


@dataclass(frozen=True)
class Text(Prediction):
    """A text that was generated.

    Args:
        tokens: what it is made of.
        log_probability: in nats, of the whole text under the model.
        alternatives: other texts that the search found, the likeliest first.
        attention: (U, S), how much each token attended to each place of the source; None where nobody asked.
    """

    text: str
    tokens: list[str]
    log_probability: float
    alternatives: list["Text"] = field(default_factory=list)
    attention: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Text, tokens, log-probability and alternatives."""
        own = {"text": self.text, "tokens": self.tokens, "log_probability": self.log_probability}
        others = [{"text": one.text, "log_probability": one.log_probability} for one in self.alternatives]
        return own | {"alternatives": others}

    def columns(self) -> list[dict[str, Any]]:
        """Text and log-probability."""
        return [{"text": self.text, "log_probability": self.log_probability}]


@dataclass(frozen=True)
class Fill:
    """A token for a blank, and its probability."""

    token: str
    score: float


@dataclass(frozen=True)
class Fills(Prediction):
    """The text with every blank filled by its likeliest token, and the likeliest tokens of each blank."""

    text: str
    fills: list[list[Fill]]

    def columns(self) -> list[dict[str, Any]]:
        """The filled text, and the likeliest token of each blank."""
        return [{"text": self.text, "fills": [asdict(blank[0]) for blank in self.fills]}]


@dataclass(frozen=True)
class Series(Prediction):
    """The next values of a series.

    Args:
        name: of the series.
        steps: how each predicted step is called: its number, or its time.
        values: the median of each step; for more than one variable a list for each step.
        quantiles: by their level ("0.05"), where the model predicts a distribution.
        samples: drawn paths, each a list over the steps.
        step: what `steps` are: "step" or "time".
    """

    name: str
    steps: list[Any]
    values: list[Any]
    quantiles: dict[str, list[float]] = field(default_factory=dict)
    samples: list[list[float]] = field(default_factory=list)
    step: str = "step"

    def as_dict(self) -> dict[str, Any]:
        """The series, its steps (or times), values, quantiles and samples."""
        found = {"series": self.name, self.step: self.steps, "values": self.values}
        return found | {"quantiles": self.quantiles, "samples": self.samples}

    def columns(self) -> list[dict[str, Any]]:
        """A row for each step: series, step (or time), value, and the quantiles."""
        bands = {f"q{level}": values for level, values in self.quantiles.items()}
        return [
            {"series": self.name, self.step: step, "value": value} | {name: band[n] for name, band in bands.items()}
            for n, (step, value) in enumerate(zip(self.steps, self.values, strict=True))
        ]


@dataclass(frozen=True)
class Flight(Prediction):
    """The next places of something that flies.

    Args:
        flight: its name.
        steps: the number of each place, from 1.
        across: how far to the right it is, in box widths.
        up: how far up it is, in box widths.
    """

    flight: str
    steps: list[int]
    across: list[float]
    up: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Flight, steps and places."""
        return {"flight": self.flight, "step": self.steps, "across": self.across, "up": self.up}

    def columns(self) -> list[dict[str, Any]]:
        """A row for each place."""
        rows = zip(self.steps, self.across, self.up, strict=True)
        return [{"flight": self.flight, "step": step, "across": x, "up": y} for step, x, y in rows]


@dataclass(frozen=True)
class Failure(Prediction):
    """A record of which nothing can be said, and why."""

    error: str

    def columns(self) -> list[dict[str, Any]]:
        """The error."""
        return [{"error": self.error}]


def names_of(predictions: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of some rows, in the order in which they first occur.

    >>> names_of([{"a": 1}, {"a": 2, "b": 3}])
    ['a', 'b']
    """
    return list(dict.fromkeys(name for row in predictions for name in row))
