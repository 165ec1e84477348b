"""Log-probabilities of a text that is given: those of the evaluation, and those of generation."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from helpers.models import small
from unspool.batch import Tokens
from unspool.data.batching.contiguous import ContiguousEval, WindowedEval
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, DataError
from unspool.generate import scoring
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling, sampler
from unspool.generate.scoring import id_scores, token_scores
from unspool.training.evaluate import evaluate

CHARS = tokenizers.build("tokenizer", "char").fit("abcdefg")
IDS = torch.randint(7, (90,), generator=torch.Generator().manual_seed(1))
LIMITED = {"kind": "transformer", "heads": 2, "context": 16, "positions": "learned"}


def mean(scores):
    known = [one.log_probability for one in scores if one.log_probability is not None]
    return sum(known) / len(known)


@pytest.mark.parametrize("core", [{"kind": "recurrent", "cell": "gru"}, {"kind": "transformer", "heads": 2}])
def test_the_mean_is_the_loss_of_an_evaluation(core, monkeypatch):
    model = small(core)
    monkeypatch.setattr(scoring, "SCORES", 7 * 13)  # in pieces of 13
    wanted = evaluate(model, ContiguousEval(IDS, 1, 30)).loss
    assert -mean(id_scores(Engine(model), CHARS, IDS.tolist())) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("size", [7, 16])
def test_windows_are_those_of_an_evaluation(size, monkeypatch):
    model = small(LIMITED)
    monkeypatch.setattr(scoring, "SCORES", 7 * 5)
    wanted = evaluate(model, WindowedEval(IDS, size, 4)).loss
    assert -mean(id_scores(Engine(model), CHARS, IDS.tolist(), window=size)) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("core", [{"kind": "recurrent", "cell": "lstm"}, LIMITED])
def test_a_generated_token_has_the_score_that_it_was_generated_with(core):
    engine = Engine(small(core))
    state = replace(engine.read(IDS[None, :5]), seed=3)
    steps = list(islice(engine.steps(state, sampler(state, Sampling())), 60))
    found = list(id_scores(engine, CHARS, [int(step.ids) for step in steps], state))
    assert [one.log_probability for one in found] == pytest.approx([float(s.log_probability) for s in steps], abs=1e-5)


def test_what_was_read_before_counts_and_is_not_changed():
    engine = Engine(small(LIMITED))
    state, whole = engine.read(IDS[None, :11]), list(id_scores(engine, CHARS, IDS.tolist()))
    kept = state.fork()
    rest = list(id_scores(engine, CHARS, IDS[11:].tolist(), state))
    assert [one.log_probability for one in rest] == pytest.approx([one.log_probability for one in whole[11:]], abs=1e-5)
    assert all(torch.equal(value, kept.tensors()[name]) for name, value in state.tensors().items())


def test_the_likeliest_are_given_in_their_order():
    found = token_scores(Engine(small()), CHARS, "gab", top=7)
    assert found[0].log_probability is None and found[0].top == {}
    for one in found[1:]:
        assert set(one.top) == set("abcdefg") and list(one.top.values()) == sorted(one.top.values(), reverse=True)
        assert one.top[one.text] == one.log_probability
        assert sum(torch.tensor(list(one.top.values())).exp()) == pytest.approx(1.0, abs=1e-5)
    assert len(token_scores(Engine(small()), CHARS, "ga", top=2)[1].top) == 2


@pytest.mark.parametrize("kind", ["byte", "word", "bpe", "wordpiece"])
def test_the_texts_of_the_tokens_join_to_the_text(kind):
    text = "né to be or not to be"
    tokenizer = tokenizers.build("tokenizer", kind).fit(text * 3)
    found = token_scores(Engine(small(inputs=Tokens(tokenizer.size))), tokenizer, text, top=3)
    assert "".join(one.text for one in found) == tokenizer.decode(tokenizer.encode(text))
    assert [one.id for one in found] == tokenizer.encode(text).tolist()
    assert all(len(one.top) == 3 for one in found[1:])


def test_half_a_character_is_shown_as_such():
    tokenizer = tokenizers.build("tokenizer", "byte")
    found = list(id_scores(Engine(small(inputs=Tokens(256))), tokenizer, [0x61, 0xC3], top=256))
    assert [one.text for one in found] == ["a", "\ufffd"] and len(found[1].top) == 256 and "\\xc3" in found[1].top


def test_nothing_and_one_token_have_no_score():
    engine = Engine(small())
    assert token_scores(engine, CHARS, "") == []
    assert [one.log_probability for one in token_scores(engine, CHARS, "a")] == [None]
    assert token_scores(engine, CHARS, "", engine.read(IDS[None, :3])) == []


def test_what_cannot_be_scored_is_refused():
    engine = Engine(small())
    with pytest.raises(DataError, match="no token 7"):
        list(id_scores(engine, CHARS, [1, 7]))
    with pytest.raises(ConfigError, match="a window begins with an empty state"):
        list(id_scores(engine, CHARS, [1], engine.read(IDS[None, :3]), window=4))
    both = small(cell="gru", bidirectional=True)
    with pytest.raises(ConfigError, match="reads both ways"):
        token_scores(Engine(both), CHARS, "ab")
