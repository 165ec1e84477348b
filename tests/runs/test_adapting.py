"""Runs that adapt: a copy learns, and its states are its own."""

import pytest
import torch

from helpers.models import small, weights_of
from unspool import Run, Tokens, tokenizers
from unspool.errors import CheckpointError, ConfigError
from unspool.runs.adapting import adapt_run, evaluate_adapting
from unspool.training.adapting import Adapting

TOKENIZER = tokenizers.build("tokenizer", "char").fit("abc\n")
SGD = Adapting(rule="sgd", rate=0.3, chunk=8)


@pytest.fixture
def run():
    return Run(small("recurrent", Tokens(4)), TOKENIZER)


def test_a_copy_learns_and_the_run_stays(run):
    before = weights_of(run.model)
    adapted = adapt_run(run, "abc" * 60, SGD)
    assert torch.equal(weights_of(run.model), before) and not torch.equal(weights_of(adapted.model), before)
    likely = [one.read("ab").logits.softmax(dim=-1)[0, 3] for one in (run, adapted)]  # c
    assert likely[1] > likely[0]


@pytest.mark.parametrize("way", ["dynamic", "cache"])
def test_states_of_the_run_and_of_its_copy_are_strangers(run, tmp_path, way):
    adapted = adapt_run(run, "abc" * 60, Adapting(way, "sgd", chunk=8))
    adapted.read("ab").save(tmp_path / "state")
    assert adapted.load_state(tmp_path / "state").position == 2
    with pytest.raises(CheckpointError, match="other weights"):
        run.load_state(tmp_path / "state")


def test_a_cache_makes_what_was_read_likelier_and_is_not_filled_by_writing(run):
    adapted = adapt_run(run, "abc" * 60, Adapting("cache", cache_lambda=0.9, cache_theta=50.0))
    assert adapted.read("ab").logits.argmax() == 3
    cached = adapted.model.head.tokens.clone()
    "".join(adapted.stream("ab", length=20, seed=1))
    assert torch.equal(adapted.model.head.tokens, cached)


def test_a_text_has_values_with_and_without_and_nothing_is_learnt_for_good(run):
    before = weights_of(run.model)
    found, again = (evaluate_adapting(run, SGD, "file", "abc" * 60) for _ in range(2))
    assert found == again and found["file/dynamic/loss"] < found["file/static/loss"]
    assert torch.equal(weights_of(run.model), before)


def test_what_is_not_there_is_said(run):
    with pytest.raises(ConfigError, match="measures gradients on the training text") as caught:
        adapt_run(run, "abcab", Adapting())
    assert caught.value.hint.startswith("--adapt-rule sgd")
    both_ways = Run(small({"kind": "recurrent", "bidirectional": True}, Tokens(4)), TOKENIZER)
    with pytest.raises(ConfigError, match="reads both ways"):
        adapt_run(both_ways, "abcab", SGD)
