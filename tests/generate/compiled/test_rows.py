"""Ragged batches of the compiled loop: rows come and go, and each is bit for bit what it is alone."""

from dataclasses import replace

import pytest
import torch

from helpers.compiled import COMPILED, LETTERS, model_of
from unspool import Sampling
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.rows import CompiledRows
from unspool.generate.compiled.runner import Runner
from unspool.generate.compiled.steps import CompiledSteps
from unspool.generate.engine import Engine
from unspool.generate.sampling import sampler
from unspool.nn.part import tensors

LENGTHS = {1: 3, 4: 40, 9: 17, 2: 33, 6: 25, 3: 30, 8: 12, 5: 28, 7: 36, 10: 8}
"""How many tokens each prompt has, and how many its row writes."""


@pytest.mark.parametrize("name", ["lstm", "blocks of mingru", "llama", "gpt-2"])
def test_rows_that_come_and_go_write_what_they_write_alone(name):
    engine, generator = Engine(model_of(COMPILED[name])), torch.Generator().manual_seed(1)
    runner = Runner(lower(engine.model))
    prompts = [torch.randint(0, LETTERS.size, (1, read), generator=generator) for read in LENGTHS]
    states = [replace(engine.read(ids), seed=seed) for seed, ids in enumerate(prompts)]
    rows, live, done = CompiledRows(engine, runner), {}, {}
    waiting = list(zip(states, LENGTHS.values(), strict=True))
    while waiting or live:
        for state, length in waiting[:3]:
            live[rows.add(state)] = (sampler(state, Sampling()), length, [], state)
        waiting = waiting[3:]
        drawn = []
        for key, logits in zip(rows.keys, rows.logits.split(1), strict=True):
            choose, _, ids, state = live[key]
            ids.append(int(choose(logits, state.position + len(ids))))
            drawn.append(ids[-1])
        rows.advance(torch.tensor(drawn)[:, None])
        for key in list(rows.keys):
            _, length, ids, state = live[key]
            if len(ids) == length:
                done[state.seed] = ids, rows.remove(key)
                del live[key]
    for state, length in zip(states, LENGTHS.values(), strict=True):
        alone = CompiledSteps(engine, runner, state, sampler(state, Sampling()))
        ids, left = done[state.seed]
        assert ids == [int(next(alone).ids) for _ in range(length)]
        assert left.position == state.position + length and torch.equal(left.ids, alone.state.ids)
        for (_, value), (_, wanted) in zip(tensors(left.core), tensors(alone.state.core), strict=True):
            assert torch.equal(value, wanted)


def test_a_row_that_is_dropped_leaves_the_others_alone():
    engine = Engine(model_of(COMPILED["gru"]))
    rows = CompiledRows(engine, Runner(lower(engine.model)))
    keys = [rows.add(engine.read(torch.tensor([[id, id]]))) for id in range(20)]
    before = {key: rows.state(key).logits for key in keys}
    for key in keys[::2]:
        rows.discard(key)
    assert sorted(rows.keys) == keys[1::2] and len(rows) == 10
    for key in rows.keys:
        assert torch.equal(rows.state(key).logits, before[key])
    for key in keys[1::2]:
        rows.discard(key)
    rows.advance(torch.zeros(0, 1, dtype=torch.long))
    assert rows.logits.shape == (0, LETTERS.size)
