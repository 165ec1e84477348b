"""From logits to the next token: temperature, top-k, top-p, min-p, repetition penalty, and how they are drawn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.errors import ConfigError
from unspool.generate.bias import Ban, Bias, DrawRules
from unspool.generate.constraints import ConstraintRule
from unspool.generate.engine import Engine, Step
from unspool.generate.state import State, row_seed
from unspool.models.sequence import SequenceModel
from unspool.nn.heads import at_least_float32
from unspool.seeds import random_numbers

Filter = Callable[[Tensor, Tensor], Tensor]
"""(B, V) logits, and (B, V) bool which ids occurred before, give (B, V) logits."""


def greedy(logits: Tensor, seen: Tensor) -> Tensor:
    """Keep the likeliest token alone; the first of equals."""
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.full_like(logits, -inf).scatter(-1, best, 0.0)


def temperature(value: float) -> Filter:
    """Logits over `value`: below 1 sharper, above 1 flatter. Zero is `greedy`."""
    return lambda logits, seen: logits / value


def top_k(k: int) -> Filter:
    """Keep the k likeliest, and what is exactly as likely as the last of them."""

    def keep(logits: Tensor, seen: Tensor) -> Tensor:
        least = logits.topk(min(k, logits.shape[-1]), dim=-1).values[:, -1:]
        return logits.masked_fill(logits < least, -inf)

    return keep


def top_p(p: float) -> Filter:
    """Keep the fewest whose probabilities reach p (nucleus sampling, Holtzman et al. 2020, arXiv:1904.09751)."""

    def keep(logits: Tensor, seen: Tensor) -> Tensor:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        reached = probabilities.cumsum(dim=-1) - probabilities >= p  # what came before suffices
        return logits.masked_fill(torch.zeros_like(reached).scatter(-1, order, reached), -inf)

    return keep


def min_p(p: float) -> Filter:
    """Keep what is at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)."""

    def keep(logits: Tensor, seen: Tensor) -> Tensor:
        probabilities = logits.softmax(dim=-1)
        return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -inf)

    return keep


def repetition_penalty(penalty: float) -> Filter:
    """Make what occurred before less likely (Keskar et al. 2019, arXiv:1909.05858): over 1 repeats less."""

    def soften(logits: Tensor, seen: Tensor) -> Tensor:
        return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    return soften


@dataclass(frozen=True)
class Sampling:
    """How to draw: the options of `unspool sample` and of a recipe's [sample] section.

    Raises:
        ConfigError: a value makes no sense.

    >>> len(Sampling(temperature=0.8, top_k=40).filters())
    2
    """

    temperature: float = 1.0  # 0 is greedy
    top_k: int = 0  # 0 is off
    top_p: float = 1.0  # 1 is off
    min_p: float = 0.0  # 0 is off
    repetition_penalty: float = 1.0  # 1 is off

    def __post_init__(self) -> None:
        wanted = {
            "temperature": (0 <= self.temperature < inf, "zero (greedy) or more", 0.8),
            "top_k": (self.top_k >= 0, "zero (off) or more", 40),
            "top_p": (0 < self.top_p <= 1, "above zero and at most one (off)", 0.9),
            "min_p": (0 <= self.min_p < 1, "zero (off) or more and below one", 0.05),
            "repetition_penalty": (0 < self.repetition_penalty < inf, "above zero; one is off", 1.1),
        }
        for name, (good, what, example) in wanted.items():
            if not good:
                option = name.replace("_", "-")
                raise ConfigError(
                    f"{option} should be {what}, received {getattr(self, name)}",
                    hint=f"for example --{option} {example}",
                )

    def filters(self) -> list[Filter]:
        """What to apply to the logits, in the order that everybody applies it."""
        made = [repetition_penalty(self.repetition_penalty)] if self.repetition_penalty != 1 else []
        if self.temperature < 1e-6:  # colder than float32 can tell from zero
            return [*made, greedy]
        made += [temperature(self.temperature)] if self.temperature != 1 else []
        made += [top_k(self.top_k)] if self.top_k else []
        made += [top_p(self.top_p)] if self.top_p < 1 else []
        made += [min_p(self.min_p)] if self.min_p else []
        return made


class Sampler:
    """Chooses the next token of every row: a `Select` for `Engine.steps`.

    The random number of row r at position p follows from (seed, r, p) alone, so there is no generator to keep: a run
    that goes on from a state draws what it would have drawn without the stop, and a row of a batch what it would have
    drawn alone. Bans and filters change the draw; the log-probabilities of the steps stay the model's own.

    A bias, a constraint and the bans come before the filters, in this order. A ban of several tokens gives way where a
    constraint leaves nothing else.

    Args:
        ids: what was read before, (B, N): the repetition penalty counts it.
        size: how many ids there are, V.
        filters: applied to the logits in this order.
        seeds: the seed of every row.
        ban: sequences of ids that are never generated.
        bias: what is added to the logits of the last id of a sequence behind the others.
        rule: a constraint; what is drawn where it ends is id 0, and `ended` tells of which rows.
        sampling: what the filters were made of, where they are those of a `Sampling`.
    """

    def __init__(
        self,
        ids: Int[Tensor, "B N"],
        size: int,
        filters: Sequence[Filter],
        seeds: Sequence[int],
        ban: Sequence[Sequence[int]] = (),
        bias: Sequence[tuple[Sequence[int], float]] = (),
        rule: ConstraintRule | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.filters, self.seeds, self.sampling = list(filters), list(seeds), sampling
        width = size if rule is None else size + 1  # the end is one more
        self.seen = torch.zeros(len(ids), width, dtype=torch.bool, device=ids.device).scatter_(-1, ids, True)
        self.rules = DrawRules(Bias(bias, size, ids.device), Ban(ban, size, ids.device), rule)
        self.recent = ids[:, max(0, ids.shape[1] - self.rules.reach) :]
        self.written = ids[:, :0]  # what the constraint has to know
        self.ended = torch.zeros(len(ids), 1, dtype=torch.bool, device=ids.device)

    @property
    def plan(self) -> Sampling | None:
        """What the compiled loop needs to draw by itself, with `bias`; None where it cannot."""
        return None if self.rules.reach or self.rules.rule is not None else self.sampling

    @property
    def bias(self) -> Float[Tensor, "B V"]:
        """What biases and bans of single tokens add to the scores."""
        bias = torch.zeros(self.seen.shape, device=self.seen.device)
        for one in (self.rules.bias.single, self.rules.ban.single):
            bias = bias if one is None else bias + one
        return bias

    def __call__(self, logits: Float[Tensor, "B V"], position: int) -> Int[Tensor, "B 1"]:
        """The next ids."""
        scores = self.rules(self.recent, self.written, at_least_float32(logits))
        ids = choose_ids(scores, self.seen, self.filters, self.seeds, position)
        self.seen.scatter_(-1, ids, True)
        if self.rules.rule is not None:
            self.written = torch.cat([self.written, ids], dim=1)
            self.ended = self.ended | (ids == logits.shape[-1])
            ids = ids.masked_fill(ids == logits.shape[-1], 0)
        if self.rules.reach:
            self.recent = torch.cat([self.recent, ids], dim=1)[:, -self.rules.reach :]
        return ids


def choose_ids(
    scores: Float[Tensor, "B V"],
    seen: Tensor,
    filters: Sequence[Filter],
    seeds: Sequence[int],
    positions: int | Sequence[int],
) -> Int[Tensor, "B 1"]:
    """The next id of every row: the likeliest where the last filter is `greedy`, else drawn from what they leave.

    Args:
        scores: the logits, with whatever biases and bans add to them.
        seen: which ids occurred before, (B, V) bool.
        filters: applied in this order.
        seeds: the seed of every row.
        positions: of the next tokens, one for all rows or each its own.

    >>> choose_ids(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2, dtype=torch.bool), [greedy], [3], 0).tolist()
    [[1]]
    """
    return drawn_ids(scores, seen, filters, None if is_greedy(filters) else noise(seeds, positions))


def drawn_ids(
    scores: Float[Tensor, "B V"], seen: Tensor, filters: Sequence[Filter], uniform: Float[Tensor, " B"] | None
) -> Int[Tensor, "B 1"]:
    """As `choose_ids`, with the random numbers given: from 0 to below 1; None: the likeliest."""
    for change in filters:
        scores = change(scores, seen)
    return scores.argmax(dim=-1, keepdim=True) if uniform is None else draw_ids(scores, uniform)


def is_greedy(filters: Sequence[Filter]) -> bool:
    """Whether nothing is left to chance behind these filters."""
    return bool(filters) and filters[-1] is greedy


def noise(seeds: Sequence[int], position: int | Sequence[int]) -> Float[Tensor, " B"]:
    """A number from 0 to below 1 for every row, which follows from its seed and position alone, on the CPU.

    >>> noise([3, 4], 10).tolist() == [*noise([3], 10).tolist(), *noise([4], 10).tolist()]
    True
    """
    return torch.from_numpy(random_numbers(seeds, position))


def draw_ids(logits: Float[Tensor, "B V"], uniform: Float[Tensor, " B"]) -> Int[Tensor, "B 1"]:
    """The id at which the cumulative probability exceeds a number from 0 to below 1: inverse transform sampling.

    >>> draw_ids(torch.tensor([[0.0, -inf, 0.0]] * 2), torch.tensor([0.4, 0.6], dtype=torch.float64)).tolist()
    [[0], [2]]
    """
    uniform = uniform.float().to("mps") if logits.device.type == "mps" else uniform.to(logits.device)
    total = logits.to(uniform.dtype).softmax(dim=-1).cumsum(dim=-1)
    target, last = uniform.unsqueeze(-1) * total[:, -1:], (total < total[:, -1:]).sum(dim=-1, keepdim=True)
    return torch.minimum((total <= target).sum(dim=-1, keepdim=True), last)


def sampler(
    state: State,
    sampling: "Sampling",
    ban: Sequence[Sequence[int]] = (),
    bias: Sequence[tuple[Sequence[int], float]] = (),
    rule: ConstraintRule | None = None,
) -> Sampler:
    """The sampler that goes on from a state, with its seed."""
    seeds = [row_seed(state.seed, row) for row in range(len(state.ids))]
    return Sampler(state.ids, state.logits.shape[-1], sampling.filters(), seeds, ban, bias, rule, sampling)


def sample_tokens(
    model: SequenceModel,
    prompt: Int[Tensor, "B T"],
    *filters: Filter,
    source: Tensor | None = None,
    source_mask: Bool[Tensor, "B S"] | None = None,
    seed: int | None = None,
) -> Iterator[Step]:
    """Generate token after token for as long as they are asked for, the same way for every architecture.

    Args:
        model: a model whose core reads forwards.
        prompt: the ids to go on from, (B, T).
        filters: applied to the logits in this order, for instance `temperature(0.8), top_k(40)`; none: plain sampling.
        source: what the model attends to, ids (B, S) or numbers (B, S, F).
        source_mask: which places of the source are present; None: all.
        seed: the same seed draws the same ids; None: others in every call.

    Returns:
        Steps: `ids` (B, 1) and `log_probability` (B,), in nats and without the filters.

    >>> from itertools import islice
    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> [step.ids.shape for step in islice(sample_tokens(model, torch.tensor([[1, 2]]), greedy), 2)]
    [torch.Size([1, 1]), torch.Size([1, 1])]
    """
    engine = Engine(model)
    state = engine.read(prompt, source=source, source_mask=source_mask)
    state = state if seed is None else replace(state, seed=seed)
    seeds = [row_seed(state.seed, row) for row in range(len(prompt))]
    return engine.steps(state, Sampler(state.ids, state.logits.shape[-1], filters, seeds))
