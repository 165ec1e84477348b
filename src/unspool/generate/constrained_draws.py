"""The next tokens of live rows of which some have a constraint."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unspool.generate.automaton import NEVER
from unspool.generate.bias import DrawRules
from unspool.generate.constraints import Place, TokenConstraint, allowed_scores
from unspool.generate.draws import Drawing, RowDraw, draw_rows
from unspool.generate.sampling import choose_ids
from unspool.generate.state import State
from unspool.nn.heads import at_least_float32


class ConstrainedDraw(RowDraw):
    """A row whose text matches a constraint from its first to its last character, or begins one that does.

    Where the length is enough for the constraint, the text is complete by then; where it may not be, the row draws as
    if it had any length, and is cut.

    Args:
        state: of one row.
        drawing: how to draw.
        constraint: on the tokens that are drawn.
        length: how many of them there are at most.

    Raises:
        ConfigError: every token is banned.
    """

    def __init__(self, state: State, drawing: Drawing, constraint: TokenConstraint, length: int) -> None:
        super().__init__(state, drawing)
        self.constraint = constraint
        self.left = length if length >= constraint.least else NEVER  # tokens in which the text has to be complete
        self.place: Place = constraint.start
        self.ended = False  # the end was drawn, and no token

    @property
    def is_complete(self) -> bool:
        """Whether the text has ended, or nothing may follow."""
        return self.ended or self.constraint.is_complete(self.place)

    def take(self, id: int) -> None:
        """Go on behind a token, or end."""
        self.ended = id == self.constraint.tokenizer.size
        if not self.ended:
            super().take(id)
            self.place, self.left = self.constraint.step(self.place, id), self.left - 1


def draw_live(rows: Sequence[RowDraw], logits: Float[Tensor, "B V"]) -> Int[Tensor, "B 1"]:
    """The next id of every row, with a constraint or without, each of which is then one position farther.

    A row draws what a `Sampler` draws alone. Of a row whose constraint ended (`ConstrainedDraw.ended`) the id is 0.

    Args:
        rows: in the order of the logits.
        logits: the scores of the next tokens.

    >>> from unspool.generate.constraints import Constraint
    >>> from unspool.generate.engine import Engine
    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("abc")
    >>> model = SequenceModel(embedding(Tokens(3), 8), cores.build("core", "recurrent", width=8), head(Tokens(3), 8))
    >>> state, own = Engine(model).read(torch.tensor([[1, 2]])), Constraint.choices(["b"]).for_tokenizer(tokenizer)
    >>> rows = [RowDraw(state, Drawing()), ConstrainedDraw(state, Drawing(), own, 5)]
    >>> draw_live(rows, state.logits.expand(2, -1))[1].tolist(), rows[1].is_complete
    ([1], True)
    """
    groups: dict[int, list[int]] = {}
    free = [place for place, row in enumerate(rows) if not isinstance(row, ConstrainedDraw)]
    if len(free) == len(rows):
        return draw_rows(rows, logits)
    chosen = torch.zeros(len(rows), 1, dtype=torch.long, device=logits.device)
    if free:
        chosen[free] = draw_rows([rows[place] for place in free], logits[free])
    for place, row in enumerate(rows):
        if isinstance(row, ConstrainedDraw):
            groups.setdefault(id(row.rule), []).append(place)
    for places in groups.values():
        some = [row for row in (rows[place] for place in places) if isinstance(row, ConstrainedDraw)]
        ids = _draw_alike(some, logits[places])
        for row, number in zip(some, ids.flatten().tolist(), strict=True):
            row.take(number)
        chosen[places] = ids.masked_fill(ids == logits.shape[-1], 0)
    return chosen


def _draw_alike(rows: Sequence[ConstrainedDraw], logits: Float[Tensor, "R V"]) -> Int[Tensor, "R 1"]:
    """The next ids of rows that differ in their constraints alone; V is the end."""
    rule = rows[0].rule
    scores = at_least_float32(logits)
    if rule.rules.reach:
        parts = [_ruled([row], own) for row, own in zip(rows, scores.split(1), strict=True)]
        scores = torch.cat(parts)
    else:
        scores = _ruled(rows, scores)
    seen = scores
    if rule.penalizes:
        seen = F.pad(torch.cat([row.seen for row in rows if row.seen is not None]), (0, 1))  # the end never occurred
    return choose_ids(scores, seen, rule.filters, [row.seed for row in rows], [row.position for row in rows])


def _ruled(rows: Sequence[ConstrainedDraw], scores: Float[Tensor, "R V"]) -> Float[Tensor, "R V1"]:
    """The scores with bias, constraint and bans: of one row, or of several of which nothing recent matters."""
    needed = [row.constraint.after(row.place) for row in rows]
    left, may_end = [row.left for row in rows], [row.constraint.may_end(row.place) for row in rows]
    shared = rows[0].rule.rules
    rules = DrawRules(shared.bias, shared.ban, lambda _, own: allowed_scores(own, needed, left, may_end))
    recent = torch.tensor([row.recent for row in rows], dtype=torch.long, device=scores.device)
    return rules(recent, recent[:, :0], scores)
