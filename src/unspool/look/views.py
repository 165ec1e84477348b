"""What can be seen in a model: each view says it in words, gives it as data and draws it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from unspool.look import pictures
from unspool.look.canvas import Picture
from unspool.look.measures import Decay, Found, Habit, Openness, decay


@runtime_checkable
class View(Protocol):
    """One thing that was seen."""

    def summary(self) -> list[str]:
        """What matters, a sentence each, the most important first."""

    def data(self) -> Any:
        """All of it, as JSON has it."""

    def plot(self) -> Picture:
        """A picture of it."""


LABEL = 30  # letters that stand for a row
STRAIGHT = 0.7  # a correlation from which on a head is said to go along a source


@dataclass(frozen=True)
class Rows:
    """What was read, row by row: tokens, what was to be said, and the source, as pictures show them."""

    tokens: list[list[str]]
    targets: list[list[str]]
    source: list[list[str]] = field(default_factory=list)


def joined(tokens: Sequence[str]) -> str:
    """Tokens in a row, words with a space between.

    >>> joined(["a", "b"]), joined(["an", "end"]), joined(["an", "␣end"])
    ('ab', 'an end', 'an␣end')
    """
    return (" " if words(tokens) else "").join(tokens)


def words(tokens: Sequence[str]) -> bool:
    """Whether tokens are words, which stand apart from each other, and not pieces of a text.

    >>> words(["a", "b"]), words(["an", "end"]), words(["an", "␣end"])
    (False, True, False)
    """
    return any(len(token.replace("\\n", "")) > 1 for token in tokens) and not any("␣" in token for token in tokens)


def apart(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows as they are set: a space behind each word."""
    return [[f"{token} " if token and words(row) else token for token in row] for row in rows]


@dataclass(frozen=True)
class Surprise:
    """What each token cost the model, in nats."""

    rows: Rows
    nats: list[list[float | None]]  # of what is shown; None where nothing was asked
    mean: float  # of all that was read
    count: int

    def summary(self) -> list[str]:
        """The mean, and where it was surprised most."""
        costs = [
            (cost, row, t) for row, all_ in enumerate(self.nats) for t, cost in enumerate(all_) if cost is not None
        ]
        summary = f"surprise: {self.mean:.3f} nats a token over {self.count:,} tokens"
        if costs:
            cost, row, t = max(costs)
            before = joined(self.rows.tokens[row][max(0, t - 20) : t + 1])
            of = "" if len(costs) == self.count else " of those shown"
            summary += f"; the greatest{of}, {cost:.1f}, at '{self.rows.targets[row][t]}' after '{before}'"
        return [summary]

    def data(self) -> dict[str, Any]:
        """Nats by row and token."""
        return {"tokens": self.rows.tokens, "targets": self.rows.targets, "nats": self.nats}

    def plot(self) -> Picture:
        """The text, the more surprising the darker."""
        return pictures.text(apart(self.rows.targets), self.nats, "surprise (nats)", from_zero=True)


@dataclass(frozen=True)
class Units:
    """What the units of one place did: values (B, N, U) of the first rows and times, and of all that was read."""

    place: str
    name: str
    rows: Rows
    values: Tensor  # (B, N, U)
    gate: Openness | None = None  # where it is a gate
    half_lives: Tensor | None = None  # (U) ticks, where it says how much is kept
    saturated: Tensor | None = None  # (U) share of the time, where it is squashed

    def summary(self) -> list[str]:
        """How open or how full its units are."""
        many, words = self.values.shape[-1], []
        if self.gate is not None:
            opened, shut = self.gate.counts
            words.append(
                f"{self.name}: {float(self.gate.mean.mean()):.2f} open on average; of {many} units "
                f"{opened} hardly ever shut, {shut} hardly ever open"
            )
        if self.half_lives is not None:
            longest = int(self.half_lives.argmax())
            words.append(
                f"{self.name}: the memory of half the units is halved within "
                f"{ticks(float(self.half_lives.median()))}, that of unit {longest} within "
                f"{ticks(float(self.half_lives[longest]))}"
            )
        if self.saturated is not None:
            full = int((self.saturated > 0.5).sum())
            words.append(
                f"{self.name}: {full} of {many} units are at their limit (|h| > 0.95) more than half of the time"
            )
        return words

    def data(self) -> dict[str, Any]:
        """Values by row, token and unit, and what is told of each unit."""
        found: dict[str, Any] = {"place": self.place, "tokens": self.rows.tokens}
        found["values"] = [[[round(v, 4) for v in now] for now in row] for row in self.values.float().tolist()]
        if self.gate is not None:
            found |= {"mean": self.gate.mean.tolist(), "open": self.gate.open.tolist(), "shut": self.gate.shut.tolist()}
        if self.half_lives is not None:
            found["half_lives"] = [v if v < float("inf") else None for v in self.half_lives.tolist()]
        if self.saturated is not None:
            found["saturated"] = self.saturated.tolist()
        return found

    def plot(self, row: int = 0, units: Sequence[int] | None = None, limit: float | None = None) -> Picture:
        """Units (down) by tokens (across) of one row."""
        chosen = list(units) if units is not None else list(range(self.values.shape[-1]))
        values = self.values[row][:, chosen].float()
        return pictures.units(values.tolist(), chosen, self.rows.tokens[row], self.name, self.gate is not None, limit)

    def text(self, unit: int) -> Picture:
        """The text coloured by one unit."""
        values = self.values[..., unit].float().tolist()
        return pictures.text(
            apart(self.rows.tokens), values, f"{self.name}, unit {unit}", from_zero=self.gate is not None
        )


