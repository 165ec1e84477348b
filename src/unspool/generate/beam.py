"""The likeliest sequences, several at a time: a search that keeps the best and forgets the rest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.part import Part, select
from unspool.schema import Count
from unspool.tasks.task import Question

FLOOR = 1e-6
"""So much attention is counted at least: the logarithm of none would rule a translation out."""


Rule = Callable[[Tensor, Tensor], Tensor]
"""(R, T) ids that were said, and (R, V) log-probabilities of what comes next, give (R, V) log-probabilities."""


class Beam(NamedTuple):
    """One continuation of a prompt."""

    ids: list[int]  # without the end
    log_probability: float  # nats, of all of it under the model, the end counted
    score: float  # by which it is ranked
    finished: bool  # whether the end was said


class _Kept(NamedTuple):
    """What is kept of B prompts, W beams of each, after some steps."""

    said: Int[Tensor, "R T"]  # R is B * W
    log_probability: Float[Tensor, "B W"]
    lengths: Int[Tensor, "B W"]
    finished: Bool[Tensor, "B W"]
    covered: Float[Tensor, "R S"] | None  # how much each place of the source was looked at in all


@torch.no_grad()
def search(
    model: SequenceModel,
    prompt: Int[Tensor, "B T"],
    length: Count,
    width: Count,
    *,
    end: int | None = None,
    length_penalty: float = 0.0,
    coverage_penalty: float = 0.0,
    source: Tensor | None = None,
    source_mask: Tensor | None = None,
    rule: Rule | None = None,
    enough: int = 0,
) -> list[list[Beam]]:
    """For each prompt the `width` best continuations that were found, the best first, at most `length` ids each.

    Every step extends every beam by every id and keeps the best `width` of them, together with those that are finished:
    a beam of one is greedy, a beam as wide as there are sequences finds the best. They are ranked as Wu et al. 2016 do
    (arXiv:1609.08144), by

    score = log_probability / ((5 + length) / 6) ** length_penalty + coverage_penalty * sum(log(min(looked at, 1)))

    A `rule` may change the log-probabilities of what comes next, given what was said. The search ends early when the
    best `enough` of every prompt are finished (0: all that are kept): without penalties nothing overtakes them then.

    The coverage, over the places of the source, only ranks what was found in the end. A core that reads no more than
    `longest` ids ends the search when it is full. Errors: ConfigError for a coverage of something without attention.
    """
    model.eval()
    rows = torch.arange(len(prompt), device=prompt.device).repeat_interleave(width)
    with _attention(model, coverage_penalty > 0) as attention:
        logits, state = model(prompt, model.start(prompt, source, source_mask))
        room = model.core.room(state)
        kept, logits, state = _begun(prompt, width), logits[rows], select(state, rows)
        for step in range(length if room is None else min(length, room + 1)):
            looked = attention() if step else attention(rows)
            scores = logits[:, -1].float().log_softmax(dim=-1)
            scores = scores if rule is None else rule(kept.said, scores)
            kept, rows = _extended(kept, scores, end, length_penalty, looked)
            if bool((kept.finished | (kept.log_probability == -inf))[:, : enough or width].all()):
                break
            if room is None or step < room:
                logits, state = model(kept.said[:, -1:], select(state, rows))
    scores = kept.log_probability / _penalty(kept.lengths, length_penalty)
    if kept.covered is not None:
        coverage = kept.covered.clamp(FLOOR, 1).log()
        there = coverage if source_mask is None else coverage * source_mask.repeat_interleave(width, dim=0)
        scores = scores + coverage_penalty * there.sum(dim=1).view_as(scores)
    return [_told(kept, scores[number], number) for number in range(len(prompt))]


def _begun(prompt: Tensor, width: int) -> _Kept:
    """One beam for each prompt, and places for others that are impossible as yet."""
    shape = (len(prompt), width)
    log_probability = torch.full(shape, -inf, device=prompt.device)
    log_probability[:, 0] = 0.0
    nothing = torch.zeros(shape, dtype=torch.long, device=prompt.device)
    return _Kept(prompt.new_empty(len(prompt) * width, 0), log_probability, nothing, nothing.bool(), None)


def _extended(
    kept: _Kept, scores: Float[Tensor, "R V"], end: int | None, length_penalty: float, looked: Tensor | None
) -> tuple[_Kept, Int[Tensor, " R"]]:
    """The best beams one id longer, and which rows they come from; what is finished stays as it is."""
    (number, width), size = kept.finished.shape, scores.shape[-1]
    scores = scores.view(number, width, size)
    if end is not None:
        alone = torch.full_like(scores[0, 0], -inf)
        alone[end] = 0.0  # nothing is added to what is finished
        scores = torch.where(kept.finished.unsqueeze(-1), alone, scores)
    total = kept.log_probability.unsqueeze(-1) + scores  # (B, W, V)
    lengths = kept.lengths + ~kept.finished
    best = (total / _penalty(lengths, length_penalty).unsqueeze(-1)).flatten(1).topk(width).indices  # (B, W)
    before, ids = best // size, best % size
    rows = (before + width * torch.arange(number, device=best.device).unsqueeze(1)).flatten()
    finished = kept.finished.gather(1, before)
    covered = None
    if looked is not None:
        looked = looked * ~kept.finished.view(-1, 1)
        covered = (looked if kept.covered is None else kept.covered + looked)[rows]
    said = torch.cat([kept.said[rows], ids.view(-1, 1)], dim=1)
    ended = finished if end is None else finished | (ids == end)
    after = _Kept(said, total.flatten(1).gather(1, best), lengths.gather(1, before), ended, covered)
    return after, rows


def _penalty(lengths: Tensor, strength: float) -> Tensor:
    """What a log-probability is divided by, so that long sequences are not held against themselves."""
    return ((5 + lengths) / 6) ** strength


def _told(kept: _Kept, scores: Float[Tensor, " W"], number: int) -> list[Beam]:
    """The beams of one prompt as plain values, the best first; places that were never filled are left out."""
    found = []
    for place in scores.argsort(descending=True, stable=True).tolist():
        log_probability, finished = float(kept.log_probability[number, place]), bool(kept.finished[number, place])
        if log_probability > -inf:
            size = int(kept.lengths[number, place]) - finished
            ids = kept.said[number * len(scores) + place, :size].tolist()
            found.append(Beam(ids, log_probability, float(scores[place]), finished))
    return found


@contextmanager
def _attention(model: SequenceModel, wanted: bool) -> Iterator[Callable[..., Tensor | None]]:
    """Something that says how much each row looked at each place of the source last, or None where nobody asks."""
    if not wanted:
        yield lambda rows=None: None
        return
    latest: dict[int, Tensor] = {}
    parts = [part for part in model.core.modules() if isinstance(part, Part) and part.sees_source]
    if not parts:
        raise ConfigError("a coverage penalty needs attention to a source", hint="leave coverage_penalty at 0")

    def note(number: int, name: str, value: Tensor) -> Tensor:
        if name == "weights":  # (B, S), or of several heads and times (B, K, T, S)
            latest[number] = value if value.dim() == 2 else value[:, :, -1].mean(dim=1)
        return value

    def looked(rows: Tensor | None = None) -> Tensor:
        mean = torch.stack(list(latest.values())).mean(dim=0)
        return mean if rows is None else mean[rows]

    before = [part.watcher for part in parts]
    for number, part in enumerate(parts):
        part.watcher = partial(note, number)
    try:
        yield looked
    finally:
        for part, watcher in zip(parts, before, strict=True):
            part.watcher = watcher


def answers(
    model: SequenceModel,
    source: Tensor,
    source_mask: Tensor,
    *,
    begin: int,
    end: int,
    length: int,
    width: int = 1,
    length_penalty: float = 0.0,
) -> list[list[int]]:
    """The best answer to each source, from `begin` up to `end`, without them: given a model, a `tasks.task.Writer`."""
    device = model.device
    prompt = torch.full((len(source), 1), begin, device=device)
    found = search(
        model,
        prompt,
        length,
        width,
        end=end,
        length_penalty=length_penalty,
        source=source.to(device),
        source_mask=source_mask.to(device),
    )
    return [beams[0].ids for beams in found]


def ask(model: SequenceModel, question: Question, width: Count = 1) -> list[Beam]:
    """The best answers to one question, the best first."""
    device = model.device
    source = None if question.source is None else torch.as_tensor(question.source, device=device).unsqueeze(0)
    (found,) = search(
        model,
        torch.tensor([question.prompt], device=device),
        question.length,
        width,
        end=question.end,
        length_penalty=question.length_penalty,
        source=source,
        source_mask=None if source is None else source.new_ones(source.shape[:2], dtype=torch.bool),
    )
    return found
