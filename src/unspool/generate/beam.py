"""Beam search: the likeliest continuations of a prompt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import inf
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.errors import ConfigError
from unspool.generate.engine import Engine
from unspool.generate.state import State
from unspool.models.sequence import SequenceModel
from unspool.nn.heads import at_least_float32
from unspool.nn.part import Part
from unspool.schema import Count, NotNegative

FLOOR = 1e-6
"""The least attention that counts: the logarithm of none would rule a translation out."""


Rule = Callable[[Tensor, Tensor], Tensor]
"""(R, T) ids that were generated, and (R, V) log-probabilities of the next, give (R, V) log-probabilities."""


class Beam(NamedTuple):
    """One continuation of a prompt."""

    ids: list[int]  # without the end
    log_probability: float  # nats, of all of it under the model, the end counted
    score: float  # by which it is ranked
    finished: bool  # whether the end was generated


class _Beams(NamedTuple):
    """B prompts with W beams each, after some steps."""

    ids: Int[Tensor, "R T"]  # R is B * W
    log_probability: Float[Tensor, "B W"]
    lengths: Int[Tensor, "B W"]
    finished: Bool[Tensor, "B W"]
    coverage: Float[Tensor, "R S"] | None  # the attention to each place of the source, summed over the steps


@torch.no_grad()
def beam_search(
    model: SequenceModel,
    prompt: Int[Tensor, "B T"] | State,
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
    groups: Count = 1,
    diversity: NotNegative = 0.0,
) -> list[list[Beam]]:
    """The `width` best continuations of each prompt that beam search finds.

    Every step extends every beam by every id and keeps the best `width` of them, together with those that are finished:
    a beam of one is greedy. They are ranked as Wu et al. 2016 do (arXiv:1609.08144), by

    score = log_probability / ((5 + length) / 6) ** length_penalty + coverage_penalty * sum(log(min(coverage, 1)))

    where the coverage of a place is the attention to it in all. The search ends when a core of limited length is full.

    Diverse beam search (Vijayakumar et al. 2018, arXiv:1610.02424): each of several groups of beams in turn ranks an id
    `diversity` lower for each time that the groups before it have chosen it at this step. What two find is given once.

    Args:
        model: a model whose core reads forwards.
        prompt: the ids to go on from, (B, T), or the state after reading them, which is not changed.
        length: how many ids a continuation has at most.
        width: how many beams are kept.
        end: the id that finishes a continuation; None: nothing does.
        length_penalty, coverage_penalty: as above; 0 is off.
        source: what the model attends to, ids (B, S) or numbers (B, S, F); `source_mask` says which are present.
        rule: changes the log-probabilities of the next id, given the ids that were generated; it may add more ids, such
            as an end that the model does not have.
        enough: the search ends when the best so many of every prompt are finished; 0: all.
        groups: of beams, as many in each; 1: plain beam search.
        diversity: nats.

    Returns:
        For each prompt its beams, the best first.

    Raises:
        ConfigError: a coverage penalty for a model without attention to a source; groups that do not divide the beams.
    """
    engine = Engine(model)
    with _watched_attention(model, coverage_penalty > 0) as attention:
        state = prompt if isinstance(prompt, State) else engine.read(prompt, source=source, source_mask=source_mask)
        rows = torch.arange(len(state.ids), device=model.device).repeat_interleave(width)
        room = engine.remaining(state.position)
        length = length if room is None else min(length, room + 1)
        beams, latest = _begin(state.ids, width, groups), attention(rows)
        state = replace(state, source=None, source_mask=None).select(rows)  # nothing is read from the start again
        extend = partial(_extend, end=end, length_penalty=length_penalty, groups=groups, diversity=diversity)
        beams = _search(engine, state, beams, length, extend, rule, attention, latest, enough or width)
    scores = _scores(beams, length_penalty, coverage_penalty, source_mask)
    return [_ranked(beams, scores[row], row) for row in range(len(scores))]


def _search(
    engine: Engine,
    state: State,
    beams: _Beams,
    length: int,
    extend: Callable[..., tuple[_Beams, Tensor]],
    rule: Rule | None,
    attention: Callable[..., Tensor | None],
    latest: Tensor | None,
    enough: int,
) -> _Beams:
    """Extend the beams until they are long enough, or the best of them are finished."""
    greedy = beams.log_probability.shape[1] == 1  # every row goes on with itself: no state is copied
    for step in range(length):
        beams, rows = extend(beams, _ruled(state.logits, beams.ids, rule), attention=latest)
        if step + 1 == length or _done(beams, enough):
            break
        state = engine.step(state if greedy else state.select(rows), _known(beams.ids[:, -1:], state))
        latest = attention()
    return beams


def _ruled(logits: Float[Tensor, "R V"], ids: Int[Tensor, "R T"], rule: Rule | None) -> Float[Tensor, "R _"]:
    """The log-probabilities of what comes next, as the rule has them."""
    scores = at_least_float32(logits).log_softmax(dim=-1)
    return scores if rule is None else rule(ids, scores)


def _done(beams: _Beams, enough: int) -> bool:
    """Whether the best so many beams of every prompt are finished, or impossible."""
    return bool((beams.finished | (beams.log_probability == -inf))[:, :enough].all())


def _known(ids: Int[Tensor, "R 1"], state: State) -> Int[Tensor, "R 1"]:
    """Ids that the model has: an end of its own, which a rule added, is read as another one, and never counts."""
    return ids.clamp(max=state.logits.shape[-1] - 1)


def _scores(
    beams: _Beams, length_penalty: float, coverage_penalty: float, source_mask: Bool[Tensor, "B S"] | None
) -> Float[Tensor, "B W"]:
    """By what the beams are ranked in the end."""
    scores = beams.log_probability / _penalty(beams.lengths, length_penalty)
    if beams.coverage is None:
        return scores
    logs = beams.coverage.clamp(FLOOR, 1).log().unflatten(0, scores.shape)  # (B, W, S)
    present = logs if source_mask is None else logs * source_mask.to(logs).unsqueeze(1)
    return scores + coverage_penalty * present.sum(dim=-1)


def _begin(prompt: Tensor, width: int, groups: int) -> _Beams:
    """One beam for each group of each prompt, and places for others that are impossible as yet."""
    if width % groups:
        raise ConfigError(f"{width} beams cannot be kept in {groups} equal groups", hint=f"--beam {groups * 2}")
    shape = (len(prompt), width)
    log_probability = torch.full(shape, -inf, device=prompt.device)
    log_probability[:, :: width // groups] = 0.0
    nothing = torch.zeros(shape, dtype=torch.long, device=prompt.device)
    return _Beams(prompt.new_empty(len(prompt) * width, 0), log_probability, nothing, nothing.bool(), None)


def _extend(
    beams: _Beams,
    scores: Float[Tensor, "R V"],
    *,
    end: int | None,
    length_penalty: float,
    groups: int,
    diversity: float,
    attention: Tensor | None,
) -> tuple[_Beams, Int[Tensor, " R"]]:
    """The best beams one id longer, and which rows they come from; what is finished stays as it is."""
    (number, width), size = beams.finished.shape, scores.shape[-1]
    scores = scores.view(number, width, size)
    if end is not None:
        alone = torch.full_like(scores[0, 0], -inf)
        alone[end] = 0.0  # nothing is added to what is finished
        scores = torch.where(beams.finished.unsqueeze(-1), alone, scores)
    total = beams.log_probability.unsqueeze(-1) + scores  # (B, W, V)
    lengths = beams.lengths + ~beams.finished
    best = _best(total / _penalty(lengths, length_penalty).unsqueeze(-1), beams.finished, groups, diversity)  # (B, W)
    before, ids = best // size, best % size
    rows = (before + width * torch.arange(number, device=best.device).unsqueeze(1)).flatten()
    finished = beams.finished.gather(1, before)
    coverage = None
    if attention is not None:
        attention = attention * ~beams.finished.view(-1, 1)
        coverage = (attention if beams.coverage is None else beams.coverage + attention)[rows]
    every = torch.cat([beams.ids[rows], ids.view(-1, 1)], dim=1)
    ended = finished if end is None else finished | (ids == end)
    after = _Beams(every, total.flatten(1).gather(1, best), lengths.gather(1, before), ended, coverage)
    return after, rows


def _best(
    scores: Float[Tensor, "B W V"], finished: Bool[Tensor, "B W"], groups: int, diversity: float
) -> Int[Tensor, "B W"]:
    """The best extensions, each as the number of its beam times V and its id; those of a group from its own beams."""
    _, width, size = scores.shape
    found, chosen = [], torch.zeros_like(scores[:, 0])  # how often the groups before have chosen each id, (B, V)
    for group in range(groups):
        own = slice(group * width // groups, (group + 1) * width // groups)
        ended = finished[:, own].unsqueeze(-1)
        lowered = torch.where(ended, scores[:, own], scores[:, own] - diversity * chosen.unsqueeze(1))
        best = lowered.flatten(1).topk(width // groups).indices
        new = ~finished[:, own].gather(1, best // size)
        chosen = chosen.scatter_add(1, best % size, new.to(chosen))
        found.append(best + own.start * size)
    return torch.cat(found, dim=1)


def _penalty(lengths: Tensor, strength: float) -> Tensor:
    """What a log-probability is divided by, so that long sequences are not held against themselves."""
    return ((5 + lengths) / 6) ** strength


def _ranked(beams: _Beams, scores: Float[Tensor, " W"], number: int) -> list[Beam]:
    """The beams of one prompt as plain values, the best first; places that were never filled are left out."""
    found: list[Beam] = []
    known = set()  # two groups may have found the same
    for place in scores.argsort(descending=True, stable=True).tolist():
        log_probability, finished = float(beams.log_probability[number, place]), bool(beams.finished[number, place])
        if log_probability > -inf:
            size = int(beams.lengths[number, place]) - finished
            ids = beams.ids[number * len(scores) + place, :size].tolist()
            if (finished, *ids) not in known:
                known.add((finished, *ids))
                found.append(Beam(ids, log_probability, float(scores[place]), finished))
    return found


@contextmanager
def _watched_attention(model: SequenceModel, wanted: bool) -> Iterator[Callable[..., Tensor | None]]:
    """A function that gives the latest attention of each row to the source, (R, S); it gives None where nobody asks."""
    if not wanted:
        yield lambda rows=None: None
        return
    latest: dict[int, Tensor] = {}
    parts = [part for part in model.core.modules() if isinstance(part, Part) and part.attends_to_source]
    if not parts:
        raise ConfigError("a coverage penalty needs attention to a source", hint="leave coverage_penalty at 0")

    def note(number: int, name: str, value: Tensor) -> Tensor:
        if name == "weights":  # (B, S), or of several heads and times (B, K, T, S)
            latest[number] = value if value.dim() == 2 else value[:, :, -1].mean(dim=1)
        return value

    def attention(rows: Tensor | None = None) -> Tensor:
        mean = torch.stack(list(latest.values())).mean(dim=0)
        return mean if rows is None else mean[rows]

    before = [part.watcher for part in parts]
    for number, part in enumerate(parts):
        part.watcher = partial(note, number)
    try:
        yield attention
    finally:
        for part, watcher in zip(parts, before, strict=True):
            part.watcher = watcher