def ticks(number: float) -> str:
    """A time, in words.

    >>> ticks(3.14), ticks(float("inf"))
    ('3.1 tokens', 'longer than can be told')
    """
    return "longer than can be told" if number == float("inf") else f"{number:,.1f} tokens"


def shared(share: float) -> str:
    """How much one thing is of another, in words.

    >>> shared(0.0471), shared(3200.0)
    ('4.7 % as much as', '3,200.0 times as much as')
    """
    if share >= 1:
        return f"{share:,.1f} times as much as"
    return f"{100 * share:.0f} % as much as" if share >= 0.1 else f"{100 * share:.2g} % as much as"


@dataclass(frozen=True)
class Trajectory:
    """The way of a state through the plane in which it moves most, row by row."""

    name: str
    rows: Rows
    places: list[list[list[float]]]  # row, time, two coordinates
    explained: list[float]

    def summary(self) -> list[str]:
        """How much of the movement the plane holds."""
        return [f"{self.name}: two directions hold {100 * sum(self.explained):.0f} % of how it moves"]

    def data(self) -> dict[str, Any]:
        """Places by row and time, and shares of the variance."""
        return {"name": self.name, "places": self.places, "explained": self.explained}

    def plot(self) -> Picture:
        """A line for each row, from its dot to its arrow, with the tokens beside it."""
        labels = []
        for tokens, targets in zip(self.rows.tokens, self.rows.targets, strict=True):
            read, answer = [token for token in tokens if token], next(filter(None, reversed(targets)), "")
            begun = joined(read[:12])[:LABEL]
            labels.append(f"{begun}{'…' if begun != joined(read) else ''}{f' → {answer}' if answer else ''}")
        return pictures.trajectory(labels, self.rows.tokens, self.places, self.explained, self.name)


@dataclass(frozen=True)
class Gradient:
    """How far back a loss reaches: gradient norms by lag, for one or several models."""

    norms: dict[str, list[float]]
    place: str = "inputs"
    eigenvalues: dict[str, list[complex]] = field(default_factory=dict)  # of a recurrent matrix, the largest first

    def fits(self) -> dict[str, Decay]:
        """The exponential that fits each curve best."""
        return {
            name: decay(torch.tensor(norms), first=min(1, len(norms) - 2))
            for name, norms in self.norms.items()
            if len(norms) > 2
        }

    def summary(self) -> list[str]:
        """How fast each fades, and the size of the largest eigenvalue."""
        words = []
        for name, fit in self.fits().items():
            norms = self.norms[name]
            at = min(10, len(norms) - 1)
            share = norms[at] / norms[0] if norms[0] else float("nan")
            rate = f"it changes by x {fit.rate:.3f} a token" + (f" (R² {fit.fit:.2f})" if fit.fit < 0.99 else "")
            summary = f"what was read {at} tokens ago moves the loss {shared(share)} what is read now; {rate}"
            words.append(f"gradient of {name}: {summary if isfinite(share) and share else 'nothing moves the loss'}")
        for name, values in self.eigenvalues.items():
            words.append(f"recurrent matrix of {name}: the largest eigenvalue has size {abs(values[0]):.3f}")
        return words

    def data(self) -> dict[str, Any]:
        """Norms by lag; what was fitted."""
        fits = {name: {"rate": fit.rate, "fit": fit.fit} for name, fit in self.fits().items()}
        values = {name: [[v.real, v.imag] for v in found] for name, found in self.eigenvalues.items()}
        return {"place": self.place, "norms": self.norms, "fits": fits, "eigenvalues": values}

    def plot(self) -> Picture:
        """Norms by lag on a logarithmic scale, and eigenvalues in the complex plane beside them."""
        return pictures.gradient(self.norms, self.eigenvalues)


