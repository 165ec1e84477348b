"""A program computes what its model computes, for every core that has instructions, alone and in a batch."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from helpers.compiled import COMPILED, LETTERS, NOT_COMPILED, model_of
from helpers.models import small
from unspool import Vectors
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.runner import Runner

TIME = 12


def read_all(runner, ids):
    """The logits (B, T, V) behind every token of (B, T) ids."""
    lines, positions, found = runner.lines(len(ids)), np.zeros(len(ids), np.int64), []
    for token in ids.T.numpy():
        runner.read(lines, positions, np.ascontiguousarray(token[None]))
        found.append(runner.logits(lines).copy())
    return torch.from_numpy(np.stack(found, axis=1))


def of_torch(model, ids):
    state, found = model.start(ids), []
    with torch.no_grad():
        for token in ids.split(1, dim=1):
            logits, state = model(token, state)
            found.append(logits)
    return torch.cat(found, dim=1)


@pytest.mark.parametrize("name", COMPILED)
def test_float32_is_torch(name):
    model, ids = model_of(COMPILED[name]), torch.randint(0, LETTERS.size, (3, TIME))
    wanted = of_torch(model, ids)
    assert wanted.std() > 0.2
    torch.testing.assert_close(read_all(Runner(lower(model)), ids), wanted, atol=3e-5, rtol=3e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", ["lstm", "blocks of mingru", "llama"])
def test_a_row_is_the_same_bit_for_bit_alone_in_a_batch_and_on_two_threads(name, precision):
    model, ids = model_of(COMPILED[name]), torch.randint(0, LETTERS.size, (7, TIME))
    program = lower(model, precision)
    alone = torch.cat([read_all(Runner(program), row[None]) for row in ids])
    assert torch.equal(read_all(Runner(program), ids), alone)
    assert torch.equal(read_all(Runner(program, threads=2), ids), alone)


@pytest.mark.parametrize("name", ["gru", "llama, narrow"])
@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.02), ("int8", 0.06)])
def test_lower_precision_is_near(precision, most, name):
    """In units of the spread of the logits; rounding that is left out altogether would be none."""
    model, ids = model_of(COMPILED[name]), torch.randint(0, LETTERS.size, (2, TIME))
    wanted = of_torch(model, ids)
    error = (read_all(Runner(lower(model, precision)), ids) - wanted).abs().max() / wanted.std()
    assert 1e-5 < error < most


def test_a_large_vocabulary_is_not_multiplied_in_advance(monkeypatch):
    monkeypatch.setattr("unspool.generate.compiled.lower_parts.LARGEST_TABLE", 100)
    model, ids = model_of(COMPILED["lstm"]), torch.randint(0, LETTERS.size, (1, TIME))
    torch.testing.assert_close(read_all(Runner(lower(model)), ids), of_torch(model, ids), atol=3e-5, rtol=3e-5)


@pytest.mark.parametrize("name", NOT_COMPILED)
def test_what_has_no_instruction_is_left_to_torch(name):
    options = NOT_COMPILED[name]
    assert lower(small(**options, inputs=LETTERS)) is None


def test_numbers_other_devices_and_watched_parts_are_left_to_torch():
    assert lower(small("recurrent", Vectors(3))) is None
    assert lower(small("recurrent", LETTERS).to(torch.float64)) is None
    watched = small("recurrent", LETTERS)
    watched.core.layers[0][0].watcher = lambda name, value: value
    assert lower(watched) is None


def test_threads_that_share_a_runner_do_not_disturb_each_other():
    model = model_of(COMPILED["llama"])
    runner = Runner(lower(model, "int8"), threads=2)
    every = torch.randint(0, LETTERS.size, (6, 2, 40))
    wanted = [read_all(runner, ids) for ids in every]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda ids: read_all(runner, ids), every))
    assert all(torch.equal(one, other) for one, other in zip(got, wanted, strict=True))
