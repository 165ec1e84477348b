"""Predictions: what a pipeline returns for a record, a small dataclass for each kind of task."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """The prediction for one record, the base of all kinds.

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
    """A predicted label (classification).

    Args:
        label: the most probable label.
        score: its probability.
        scores: the probability of every label.

    >>> Label("pos", 0.9, {"pos": 0.9, "neg": 0.1}).score
    0.9
    """

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
    """A predicted label for each token of a text (token classification).

    Args:
        tokens: the tokens of the text.
        tags: the most probable label of each.
        scores: the probability of each of these.
        spans: the spans that B-X and I-X labels make; none for labels of another form.

    >>> Tags(["Ada", "wrote"], ["B-name", "O"], [0.9, 0.8], [Span("name", 0, 3, "Ada", 0.9)]).columns()[0]["tags"]
    'B-name O'
    """

    tokens: list[str]
    tags: list[str]
    scores: list[float]
    spans: list[Span]

    def columns(self) -> list[dict[str, Any]]:
        """The labels with spaces between them, and the spans."""
        return [{"tags": " ".join(self.tags), "spans": [asdict(span) for span in self.spans]}]


@dataclass(frozen=True)
class Value(Prediction):
    """A predicted number (regression).

    Args:
        value: the mean.
        low, high: the 5 % and 95 % quantiles, where the model predicts a distribution; else None.

    >>> Value(3.5, 2.0, 5.0).columns()
    [{'value': 3.5, 'low': 2.0, 'high': 5.0}]
    """

    value: float
    low: float | None = None
    high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The value, and its interval where there is one."""
        found = {"value": self.value}
        return found if self.low is None else found | {"low": self.low, "high": self.high}

    def columns(self) -> list[dict[str, Any]]:
        """One row: the same."""
        return [self.as_dict()]


@dataclass(frozen=True)
class Text(Prediction):
    """A generated text: a translation, a caption, the output of a program.

    Args:
        text: as a user reads it.
        tokens: its tokens, which BLEU is counted on.
        log_probability: in nats, of the whole text under the model.
        alternatives: other texts that the search found, the most probable first.
        attention: (U, S), the attention of each token to each source position; None where it was not asked for.

    >>> Text("a hat", ["a", "hat"], -0.5).columns()
    [{'text': 'a hat', 'log_probability': -0.5}]
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
class Transcript(Text):
    """A recognized text, and when each of its tokens was recognized.

    Args:
        times: of each token, in seconds from the beginning of the sound: when it is shown while the sound goes on.

    >>> Transcript("ab", ["a", "b"], -0.5, times=[0.1, 0.2]).as_dict()["times"]
    [0.1, 0.2]
    """

    times: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Text, tokens, times, log-probability and alternatives."""
        return super().as_dict() | {"times": self.times}


@dataclass(frozen=True)
class Caption(Prediction):
    """What a model has recognized of a sound so far, while it goes on.

    Args:
        text: all of it so far.
        added: the end of it that is new.
        seconds: how much of the sound was heard.

    >>> Caption("seven t", "t", 0.8).columns()
    [{'text': 'seven t', 'seconds': 0.8}]
    """

    text: str
    added: str
    seconds: float

    def columns(self) -> list[dict[str, Any]]:
        """The text, and how much was heard."""
        return [{"text": self.text, "seconds": self.seconds}]


@dataclass(frozen=True)
class Fill:
    """A token for a blank, and its probability."""

    token: str
    score: float


@dataclass(frozen=True)
class Fills(Prediction):
    """The predicted tokens of the blanks of a text (masked language model).

    Args:
        text: with every blank filled by its most probable token.
        fills: the most probable tokens of each blank, with their probabilities.

    >>> Fills("to be", [[Fill("be", 0.7), Fill("go", 0.1)]]).columns()[0]["text"]
    'to be'
    """

    text: str
    fills: list[list[Fill]]

    def columns(self) -> list[dict[str, Any]]:
        """The filled text, and the likeliest token of each blank."""
        return [{"text": self.text, "fills": [asdict(blank[0]) for blank in self.fills]}]


@dataclass(frozen=True)
class Series(Prediction):
    """The forecast of a series.

    Args:
        name: of the series.
        steps: how each predicted step is called: its number, or its time.
        values: the median of each step; for more than one variable a list for each step.
        quantiles: by their level ("0.05"), where the model predicts a distribution.
        samples: sampled paths, each a list over the steps.
        step: what `steps` are: "step" or "time".

    >>> Series("tide", [1, 2], [0.5, 0.6]).columns()
    [{'series': 'tide', 'step': 1, 'value': 0.5}, {'series': 'tide', 'step': 2, 'value': 0.6}]
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
    """A record that could not be predicted, and why.

    Args:
        error: what is wrong with the record.

    >>> Failure("the text is empty").as_dict()
    {'error': 'the text is empty'}
    """

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
