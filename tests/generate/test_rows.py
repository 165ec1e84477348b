"""Rows that come and go in a batch generate what they would generate alone, with every core."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from helpers.models import STREAMING, small
from helpers.states import engine_of
from unspool import Sampling
from unspool.generate.draws import Drawing, RowDraw, draw_rows
from unspool.generate.engine import Engine
from unspool.generate.rows import Rows
from unspool.generate.sampling import Sampler, sampler

every_core = pytest.mark.parametrize("case", STREAMING, ids=lambda s: s.name)
DRAWINGS = [
    Drawing(Sampling(temperature=0.9)),
    Drawing(Sampling(temperature=0.0)),
    Drawing(Sampling(temperature=0.8, top_k=3, repetition_penalty=1.2), ban=((2,), (1, 3))),
    Drawing(Sampling(temperature=0.9)),
    Drawing(Sampling(top_p=0.9, min_p=0.02)),
]
LENGTHS = [1, 9, 3, 14, 6]  # of the prompts
LIVES = [45, 7, 30, 21, 38]  # how many tokens each generates; the last two come when the second has left


def begin(case, engine, row):
    ids = case.ids(rows=1, time=LENGTHS[row], seed=row)
    return replace(engine.read(ids, **case.source_of([row])), seed=10 + row)


def alone(engine, state, drawing, number):
    select = Sampler(
        state.ids, state.logits.shape[-1], drawing.sampling.filters(), [state.seed], [list(one) for one in drawing.ban]
    )
    steps = engine.steps(state, select)
    return [int(step.ids) for step in islice(steps, number)], steps.state


def together(engine, states):
    """What rows generate in a batch which each leaves after a time of its own, and the states in which they leave."""
    rows, waiting, live = Rows(engine), list(range(len(states))), {}
    made, left = [[] for _ in states], {}

    def join(row):
        live[rows.add(states[row])] = row, RowDraw(states[row], DRAWINGS[row])

    for _ in range(3):
        join(waiting.pop(0))
    while live:
        keys = rows.keys
        ids = draw_rows([live[key][1] for key in keys], rows.logits)
        for key, id in zip(keys, ids.flatten().tolist(), strict=True):
            made[live[key][0]].append(id)
        rows.advance(ids)
        for key, (row, _) in list(live.items()):
            if len(made[row]) == LIVES[row]:
                left[row] = rows.remove(key)
                del live[key]
                if waiting:
                    join(waiting.pop(0))
                if waiting:
                    join(waiting.pop(0))
    assert len(rows) == 0
    return made, left


@every_core
def test_a_ragged_batch_is_each_row_alone(case):
    engine = engine_of(case)
    with torch.no_grad():
        engine.model.head.weight.mul_(4)
    states = [begin(case, engine, row) for row in range(5)]
    made, left = together(engine, states)
    for row, state in enumerate(states):
        ids, after = alone(engine, state, DRAWINGS[row], LIVES[row])
        assert made[row] == ids
        assert torch.equal(left[row].ids, after.ids) and left[row].seed == after.seed
        torch.testing.assert_close(left[row].logits, after.logits, atol=1e-4, rtol=1e-4)
        again = engine.read(case.ids(rows=1, time=3), left[row])  # the state is whole: it can be gone on from
        wanted = engine.read(case.ids(rows=1, time=3), after)
        torch.testing.assert_close(again.logits, wanted.logits, atol=1e-4, rtol=1e-4)


def test_a_state_in_a_batch_is_a_copy():
    engine = Engine(small("transformer", layers=2, heads=2, context=8))
    state = engine.read(torch.tensor([[1, 2, 3]]))
    before = {name: value.clone() for name, value in state.tensors().items()}
    rows = Rows(engine)
    key = rows.add(state)
    rows.advance(torch.tensor([[4]]))
    between = rows.state(key)
    kept = between.logits.clone()
    rows.advance(torch.tensor([[5]]))
    assert all(torch.equal(value, before[name]) for name, value in state.tensors().items())
    assert torch.equal(between.logits, kept) and between.position == 4 and rows.remove(key).position == 5


def test_a_row_that_was_not_stepped_leaves_as_it_came():
    engine = Engine(small("transformer", layers=1, heads=2, context=8))
    short, long = (engine.read(torch.ones(1, n, dtype=torch.long)) for n in (2, 6))
    rows = Rows(engine)
    key = rows.add(short)
    rows.add(long)
    assert rows.logits.shape[0] == 2
    found = rows.remove(key)
    assert all(torch.equal(value, found.tensors()[name]) for name, value in short.tensors().items())


def test_a_bias_moves_the_draw():
    engine = Engine(small())
    state = engine.read(torch.tensor([[1, 2]]))
    ids = draw_rows(
        [RowDraw(state, Drawing(bias=((4, 100.0),))), RowDraw(state, Drawing(bias=((3, 100.0),)))],
        state.logits.expand(2, -1),
    )
    assert ids.flatten().tolist() == [4, 3]


def test_a_row_draws_what_a_sampler_draws():
    engine = Engine(small())
    state = replace(engine.read(torch.tensor([[1, 2]])), seed=3)
    wanted = sampler(state, Sampling(temperature=0.7))(state.logits, state.position)
    assert torch.equal(draw_rows([RowDraw(state, Drawing(Sampling(temperature=0.7)))], state.logits), wanted)
