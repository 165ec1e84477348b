"""The selftest finds deliberate bugs: each of these breaks one promise, which is reported."""

import math

import pytest
import torch

from unspool.checks import selftest
from unspool.checks.cases import cases
from unspool.checks.promises import adapting, states
from unspool.checks.promises.differences import largest
from unspool.checks.selftest import Result
from unspool.models.sequence import SequenceModel
from unspool.nn import attention, cache, part, unroll
from unspool.nn.cells import lstm, peephole

tick = peephole.Peephole.tick


def remembers_elsewhere(cell, read, state):
    before = getattr(cell, "elsewhere", read)
    cell.elsewhere = read if before.shape != read.shape else 0.9 * before + read
    return tick(cell, cell.elsewhere, state)


def mixes_rows(cell, read, state):
    return tick(cell, read - read.mean(dim=0, keepdim=True), state)


def forgets_all(cell, read, state):
    return tick(cell, read, tuple(0 * value for value in state))


def cuts_the_graph(cell, read, state):
    return tick(cell, read, (state[0].detach(), state[1]))


def overflows(cell, read, state):
    h, c = tick(cell, read, state)
    return h / read.exp().mean(dim=-1, keepdim=True), c


def is_not_tapped(cell, read, state):
    cell.tap = lambda name, value: value
    return tick(cell, read, state)


def swaps_gates(cell, read, state):
    i, f, g, o = read.chunk(4, dim=-1)
    return lstm_tick(cell, torch.cat([f, i, g, o], dim=-1), state)


def loses_precision(cell, read, state):
    return tuple(value.bfloat16() if torch.is_autocast_enabled("cpu") else value for value in tick(cell, read, state))


def forgets_padding(model, batch, state=None):
    y, state = model.hidden_states(batch.inputs, model.start(batch.inputs) if state is None else state)
    return model.head.loss(y, batch.targets, batch.loss_mask), state


def window_too_long(positions, keys, there, mask, window, causal):
    return visible(positions, keys, there, mask, window + 1, causal)


def groups_strangers(heads, x):
    return x.unflatten(1, (-1, heads.kv_heads)).transpose(1, 2).flatten(2, 3)


def sorts_rows(state, rows):
    return part.select(state, rows.sort().values)


def lies_about_likelihood(*given, **named):
    return (drawn._replace(log_probability=drawn.log_probability - 1) for drawn in sampled(*given, **named))


def learns_first(model, ids, *given, **named):
    yield from list(read_adaptively(model, ids, *given, **named))


def peeks_ahead(model, ids, *given, **named):
    next(model.parameters()).data.add_(1e-3 * ids[-1])
    return read_adaptively(model, ids, *given, **named)


read_adaptively = adapting.read_adaptively
lstm_tick, visible, held, sampled = lstm.LSTM.tick, cache._visible, cache._held, states.sample_tokens
BUGS = [
    (peephole.Peephole, "tick", remembers_elsewhere, "cell peephole", "whole = in chunks = step by step"),
    (peephole.Peephole, "tick", mixes_rows, "cell peephole", "batch = single"),
    (peephole.Peephole, "tick", forgets_all, "cell peephole", "neighbours are seen"),
    (peephole.Peephole, "tick", cuts_the_graph, "cell peephole", "gradients = finite differences (float64)"),
    (peephole.Peephole, "tick", overflows, "cell peephole", "large numbers stay numbers"),
    (peephole.Peephole, "tick", is_not_tapped, "cell peephole", "watching changes nothing"),
    (peephole.Peephole, "tick", loses_precision, "cell peephole", "bfloat16 is close to float32"),
    (lstm.LSTM, "tick", swaps_gates, "cell lstm", "fast = readable, gradients too"),
    (unroll, "freeze_padding", lambda moves, after, before: after, "cell peephole", "padding changes nothing"),
    (SequenceModel, "loss", forgets_padding, "cell gru", "padding changes nothing"),
    (cache, "_visible", window_too_long, "transformer llama", "whole = in chunks = step by step"),
    (cache, "_held", lambda length, slots: held(length + 1, slots), "transformer llama", "padding changes nothing"),
    (attention, "masked_softmax", lambda scores, _: scores.softmax(-1), "attention-rnn", "padding changes nothing"),
    (attention.Heads, "grouped", groups_strangers, "transformer llama", "fast = readable, gradients too"),
    (states, "fork", lambda state: state, "transformer llama", "a state can be come back to"),
    (states, "select", sorts_rows, "cell gru", "rows of the state can be chosen"),
    (states, "detach", lambda state: state, "cell gru", "a carried state has no past"),
    (adapting, "read_adaptively", learns_first, "cell gru", "scores come before adapting"),
    (adapting, "read_adaptively", peeks_ahead, "transformer llama", "scores come before adapting"),
    (states, "sample_tokens", lies_about_likelihood, "cell gru", "what is written = what is read"),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: f"{bug[4]}-{bug[2].__name__}")
def test_a_bug_breaks_its_promise(bug, monkeypatch):
    place, name, wrong, tested, promise = bug
    (case,) = (case for case in cases() if case.name == tested)
    monkeypatch.setattr(selftest, "CHECKS", {promise: selftest.CHECKS[promise]})
    assert all(result.passed for result in selftest.run(case))
    monkeypatch.setattr(place, name, wrong)
    (result,) = selftest.run(case)
    assert not result.passed and result.summary().startswith("FAIL")
    assert result.problem.split(":")[0] in ("", "ValueError")  # measured or said, not stumbled over


def test_not_a_number_never_passes():
    nan = float("nan")
    assert math.isnan(largest(1.0, nan)) and math.isnan(largest(nan, 1.0)) and largest(1.0, 2.0) == 2.0
    assert not Result("cell", "promise", nan, 1.0).passed
    assert not Result("cell", "promise", 0.0, 1.0, "it raised").passed
    assert Result("cell", "promise", 1.0, 1.0).passed
