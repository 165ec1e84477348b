"""Adapting while reading: a text is scored chunk by chunk, and each chunk is learnt from after it was scored."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unspool.data.batching.contiguous import pairs, require_tokens
from unspool.errors import ConfigError, TrainingError
from unspool.models.sequence import SequenceModel
from unspool.nn.heads import at_least_float32
from unspool.nn.neural_cache import NeuralCache
from unspool.nn.part import CoreState, detach, diverged, eval_mode

WAYS = ("dynamic", "cache", "both")
RULES = ("rms", "sgd")
PLACES, CHUNKS = 8, 25
"""The usual size of gradients is measured at so many places of the training text, over so many chunks each."""
FLOOR = 0.1
"""What is added to the usual size of a weight's gradient, as a share of the mean size over all weights."""


@dataclass(frozen=True)
class Adapting:
    """How a model adapts to a text while it reads it: the options behind --adapt.

    "dynamic" is dynamic evaluation: after each chunk one gradient step on its loss, and a step back towards the trained
    weights. With the rule "sgd" (Mikolov et al. 2010) it is w <- w - rate g + decay (w_trained - w). With "rms" (Krause
    et al. 2018, arXiv:1709.07432) g is divided by its root mean square r over the training text, and the decay of each
    weight is in proportion to r. "cache" is a `NeuralCache`.

    Args:
        way: "dynamic", "cache" or "both".
        rule: "rms" or "sgd".
        rate: the step size of the weights.
        decay: the share by which the weights go back to the trained ones at each step; 0: never.
        chunk: so many tokens are scored, then learnt from.
        cache_size: how many tokens the cache holds.
        cache_theta: how much likeness counts in it.
        cache_lambda: its share in the mixture.

    Raises:
        ConfigError: a value makes no sense.

    >>> Adapting("both").learns, Adapting("cache").learns
    (True, False)
    """

    way: str = "dynamic"
    rule: str = "rms"
    rate: float | None = None  # None: the rule's own default
    decay: float = 0.005
    chunk: int = 32
    cache_size: int = 5000
    cache_theta: float = 20.0
    cache_lambda: float = 0.2

    def __post_init__(self) -> None:
        for option, chosen, choices in (("--adapt", self.way, WAYS), ("--adapt-rule", self.rule, RULES)):
            if chosen not in choices:
                raise ConfigError(
                    f"{option} should be {or_of(choices)}, received {chosen!r}", hint=f"{option} {choices[0]}"
                )
        limits = {
            "--adapt-rate": (self.step_size, 0 <= self.step_size < 1e6, "a number from 0 on", "0.0003"),
            "--adapt-decay": (self.decay, 0 <= self.decay <= 1, "between 0 and 1", "0.005"),
            "--adapt-chunk": (self.chunk, 1 <= self.chunk <= 10**6, "between 1 and 1,000,000", "32"),
            "--cache-size": (self.cache_size, 1 <= self.cache_size <= 10**6, "between 1 and 1,000,000", "5000"),
            "--cache-theta": (self.cache_theta, 0 <= self.cache_theta <= 1e4, "between 0 and 10,000", "20"),
            "--cache-lambda": (self.cache_lambda, 0 < self.cache_lambda < 1, "between 0 and 1", "0.2"),
        }
        for name, (value, fits, wanted, example) in limits.items():
            if not fits:
                raise ConfigError(f"{name} should be {wanted}, received {value}", hint=f"for example {name} {example}")

    @property
    def learns(self) -> bool:
        """Whether the weights move."""
        return self.way != "cache"

    @property
    def step_size(self) -> float:
        """The rate, or what suits the rule."""
        return self.rate if self.rate is not None else {"rms": 0.0003, "sgd": 0.05}.get(self.rule, 0.0)

    def cache(self) -> NeuralCache | None:
        """A new, empty cache; None where there is none."""
        return None if self.way == "dynamic" else NeuralCache(self.cache_size, self.cache_theta, self.cache_lambda)


@dataclass(frozen=True)
class ChunkScore:
    """The scores of a chunk, given before anything was learnt of it.

    Args:
        start: the position of its first token in the text.
        log_probability: of each of its tokens, (T,) nats.
        updates: how often the weights had been changed before.

    >>> ChunkScore(1, torch.tensor([-1.0, -2.0]), 0).updates
    0
    """

    start: int
    log_probability: Tensor
    updates: int


