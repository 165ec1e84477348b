"""Prompts that are read piece by piece, so that a long one does not hold up everybody else."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.generate.engine import Engine
from unspool.generate.jobs import Likely
from unspool.generate.state import State, new_seed
from unspool.nn.heads import at_least_float32

PART = 256
"""So many tokens of a prompt are read at a time. Where the parts begin does not depend on what else goes on."""


class PromptReader:
    """Reads the ids of a prompt part by part, with the log-probability of each where they are wanted.

    Args:
        engine: the model.
        ids: of the prompt.
        state: what was read before it; None: nothing.
        top: so many of the likeliest ids are given for each place; -1: no log-probabilities.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> reader = PromptReader(Engine(model), [1, 2, 3], None, top=0)
    >>> reader.read(), reader.finished, reader.state.position, len(reader.scores)
    (3, True, 3, 3)
    """

    def __init__(self, engine: Engine, ids: Sequence[int], state: State | None, top: int = -1) -> None:
        self.engine, self.state, self.top = engine, state, top
        self.scores: list[tuple[float | None, Likely]] = []
        self._ids = torch.tensor([list(ids)], dtype=torch.long, device=engine.model.device)
        self._at = 0
        self._scorer = engine.reader() if top >= 0 and state is None else None

    @property
    def finished(self) -> bool:
        """Whether everything was read."""
        return self._at == self._ids.shape[1]

    def read(self) -> int:
        """Read the next part; how many tokens it has comes back."""
        part = self._ids[:, self._at : self._at + PART]
        if self._scorer is None:
            self.state = self.engine.read(part, self.state)
        else:
            self._score(part)
        self._at += part.shape[1]
        return part.shape[1]

    def _score(self, part: Tensor) -> None:
        """Read a part, and note how likely each of its ids was."""
        ids, before = part[0].tolist(), self.state
        if before is None:
            self.scores.append((None, ()))
        else:
            self.scores += log_probabilities(before.logits, ids[:1], self.top)
        scores = self._scorer.feed(part)  # type: ignore[union-attr]
        self.scores += log_probabilities(scores[0, :-1], ids[1:], self.top)
        every = self._ids[:, : self._at + len(ids)]
        last = scores[:, -1].clone()
        first = State((), last, every, seed=new_seed(), weights=self.engine.weights) if before is None else before
        done = self._at + len(ids) == self._ids.shape[1]  # the state itself is wanted at the end alone
        core = self._scorer.core if done else ()  # type: ignore[union-attr]
        self.state = replace(first, core=core, logits=last, ids=every)


def log_probabilities(logits: Float[Tensor, "R V"], ids: Sequence[int], top: int) -> list[tuple[float, Likely]]:
    """The log-probability of an id in each row of logits, in nats, and the likeliest ids with theirs.

    >>> log_probabilities(torch.zeros(1, 2), [1], 1)
    [(-0.6931471824645996, ((0, -0.6931471824645996),))]
    """
    if not ids:
        return []
    scores = at_least_float32(logits).log_softmax(dim=-1)
    own = scores.gather(-1, torch.tensor(ids, device=scores.device)[:, None])[:, 0].tolist()
    if top < 1:
        return [(value, ()) for value in own]
    best = scores.topk(min(top, scores.shape[-1]), dim=-1)
    rows = zip(own, best.indices.tolist(), best.values.tolist(), strict=True)
    return [(value, tuple(zip(some, values, strict=True))) for value, some, values in rows]
