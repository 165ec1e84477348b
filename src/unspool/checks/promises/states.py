"""Checks of states: a state holds everything that was read, and can be split, selected, copied and continued.

Each check returns the largest difference between two things that should be equal.
"""

from itertools import islice, product

import torch
from torch import Tensor

from unspool.checks.cases import ROWS, SIZE, TIME, Case
from unspool.checks.promises.differences import furthest, largest
from unspool.generate.sampling import greedy, sample_tokens
from unspool.nn.part import detach, fork, select, tensors

LONG = 80  # tokens: more than fit in a chunk of any fused twin, and than a cache sources at in its first step


@torch.no_grad()
def whole_equals_steps(case: Case) -> float:
    """A text at once = in chunks = step by step: outputs and last states; a long text too."""
    if not case.streams:
        return 0.0
    model, worst = case.model(), 0.0
    longest, many = case.core.max_length, min(LONG, case.core.max_length or LONG)
    for time, sizes in ((TIME, [1] * TIME), (TIME, [4, 1, TIME - 5]), (many, [many - 12, 1, 1, 1, 1, 1, 7])):
        ids = case.ids(time=time)
        whole, last = model(ids, case.start(model, ids))
        if longest and case.core.remaining(last) != longest - time:
            raise ValueError(f"after {time} of {longest} tokens `remaining` is {case.core.remaining(last)}")
        state, outputs = case.start(model, ids), []
        for chunk in ids.split(sizes, dim=1):
            logits, state = model(chunk, state)
            outputs.append(logits)
        worst = largest(worst, furthest(whole, torch.cat(outputs, dim=1)), furthest(last, state))
    return worst


@torch.no_grad()
def future_stays_away(case: Case) -> float:
    """Changing a token changes nothing before it."""
    if not case.streams:
        return 0.0
    model, ids = case.model(), case.ids()
    before, _ = model(ids, case.start(model, ids))
    worst = 0.0
    for t in range(1, TIME):
        after, _ = model(_changed(ids, slice(t, None)), case.start(model, ids))
        worst = largest(worst, furthest(before[:, :t], after[:, :t]))
    return worst


@torch.no_grad()
def neighbours_are_seen(case: Case) -> float:
    """At how many positions the token before has no influence; for a core that reads both ways, the token after too."""
    model, ids = case.model(), case.ids()
    there, state = model.hidden_states(ids, case.start(model, ids))
    if case.streams and not any(value.is_floating_point() and value.numel() for _, value in tensors(state)):
        return 0.0  # it has no memory, and is not expected to
    unseen = 0
    for t, step in product(range(TIME), (-1,) if case.streams else (-1, 1)):
        if 0 <= t + step < TIME:
            other, _ = model.hidden_states(_changed(ids, t + step), case.start(model, ids))
            unseen += int((there[:, t] == other[:, t]).all(dim=-1).sum())
    return float(unseen)


def _changed(ids: Tensor, where: int | slice) -> Tensor:
    changed = ids.clone()
    changed[:, where] = (changed[:, where] + 1) % SIZE
    return changed


def carried_state_has_no_past(case: Case) -> float:
    """A detached state carries values and no gradients."""
    model, ids = case.model(), case.ids()
    _, state = model(ids, case.start(model, ids))
    cut = detach(state)
    if any(value.requires_grad for _, value in tensors(cut)):
        raise ValueError("a detached state requires gradients")
    return furthest(cut, state)


@torch.no_grad()
def rows_can_be_chosen(case: Case) -> float:
    """Rows of the state reordered, repeated or dropped = the same rows read afresh (beam search)."""
    if not case.streams:
        return 0.0
    model, ids, worst = case.model(), case.ids(), 0.0
    who = torch.arange(ROWS, device=ids.device)
    _, state = model(ids, case.start(model, ids))
    for number, order in enumerate(([2, 0, 0, 1], [3, 1, 1, 0], [1, 2])):
        rows = torch.tensor(order, device=ids.device)
        more = case.ids(rows=len(rows), time=1, seed=4 + number)
        who, ids = who[rows], torch.cat([ids[rows], more], dim=1)
        chosen, state = model(more, select(state, rows))
        again, _ = model(ids, case.start(model, ids, who.tolist()))
        worst = largest(worst, furthest(chosen, again[:, -1:]))
    return worst


@torch.no_grad()
def states_can_be_come_back_to(case: Case) -> float:
    """Continuing from a copy of a state does not change the state, and the other way round."""
    if not case.streams:
        return 0.0
    model, ids, outputs = case.model(), case.ids(), []
    _, state = model(ids, case.start(model, ids))
    _, state = model(case.ids(time=1, seed=4), state)  # from now on a cache is written in place
    copy = fork(state)
    for again in (copy, state):
        for one in case.ids(time=6, seed=5).split(1, dim=1):
            y, again = model(one, again)
            outputs.append(y)
    return furthest(torch.cat(outputs[:6]), torch.cat(outputs[6:]))


def rows_are_strangers(case: Case) -> float:
    """A batch = each row alone, for reading and for generation."""
    model, ids = case.model(), case.ids()
    with torch.no_grad():
        together, _ = model(ids, case.start(model, ids))
        alone = torch.cat([model(row[None], case.start(model, row[None], [index]))[0] for index, row in enumerate(ids)])
    if not case.streams:
        return furthest(together, alone)
    sources = case.source_of(range(ROWS))
    one = [d.ids for d in islice(sample_tokens(model, ids[:1], greedy, **case.source_of([0])), 6)]
    three = [d.ids[:1] for d in islice(sample_tokens(model, ids, greedy, **sources), 6)]
    return largest(furthest(together, alone), furthest(torch.cat(one), torch.cat(three)))


def writing_is_reading(case: Case) -> float:
    """Log-probabilities of generated tokens = those of one forward pass; the same seed generates the same."""
    if not case.streams:
        return 0.0
    model, ids, sources = case.model(), case.ids(), case.source_of(range(ROWS))
    drawn, again = (list(islice(sample_tokens(model, ids, seed=1, **sources), 12)) for _ in range(2))
    written = torch.cat([d.ids for d in drawn], dim=1)
    if not torch.equal(written, torch.cat([d.ids for d in again], dim=1)):
        raise ValueError("the same seed generated other tokens")
    with torch.no_grad():
        every = torch.cat([ids, written[:, :-1]], dim=1)
        logits = model(every, case.start(model, every))[0][:, TIME - 1 :]
    likely = logits.log_softmax(dim=-1).gather(-1, written.unsqueeze(-1)).squeeze(-1)
    return furthest(likely, torch.stack([d.log_probability for d in drawn], dim=1))