def read_adaptively(
    model: SequenceModel,
    ids: Int64[Tensor, " N"],
    adapting: Adapting | None = None,
    sizes: Sequence[Tensor] | None = None,
    cache: NeuralCache | None = None,
    chunk: int = 32,
) -> Iterator[ChunkScore]:
    """Score a text chunk by chunk, and learn from each chunk after its scores were handed out.

    While the caller has a `ChunkScore` in hand the model is still the one that gave it: the weights move, and the cache
    grows, when the next one is asked for. The state of the core is carried, without its gradient; where the core is
    full it begins anew, as in every evaluation. Dropout is off.

    Args:
        model: it is changed by reading: give a copy.
        ids: the text; every token but the first is scored.
        adapting: how it learns; None: it does not.
        sizes: `gradient_sizes` of the training text, for the rule "rms".
        cache: where what is read is remembered; None: nowhere.
        chunk: so many tokens are scored at a time where nothing adapts.

    Raises:
        TrainingError: a loss or a weight is not finite any more.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> ids = torch.arange(20) % 5
    >>> scores = list(read_adaptively(model, ids, Adapting(rule="sgd", chunk=8)))
    >>> [(one.start, len(one.log_probability), one.updates) for one in scores]
    [(1, 8, 0), (9, 8, 1), (17, 3, 2)]
    """
    require_tokens(ids, 2, "one prediction", "")
    learner = WeightUpdate(model, adapting, sizes) if adapting is not None and adapting.learns else None
    size = min(chunk if adapting is None else adapting.chunk, model.core.max_length or len(ids))
    state: CoreState | None = None
    with eval_mode(model):
        for updates, start in enumerate(range(0, len(ids) - 1, size)):
            piece = ids[start : start + size + 1].to(model.device)[None]
            with torch.set_grad_enabled(learner is not None):
                y, state = model.hidden_states_of(pairs(piece), state)
                own = target_scores(model, y, piece[:, 1:])[0]
            outputs, tokens = y[0].detach(), piece[0, 1:]
            scores = own.detach() if cache is None else cache.score(own.detach(), outputs, tokens)
            refuse_infinite(scores, start + 1)
            yield ChunkScore(start + 1, scores, updates if learner else 0)
            if cache is not None:
                cache.add(outputs, tokens)
            if learner is not None:
                learner.step(-own.mean())
            state = detach(state)
    if learner is not None and diverged(model.parameters()):
        raise adapting_failed(len(ids))


def target_scores(
    model: SequenceModel, y: Float[Tensor, "B T D"], targets: Int64[Tensor, "B T"]
) -> Float[Tensor, "B T"]:
    """The log-probability of each target given the outputs of the core, in nats."""
    scores = at_least_float32(model.head(y)).log_softmax(dim=-1)
    return scores.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


class WeightUpdate:
    """The steps of dynamic evaluation: along the gradient, and back towards the trained weights.

    Args:
        model: whose weights move; those that it has now are the trained ones.
        adapting: the rule, the rate and the decay.
        sizes: the root mean square of each weight's gradient over the training text, for the rule "rms".

    Raises:
        ConfigError: the rule is "rms" and there are no such sizes.
    """

    def __init__(self, model: SequenceModel, adapting: Adapting, sizes: Sequence[Tensor] | None = None) -> None:
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.trained = [weight.detach().clone() for weight in self.weights]
        self.rate, self.decays = adapting.step_size, [torch.tensor(adapting.decay)] * len(self.weights)
        self.divisors = [torch.ones(())] * len(self.weights)
        if adapting.rule == "rms":
            if sizes is None:
                raise ConfigError(
                    "the rule rms needs the sizes of the gradients on the training text", hint="--adapt-rule sgd"
                )
            mean = sum(float(size.sum()) for size in sizes) / max(1, sum(size.numel() for size in sizes))
            mean = mean or 1.0
            self.divisors = [size + FLOOR * mean for size in sizes]
            self.decays = [(adapting.decay * size / mean).clamp(max=1.0) for size in sizes]

    def step(self, loss: Float[Tensor, ""]) -> None:
        """Learn from one loss."""
        gradients = torch.autograd.grad(loss, self.weights, allow_unused=True)
        with torch.no_grad():
            moving = zip(self.weights, self.trained, gradients, self.divisors, self.decays, strict=True)
            for weight, trained, gradient, divisor, decay in moving:
                back = (trained - weight) * decay
                weight.add_(back if gradient is None else back - self.rate * gradient / divisor)


def gradient_sizes(model: SequenceModel, ids: Int64[Tensor, " N"], chunk: int) -> list[Tensor]:
    """The root mean square of each weight's gradient over chunks from all over the training text; nothing is learnt.

    Args:
        model: it stays as it is.
        ids: the training text.
        chunk: tokens of a chunk, as they will be when it adapts.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> len(gradient_sizes(model, torch.arange(100) % 5, chunk=8)) == len(list(model.parameters()))
    True
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    squares, number = [torch.zeros_like(weight) for weight in weights], 0
    chunk = min(chunk, model.core.max_length or chunk)
    places = min(PLACES, max(1, len(ids) // (CHUNKS * chunk)))
    for part in ids.tensor_split(places):
        state: CoreState | None = None
        for piece in part[: CHUNKS * chunk + 1].unfold(0, chunk + 1, chunk) if len(part) > chunk else [part]:
            with torch.enable_grad(), eval_mode(model):
                y, state = model.hidden_states_of(pairs(piece[None].to(model.device)), state)
                loss = -target_scores(model, y, piece[None, 1:].to(model.device)).mean()
                gradients = torch.autograd.grad(loss, weights, allow_unused=True)
            for square, gradient in zip(squares, gradients, strict=True):
                if gradient is not None:
                    square += gradient.square()
            state, number = detach(state), number + 1
    return [(square / max(1, number)).sqrt() for square in squares]


def refuse_infinite(scores: Tensor, position: int) -> None:
    """Raise a TrainingError for scores that are not finite."""
    if not isfinite(float(scores.sum())):
        raise adapting_failed(position)


def adapting_failed(position: int) -> TrainingError:
    """The error for weights that adapting has driven to infinity, at a token of the text."""
    return TrainingError(
        f"adapting has diverged at token {position:,}: the scores are not finite",
        hint="a lower --adapt-rate, for example a tenth of it; the run itself is unchanged",
    )


def or_of(choices: Sequence[str]) -> str:
    """Choices in words.

    >>> or_of(["a", "b", "c"])
    'a, b or c'
    """
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
