"""Steps that replay a CUDA graph generate what the engine's own steps generate; on a CPU the same code, unrecorded."""

from dataclasses import replace

import pytest
import torch

from helpers.compiled import COMPILED, LETTERS, NOT_COMPILED, model_of, written, written_in_blocks
from helpers.devices import DEVICES, needs_gpu
from unspool import Sampling, cells, tokenizers
from unspool.generate import engine, graph_steps
from unspool.generate.engine import Engine, Steps
from unspool.generate.graph_steps import GraphSteps
from unspool.generate.sampling import sampler
from unspool.generate.stream import Stream
from unspool.nn.part import tensors

on_each = pytest.mark.parametrize("device", DEVICES)
CORES = {
    **COMPILED,
    **{name: NOT_COMPILED[name] for name in ("ssd", "window")},
    **{f"cell {name}": {"core": "recurrent", "cell": name, "layers": 2} for name in cells.kinds()},
}
SAMPLINGS = [Sampling(0.0), Sampling(0.9), Sampling(0.8, top_k=9, top_p=0.9, min_p=0.02, repetition_penalty=1.3)]


def begun(options, device, rows=1, time=5):
    engine = Engine(model_of(options).to(device))
    torch.manual_seed(3)
    return engine, replace(engine.read(torch.randint(0, LETTERS.size, (rows, time))), seed=11)


@on_each
@pytest.mark.parametrize("name", CORES)
def test_the_text_the_likelihoods_and_the_state_are_those_of_the_steps(name, device):
    """Beyond the context of every transformer, so that windows move on."""
    engine, state = begun(CORES[name], device, rows=2)
    for sampling in SAMPLINGS[:2]:
        plain, fast = (
            made(state, sampler(state, sampling)) for made in (engine.steps, lambda *begin: GraphSteps(engine, *begin))
        )
        (ids, scores), (got, likely) = written(plain, 70), written(fast, 70)
        assert got.device == ids.device and torch.equal(got, ids)
        torch.testing.assert_close(likely, scores, atol=1e-4, rtol=1e-4)
        assert fast.position == plain.position == fast.state.position
        for (path, value), (other, wanted) in zip(tensors(fast.state.core), tensors(plain.state.core), strict=True):
            used = value[:, :, : wanted.shape[2]] if value.dim() == 4 else value  # a cache of all its slots
            assert path == other
            torch.testing.assert_close(used, wanted, atol=1e-4, rtol=1e-4)


@on_each
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_every_way_of_drawing_is_that_of_the_sampler(sampling, device):
    engine, state = begun(COMPILED["gru"], device, rows=3)
    for ban in ([], [[4], [7], [9]], [[4, 5]]):  # the last is drawn token by token
        wanted, _ = written(engine.steps(state, sampler(state, sampling, ban)), 40)
        got, _ = written(GraphSteps(engine, state, sampler(state, sampling, ban)), 40)
        assert torch.equal(got, wanted)


@on_each
@pytest.mark.parametrize("name", ["llama", "lstm"])
def test_blocks_and_what_is_taken_back_are_the_same_text(name, device):
    engine, state = begun(COMPILED[name], device)
    wanted, _ = written(engine.steps(state, sampler(state, Sampling())), 150)
    steps = GraphSteps(engine, state, sampler(state, Sampling()))
    assert written_in_blocks(steps, 150, begin=5) == wanted[0].tolist()


@on_each
def test_what_was_repeated_while_recording_does_not_count(device):
    """Neither in what was seen, which the repetition penalty asks for, nor in the tokens that were run."""
    engine, state = begun(COMPILED["gru"], device)
    draw, run = sampler(state, Sampling(repetition_penalty=2.0)), engine.tokens_run
    before = draw.seen.clone()
    steps = GraphSteps(engine, state, draw)
    assert torch.equal(draw.seen, before) and engine.tokens_run == run
    steps.ids(6)
    assert engine.tokens_run == run + 6 and int(draw.seen.sum()) > int(before.sum())


@on_each
def test_two_generations_of_one_engine_do_not_disturb_each_other(device):
    engine, state = begun(COMPILED["llama"], device)
    other = replace(state, seed=12)
    wanted = [written(engine.steps(one, sampler(one, Sampling())), 30)[0] for one in (state, other)]
    first, second = (GraphSteps(engine, one, sampler(one, Sampling())) for one in (state, other))
    got = [[], []]
    for _ in range(30):
        for steps, made in zip((first, second), got, strict=True):
            made.append(next(steps).ids)
    assert all(torch.equal(torch.cat(made, dim=1), text) for made, text in zip(got, wanted, strict=True))


TOKENIZER = tokenizers.build("tokenizer", "char").fit("abcdefghijklmnopqrstuvwxyz \n.")


@needs_gpu
def test_a_long_text_on_a_gpu_goes_over_to_a_graph():
    engine, state = begun(COMPILED["lstm"], "cuda")
    stream = Stream(engine, TOKENIZER, state, length=300, sampling=Sampling(0.9))
    text = "".join(stream)
    assert isinstance(stream._steps, GraphSteps)
    assert text == TOKENIZER.decode(written(engine.steps(state, sampler(state, Sampling(0.9))), 300)[0][0].tolist())


def test_what_cannot_be_recorded_goes_on_step_by_step(monkeypatch):
    """As on a GPU, where a step that reads a value back to the CPU is refused while it is recorded."""

    def refuse(step, device):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graph_steps, "record", refuse)
    one, state = begun(COMPILED["lstm"], "cpu")
    steps = one.steps(state, sampler(state, Sampling()))
    assert one._recorded(steps) is steps and not one._recordable


def test_the_steps_of_numbers_and_those_that_are_watched_are_not_recorded():
    one, state = begun(COMPILED["lstm"], "cpu")
    steps = one.steps(state, sampler(state, Sampling()))
    assert isinstance(one.hasten(steps, engine.LONG // 2, engine.LONG), Steps) and steps.is_plain
    one.model.core.layers[0][0].watcher = lambda name, value: value
    assert not steps.is_plain
