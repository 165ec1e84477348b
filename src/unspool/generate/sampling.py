"""From logits to the next id, one id at a time. Knows nothing of text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.part import State

Filter = Callable[[Tensor, Tensor], Tensor]
"""(B, V) logits, and (B, V) bool which ids were already said, give (B, V) logits."""


class Drawn(NamedTuple):
    """One new id for every row, and how likely the model itself, unfiltered, thought it."""

    ids: Tensor  # (B, 1)
    log_probability: Tensor  # (B,) nats


def greedy(logits: Tensor, said: Tensor) -> Tensor:
    """Keep the likeliest alone; the first of equals."""
    best = logits.argmax(dim=-1, keepdim=True)
    return torch.full_like(logits, -inf).scatter(-1, best, 0.0)


def temperature(value: float) -> Filter:
    """Logits over `value`: below 1 sharper, above 1 flatter. Zero is `greedy`."""
    return lambda logits, said: logits / value


def top_k(k: int) -> Filter:
    """Keep the k likeliest, and what is exactly as likely as the last of them."""

    def keep(logits: Tensor, said: Tensor) -> Tensor:
        least = logits.topk(min(k, logits.shape[-1]), dim=-1).values[:, -1:]
        return logits.masked_fill(logits < least, -inf)

    return keep


def top_p(p: float) -> Filter:
    """Keep the fewest whose probabilities reach p (nucleus sampling, Holtzman et al. 2020, arXiv:1904.09751)."""

    def keep(logits: Tensor, said: Tensor) -> Tensor:
        ordered, order = logits.sort(dim=-1, descending=True)
        probabilities = ordered.softmax(dim=-1)
        reached = probabilities.cumsum(dim=-1) - probabilities >= p  # what came before suffices
        return logits.masked_fill(torch.zeros_like(reached).scatter(-1, order, reached), -inf)

    return keep


def min_p(p: float) -> Filter:
    """Keep what is at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv:2407.01082)."""

    def keep(logits: Tensor, said: Tensor) -> Tensor:
        probabilities = logits.softmax(dim=-1)
        return logits.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), -inf)

    return keep


def repetition_penalty(penalty: float) -> Filter:
    """Make what was already said less likely (Keskar et al. 2019, arXiv:1909.05858): over 1 repeats less."""

    def soften(logits: Tensor, said: Tensor) -> Tensor:
        return torch.where(said, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    return soften


@dataclass(frozen=True)
class Sampling:
    """How to draw: the options of `unspool sample` and of a recipe's [sample] section.

    Errors: ConfigError where a value makes no sense.

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


def stream(
    model: SequenceModel,
    prompt: Int[Tensor, "B T"],
    *apply: Filter,
    source: Tensor | None = None,
    source_mask: Tensor | None = None,
    seed: int | None = None,
) -> Iterator[Drawn]:
    """Yield the next ids for as long as they are asked for: the same for every architecture.

    The same seed draws the same ids; without one, every call draws others. A core that reads no more than `longest`
    tokens goes on for ever too: whenever it is full, the last half of what it read is read anew.
    """
    rng = torch.Generator(prompt.device)
    rng.manual_seed(seed) if seed is not None else rng.seed()
    model.eval()
    longest = model.core.longest
    recent = prompt if longest is None else prompt[:, -longest:]  # what the state knows, where that is limited
    logits, state = _read(model, recent, source, source_mask)
    said = torch.zeros_like(logits[:, -1], dtype=torch.bool).scatter(-1, prompt, True)
    while True:
        scores = logits[:, -1].float()
        log_probabilities = scores.log_softmax(dim=-1)
        for change in apply:
            scores = change(scores, said)
        ids = torch.multinomial(scores.softmax(dim=-1), 1, generator=rng)
        yield Drawn(ids, log_probabilities.gather(-1, ids).squeeze(-1))
        said.scatter_(-1, ids, True)
        if longest is not None and recent.shape[1] == longest:
            recent = torch.cat([recent, ids], dim=1)[:, -max(1, longest // 2) :]
            logits, state = _read(model, recent, source, source_mask)
            continue
        recent = recent if longest is None else torch.cat([recent, ids], dim=1)
        with torch.no_grad():
            logits, state = model(ids, state)


@torch.no_grad()
def _read(model: SequenceModel, prompt: Tensor, source: Tensor | None, mask: Tensor | None) -> tuple[Tensor, State]:
    return model(prompt, model.start(prompt, source, mask))
