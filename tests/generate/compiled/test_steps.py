"""The compiled loop generates what the engine's own steps generate: ids, likelihoods and states."""

from dataclasses import replace

import pytest
import torch

from helpers.compiled import COMPILED, LETTERS, model_of, written, written_in_blocks
from unspool import Sampling, tokenizers
from unspool.errors import ConfigError
from unspool.generate.candidates import candidates
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.ready import CompiledModel
from unspool.generate.compiled.runner import Runner
from unspool.generate.compiled.steps import CompiledSteps
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampler, sampler
from unspool.generate.stream import Stream
from unspool.nn.part import tensors

SAMPLINGS = [
    Sampling(0.0), Sampling(), Sampling(0.7, top_k=5), Sampling(1.0, top_p=0.8), Sampling(1.3, min_p=0.1),
    Sampling(0.9, top_k=9, top_p=0.9, min_p=0.02, repetition_penalty=1.3),
]  # fmt: skip


def begun(model, rows=1, time=5, seed=11):
    engine = Engine(model)
    torch.manual_seed(3)
    return engine, replace(engine.read(torch.randint(0, LETTERS.size, (rows, time))), seed=seed)


@pytest.mark.parametrize("name", COMPILED)
def test_the_text_the_likelihoods_and_the_state_are_those_of_torch(name):
    """Beyond the context of every transformer, so that windows move on."""
    engine, state = begun(model_of(COMPILED[name]))
    runner = Runner(lower(engine.model))
    for sampling, length in ((Sampling(0.0), 500), (Sampling(0.9), 60)):
        plain = engine.steps(state, sampler(state, sampling))
        fast = CompiledSteps(engine, runner, state, sampler(state, sampling))
        ids, scores = written(plain, length)
        got, likely = written(fast, length)
        assert torch.equal(got, ids)
        near = 1e-4 + 1e-6 * float(plain.state.logits.abs().max())  # the IRNN's grow to thousands
        torch.testing.assert_close(likely, scores, atol=near, rtol=1e-4)
        assert fast.position == plain.position == fast.state.position
        pairs = zip(tensors(fast.state.core), tensors(plain.state.core), strict=True)
        for (path, value), (other, wanted) in pairs:
            used = value[:, :, : wanted.shape[2]] if value.dim() == 4 else value  # torch's new caches have few slots
            assert path == other and used.shape == wanted.shape
            torch.testing.assert_close(used, wanted, atol=near, rtol=1e-4)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_every_way_of_drawing_is_that_of_the_sampler(sampling):
    engine, state = begun(model_of(COMPILED["gru"]), rows=3)
    runner = Runner(lower(engine.model))
    for ban in ([], [[4], [7], [9]], [[4, 5]]):  # the last is drawn by torch, token by token
        wanted, _ = written(engine.steps(state, sampler(state, sampling, ban)), 80)
        got, _ = written(CompiledSteps(engine, runner, state, sampler(state, sampling, ban)), 80)
        assert torch.equal(got, wanted)
        assert not set(got.flatten().tolist()) & {one[0] for one in ban if len(one) == 1}


def test_draws_follow_the_distribution():
    """Chi-square of 40,000 first draws, each of a seed of its own, against the softmax: 28 degrees of freedom."""
    engine, state = begun(model_of(COMPILED["elman"]))
    many = 20_000
    rows = state.select(torch.zeros(many, dtype=torch.long))
    draw = Sampler(rows.ids, LETTERS.size, [], range(many), sampling=Sampling())
    steps = CompiledSteps(engine, Runner(lower(engine.model)), rows, draw)
    counts = next(steps).ids.flatten().bincount(minlength=LETTERS.size)
    expected = state.logits[0].softmax(-1) * many
    usual = expected > 5
    statistic = ((counts - expected) ** 2 / expected)[usual].sum()
    assert 5 < float(statistic) < 60  # 60 is exceeded once in 3,000 seeds; these are fixed


def test_blocks_and_what_is_taken_back_are_the_same_text():
    engine, state = begun(model_of(COMPILED["llama"]))
    wanted, _ = written(engine.steps(state, sampler(state, Sampling())), 150)
    steps = CompiledSteps(engine, Runner(lower(engine.model)), state, sampler(state, Sampling()))
    assert written_in_blocks(steps, 150, begin=5) == wanted[0].tolist()


def test_another_choice_than_a_sampler_is_asked_token_by_token():
    engine, state = begun(model_of(COMPILED["lstm"]))
    steps = CompiledSteps(
        engine, Runner(lower(engine.model)), state, lambda logits, position: torch.tensor([[position]])
    )
    assert [steps.ids(10) for _ in range(3)] == [[5], [6], [7]]


TOKENIZER = tokenizers.build("tokenizer", "char").fit("abcdefghijklmnopqrstuvwxyz \n.")


@pytest.fixture
def compiled_engine():
    model = model_of(COMPILED["lstm"])
    compiled = CompiledModel(model)
    compiled.needed()
    return Engine(model, compiled=compiled)


def test_a_long_stream_goes_over_to_the_compiled_loop_and_stays_the_same_text(compiled_engine):
    state = replace(begun(compiled_engine.model)[1], seed=5)
    texts = []
    for engine in (Engine(compiled_engine.model), compiled_engine):
        stream = Stream(engine, TOKENIZER, state, 700, stop=("q.z",))
        texts.append(("".join(stream), stream.finished, stream.state.position, stream.count))
        fast = isinstance(stream._steps, CompiledSteps)
    assert fast and texts[0] == texts[1]
    first, second = (candidates(e, TOKENIZER, state, 300, Sampling(), 3) for e in (Engine(state_model(engine)), engine))
    assert [one.text for one in first] == [one.text for one in second]


def state_model(engine):
    return engine.model


def test_a_stop_string_in_the_middle_of_a_block_ends_the_state_there(compiled_engine):
    state = replace(begun(compiled_engine.model)[1], seed=6)
    whole = "".join(Stream(Engine(compiled_engine.model), TOKENIZER, state, 1000))
    end = whole[400:404]
    cut = whole.index(end)
    stream = Stream(compiled_engine, TOKENIZER, state, 1000, stop=(end,))
    assert "".join(stream) == whole[:cut] and stream.finished == "stop"
    assert stream.state.position == state.position + cut + 4
    ids = TOKENIZER.encode(whole[: cut + 4])
    again = Engine(compiled_engine.model).read(torch.as_tensor(ids)[None], state)
    torch.testing.assert_close(stream.state.logits, again.logits, atol=1e-4, rtol=1e-4)


def test_int8_is_refused_where_nothing_compiles():
    from helpers.compiled import NOT_COMPILED
    from helpers.models import small

    model = small(**NOT_COMPILED["ssd"], inputs=LETTERS)
    engine = Engine(model, compiled=CompiledModel(model, "int8"))
    with pytest.raises(ConfigError, match="int8 needs a compiled model"):
        Stream(engine, TOKENIZER, engine.read(torch.tensor([[1]])), 10)
