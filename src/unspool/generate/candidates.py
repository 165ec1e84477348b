"""Several continuations of a prompt: drawn side by side, or searched with beams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.generate.beam import beam_search
from unspool.generate.bias import Ban, Bias, DrawRules
from unspool.generate.constraints import Constraint, ConstraintRule
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling, sampler
from unspool.generate.scoring import TokenScore, id_scores
from unspool.generate.state import State
from unspool.generate.text import BANNED, StopText, banned_ids, biased_ids, prime, token_before, warn_of_unknown
from unspool.models.sequence import SequenceModel


@dataclass(frozen=True)
class Candidate:
    """One continuation of a prompt."""

    text: str
    log_probability: float  # nats, of the whole continuation under the model itself
    tokens: tuple[TokenScore, ...] = ()  # where they are asked for


def candidates(
    engine: Engine,
    tokenizer: Tokenizer,
    state: State,
    length: int,
    sampling: Sampling,
    count: int,
    *,
    before: int | None = None,
    stop: Sequence[str] = (),
    ban: Sequence[str] = BANNED,
    bias: Mapping[str, float] | None = None,
    constraint: Constraint | None = None,
    tokens: bool = False,
) -> list[Candidate]:
    """Several continuations of a state, drawn side by side, the likeliest first.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        state: where all of them begin, of one row.
        length: how many tokens each may have.
        sampling: how to draw.
        count: how many.
        before: the token after which the text is spelt.
        stop: a text ends before any of these.
        ban: texts that are never generated.
        bias: what is added to the logits of texts.
        constraint: what every text matches.
        tokens: whether each token comes with its log-probability.

    Returns:
        Texts, each with the log-probability of its tokens (those of the stop string included) in nats.
    """
    rows = state.select(torch.zeros(count, dtype=torch.long, device=state.ids.device))
    rule, banned, biased = rules_of(tokenizer, length, ban, bias, constraint)
    choose = sampler(rows, sampling, banned, biased, rule)
    steps = engine.fastest_steps(rows, choose)
    texts = [_Row(TextStream(tokenizer, before, state.pending), StopText(stop), tokens) for _ in range(count)]
    for text in texts:
        text.going = length > 0 and not (rule and rule.is_complete(()))
    for number in range(length):
        steps = engine.hasten(steps, number, length - number)
        step = next(steps)
        values = step.log_probability.float().cpu().tolist()
        ended = choose.ended.flatten().tolist()
        for text, id, value, end in zip(texts, step.ids.flatten().tolist(), values, ended, strict=True):
            text.feed(id, value, end, rule)
        if not any(text.going for text in texts):
            break
    return sorted((text.candidate() for text in texts), key=lambda one: -one.log_probability)


class _Row:
    """One of several continuations, as it is drawn."""

    def __init__(self, text: TextStream, stop: StopText, tokens: bool) -> None:
        self.text, self.stop, self.wanted = text, stop, tokens
        self.written, self.ids, self.tokens = "", list[int](), list[TokenScore]()
        self.log_probability, self.going = 0.0, True

    def feed(self, id: int, log_probability: float, ended: bool, rule: ConstraintRule | None) -> None:
        """One more token, or the end of what the constraint allows."""
        if not self.going or ended:
            self.going = False
            return
        piece = self.text.feed(id)
        self.written += self.stop.feed(piece)
        self.log_probability += log_probability
        if self.wanted:
            self.tokens.append(TokenScore(id, piece, log_probability))
        if rule is not None:
            self.ids.append(id)
            self.going = not rule.is_complete(self.ids)
        self.going = self.going and not self.stop.stopped

    def candidate(self) -> Candidate:
        """What came of it."""
        return Candidate(self.written + self.stop.flush(), self.log_probability, tuple(self.tokens))


def likeliest(
    model: SequenceModel,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    width: int,
    ban: Sequence[str] = BANNED,
    *,
    bias: Mapping[str, float] | None = None,
    constraint: Constraint | None = None,
    groups: int = 1,
    diversity: float = 0.0,
    tokens: bool = False,
) -> list[Candidate]:
    """The likeliest continuations of a prompt that a beam search finds, the likeliest first.

    With a bias or a constraint the beams are ranked as these have it, and the log-probabilities are the model's own. A
    text that tokens spell in several ways is given once, as the best of them.

    Args:
        model: a model of text.
        tokenizer: its tokenizer.
        prompt: what they go on from.
        length: how many tokens each has at most.
        width: how many beams are kept.
        ban: texts that are never generated.
        bias: what is added to the logits of texts.
        constraint: what every text matches; without one each has `length` tokens.
        groups: of beams, each kept apart from those before it.
        diversity: by how much, as in `beam_search`.
        tokens: whether each token comes with its log-probability.
    """
    ids = prime(model, tokenizer, prompt)
    warn_of_unknown(tokenizer, prompt)
    engine = Engine(model)
    state = engine.read(ids)
    room = engine.remaining(state.position)
    length = length if room is None else min(length, room)
    rule, banned, biased = rules_of(tokenizer, length, ban, bias, constraint)
    rules = DrawRules(Bias(biased, tokenizer.size, ids.device), Ban(banned, tokenizer.size, ids.device), rule)
    (found,) = beam_search(
        model,
        ids,
        length + (rule is not None),  # the end is one more step
        width,
        end=None if rule is None else tokenizer.size,
        rule=lambda written, scores: rules(written, written, scores),
        groups=groups,
        diversity=diversity,
    )
    before = token_before(tokenizer, prompt, ids)
    made: dict[str, Candidate] = {}
    for beam in found:
        scores = id_scores(engine, tokenizer, beam.ids, state) if tokens or rule or biased else ()
        every, text = tuple(scores), TextStream(tokenizer, before)
        value = sum(one.log_probability or 0.0 for one in every) if every else beam.log_probability
        spelt = "".join([*map(text.feed, beam.ids), text.flush()])
        made.setdefault(spelt, Candidate(spelt, value, every if tokens else ()))
    return list(made.values())


def rules_of(
    tokenizer: Tokenizer,
    length: int,
    ban: Sequence[str],
    bias: Mapping[str, float] | None,
    constraint: Constraint | None,
) -> tuple[ConstraintRule | None, list[list[int]], list[tuple[list[int], float]]]:
    """The rule of a constraint, the sequences of ids that are banned, and those that have a bias.

    Args:
        tokenizer: of the model.
        length: how many tokens a text has at most.
        ban: texts that are never generated; those that are one token the constraint leaves out from the beginning.
        bias: what is added to the logits of texts.
        constraint: what every text matches.
    """
    banned = banned_ids(tokenizer, ban)
    rule = None
    if constraint is not None:
        rule = ConstraintRule(constraint.for_tokenizer(tokenizer, [one[0] for one in banned if len(one) == 1]), length)
    return rule, banned, biased_ids(tokenizer, bias or {})
