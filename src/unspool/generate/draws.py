"""The next tokens of rows that are drawn differently: each its own temperature, seed, position and bans."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unspool.generate.bias import Ban, Bias, DrawRules
from unspool.generate.sampling import Filter, Sampling, choose_ids
from unspool.generate.state import State
from unspool.nn.heads import at_least_float32


@dataclass(frozen=True)
class Drawing:
    """How the tokens of a row are drawn.

    Args:
        sampling: temperature, top-k and the like.
        ban: sequences of ids that are never generated.
        bias: ids, and what is added to their scores.
    """

    sampling: Sampling = field(default_factory=Sampling)
    ban: tuple[tuple[int, ...], ...] = ()
    bias: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, eq=False)
class _Rule:
    """A `Drawing` as tensors, shared by all rows that are drawn so."""

    filters: tuple[Filter, ...]
    rules: DrawRules
    penalizes: bool  # whether the filters ask what occurred before


@lru_cache(maxsize=256)
def _rule(drawing: Drawing, size: int, device: torch.device) -> _Rule:
    bias = Bias([((id,), value) for id, value in drawing.bias], size, device)
    penalizes = drawing.sampling.repetition_penalty != 1
    return _Rule(tuple(drawing.sampling.filters()), DrawRules(bias, Ban(drawing.ban, size, device)), penalizes)


class RowDraw:
    """Where one row is with its random numbers, its repetitions and its bans: what a `Sampler` knows of a row.

    Args:
        state: of one row; the random number of the token at position p follows from its seed and p alone.
        drawing: how to draw.

    Raises:
        ConfigError: every token is banned.
    """

    def __init__(self, state: State, drawing: Drawing) -> None:
        size, device = state.logits.shape[-1], state.logits.device
        self.seed, self.position = state.seed, state.position
        self.rule = _rule(drawing, size, device)
        self.seen: Tensor | None = None
        if self.rule.penalizes:
            self.seen = torch.zeros(1, size, dtype=torch.bool, device=device).scatter_(-1, state.ids, True)
        reach = self.rule.rules.reach
        self.recent: list[int] = state.ids[0, max(0, state.position - reach) :].tolist() if reach else []

    def take(self, id: int) -> None:
        """Go on behind a token."""
        self.position += 1
        if self.seen is not None:
            self.seen[0, id] = True
        if self.rule.rules.reach:
            self.recent = [*self.recent, id][-self.rule.rules.reach :]


def draw_rows(rows: Sequence[RowDraw], logits: Float[Tensor, "B V"]) -> Int[Tensor, "B 1"]:
    """The next id of every row, each of which is then one position farther.

    A row draws what it would draw alone: rows that are drawn in one way are drawn together.

    Args:
        rows: in the order of the logits.
        logits: the scores of the next tokens.

    >>> from unspool.generate.engine import Engine
    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> state = Engine(model).read(torch.tensor([[1, 2]]))
    >>> rows = [RowDraw(state, Drawing(Sampling(temperature=0.0))), RowDraw(state, Drawing())]
    >>> draw_rows(rows, state.logits.expand(2, -1)).shape, rows[0].position
    (torch.Size([2, 1]), 3)
    """
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(id(row.rule), []).append(place)
    if len(groups) == 1:
        chosen = _draw_alike(rows, logits)
    else:
        chosen = torch.empty(len(rows), 1, dtype=torch.long, device=logits.device)
        for places in groups.values():
            chosen[places] = _draw_alike([rows[place] for place in places], logits[places])
    for row, number in zip(rows, chosen.flatten().tolist(), strict=True):
        row.take(number)
    return chosen


def _draw_alike(rows: Sequence[RowDraw], logits: Float[Tensor, "R V"]) -> Int[Tensor, "R 1"]:
    """The next ids of rows with one rule."""
    rule = rows[0].rule
    scores, none = at_least_float32(logits), torch.empty(len(rows), 0, dtype=torch.long, device=logits.device)
    if rule.rules.reach:
        recent = (torch.tensor([row.recent], dtype=torch.long, device=scores.device) for row in rows)
        alone = zip(recent, scores.split(1), strict=True)
        scores = torch.cat([rule.rules(one, none[:1], own) for one, own in alone])
    else:
        scores = rule.rules(none, none, scores)
    seen = torch.cat([row.seen for row in rows if row.seen is not None]) if rule.penalizes else scores
    return choose_ids(scores, seen, rule.filters, [row.seed for row in rows], [row.position for row in rows])
