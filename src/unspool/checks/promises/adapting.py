"""The check that a model which adapts to a text never scores what it has learnt from already."""

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.checks.cases import SIZE, Case
from unspool.checks.promises.differences import furthest, largest
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, detach
from unspool.training.adapting import Adapting, read_adaptively, target_scores

LENGTH, CHUNK = 31, 7  # tokens: several chunks, the last one shorter
FAST = 0.3  # a rate at which every step shows


def scores_come_before_learning(case: Case) -> float:
    """Each chunk's scores = those of the weights before they learn from it; later text changes no earlier score.

    The first is checked by a second computation while the reading waits, the other with a cache too.
    """
    if not case.streams or case.core.needs_source:
        return 0.0
    (ids,) = case.ids(rows=1, time=LENGTH)
    model, worst = case.model(), 0.0
    size = min(CHUNK, case.core.max_length or CHUNK)
    before, state = weights_of(model), None
    for chunk in read_adaptively(model, ids, Adapting("dynamic", "sgd", FAST, chunk=CHUNK)):
        if chunk.updates and torch.equal(before, weights_of(model)):
            raise ValueError("the weights did not move")
        before = weights_of(model)
        again, state = scored(model, ids[chunk.start - 1 : chunk.start + size], state)
        worst = largest(worst, furthest(chunk.log_probability, again))
    whole = adaptive_scores(case, ids)
    for t in (5, CHUNK + 1, 2 * CHUNK + 3, LENGTH - 1):
        other = ids.clone()
        other[t:] = (other[t:] + 1) % SIZE
        worst = largest(worst, furthest(whole[: t - 1], adaptive_scores(case, other)[: t - 1]))
    return worst


def adaptive_scores(case: Case, ids: Tensor) -> Tensor:
    """The scores of a text by a new model with a cache that adapts to it; the first belongs to the second token."""
    adapting = Adapting("both", "sgd", FAST, chunk=CHUNK, cache_size=11, cache_lambda=0.3)
    chunks = read_adaptively(case.model(), ids, adapting, cache=adapting.cache())
    return torch.cat([chunk.log_probability for chunk in chunks])


@torch.no_grad()
def scored(model: SequenceModel, piece: Tensor, state: CoreState | None) -> tuple[Tensor, CoreState]:
    """The scores of a piece behind its first token, by the weights as they are, and the next state."""
    inputs, targets = piece[None, :-1], piece[None, 1:]
    y, state = model.hidden_states_of(Batch(inputs, targets, torch.ones_like(inputs, dtype=torch.bool)), state)
    return target_scores(model, y, targets)[0], detach(state)


def weights_of(model: SequenceModel) -> Tensor:
    """All weights in one vector of its own."""
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