@dataclass(frozen=True)
class Map:
    """Where the heads of one part look: weights (K, T, S), T names down and S across, and what the heads are worth."""

    place: str
    name: str
    weights: Tensor
    down: list[str]
    across: list[str]
    habits: list[Habit] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)  # nats that the loss rises by without each head
    along: list[float] = field(default_factory=list)  # of each head that looks at a source: how straight it goes along
    first: int = 0  # which head of the part the first one is

    def head(self, number: int) -> list[str]:
        """What there is to say of a head."""
        habit = self.habits[number].summary() if self.habits else ""
        cost = f"without it the loss changes by {self.costs[number]:+.3f} nats" if self.costs else ""
        straight = self.along[number] if self.along else 0.0
        way = f"goes along the source (r {straight:.2f})" if straight >= STRAIGHT else ""
        return [*filter(None, (habit, way, cost))]

    def title(self, number: int) -> str:
        """What a head is called."""
        return f"{self.name}, head {self.first + number + 1}"

    def only(self, number: int) -> "Map":
        """One head by itself."""
        part = slice(number, number + 1)
        lists = self.habits[part], self.costs[part], self.along[part]
        return Map(self.place, self.name, self.weights[part], self.down, self.across, *lists, self.first + number)


@dataclass(frozen=True)
class Attention:
    """Where a model looks."""

    maps: list[Map]
    loss: float | None = None  # of what was read to see what the heads are worth, nats a token

    def summary(self) -> list[str]:
        """The heads without which the loss rises most, and what heads mostly do."""
        heads = [(one.costs[k] if one.costs else 0.0, one, k) for one in self.maps for k in range(len(one.weights))]
        heads.sort(key=lambda head: -head[0])
        return [f"{one.title(k)}: {', '.join(said)}" for _, one, k in heads if (said := one.head(k))]

    def data(self) -> list[dict[str, Any]]:
        """The weights of every head, and what is told of it."""
        return [
            {
                "place": one.place,
                "down": one.down,
                "across": one.across,
                "weights": [[[round(w, 4) for w in row] for row in head] for head in one.weights.tolist()],
                "habits": [vars(habit) for habit in one.habits],
                "along": one.along,
                "loss_without": one.costs,
            }
            for one in self.maps
        ]

    def plot(self) -> Picture:
        """A map for every head, tokens on both axes."""
        every = [(one, number) for one in self.maps for number in range(len(one.weights))]
        titles = ["\n".join((one.title(number), *one.head(number))) for one, number in every]
        return pictures.attention(titles, [(one.weights[k].tolist(), one.down, one.across) for one, k in every])


@dataclass(frozen=True)
class Embeddings:
    """Which tokens are alike: their places in the plane in which embeddings differ most, and their neighbours."""

    tokens: list[str]
    places: list[list[float]]
    explained: list[float]
    neighbours: list[list[tuple[str, float]]]  # of each token, the nearest first

    def summary(self) -> list[str]:
        """How flat the picture is, and the closest pairs."""
        words = [f"embeddings: the two main directions hold {100 * sum(self.explained):.0f} % of the variance"]
        every = zip(self.tokens, self.neighbours, strict=True)
        pairs = sorted(((near[0][1], token, near[0][0]) for token, near in every if near), reverse=True)
        seen: set[frozenset[str]] = set()
        for cosine, one, other in pairs:
            if frozenset((one, other)) not in seen and len(seen) < 3:
                seen.add(frozenset((one, other)))
                words.append(f"embeddings: {one!r} is closest to {other!r} (cosine {cosine:.2f})")
        return words

    def data(self) -> dict[str, Any]:
        """Places, shares of the variance and neighbours."""
        return vars(self)

    def plot(self) -> Picture:
        """Every token at its place, as many names as do not overlap."""
        return pictures.embeddings(self.tokens, self.places, self.explained)


@dataclass(frozen=True)
class Neuron:
    """The unit that tells a feature best."""

    feature: str
    place: str
    name: str
    found: Found
    statistic: str  # "AUC" or "|r|"
    tokens: list[str]  # of a row in which the feature comes and goes
    values: list[float]  # of the unit over that row
    on: list[float]  # of the feature

    def summary(self) -> str:
        """In words."""
        return (
            f"{self.name}, unit {self.found.unit} tells {self.feature!r}: {self.statistic} {self.found.score:.2f} "
            f"(by chance {self.found.chance:.2f})"
        )


@dataclass(frozen=True)
class Neurons:
    """Single units that stand for something, the clearest first."""

    best: list[Neuron]

    def summary(self) -> list[str]:
        """Those that are beyond chance."""
        return [neuron.summary() for neuron in self.best if neuron.found.beyond_chance]

    def data(self) -> list[dict[str, Any]]:
        """What was found for every feature."""
        return [
            {
                "feature": one.feature,
                "place": one.place,
                "unit": one.found.unit,
                one.statistic: one.found.score,
                "chance": one.found.chance,
            }
            for one in self.best
        ]

    def plot(self, most: int = 8) -> Picture:
        """The clearest units over a row, each with its feature as a shade."""
        return pictures.neurons([(one.summary(), one.tokens, one.values, one.on) for one in self.best[:most]])
