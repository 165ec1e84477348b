"""Biases and bans: what they change of the scores, and what they leave."""

from itertools import islice

import pytest
import torch

from helpers.models import gru
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, DataError
from unspool.generate.bias import Ban, Bias, DrawRules
from unspool.generate.candidates import candidates
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling, sampler
from unspool.generate.text import biased_ids, read_prompt

CHARS = tokenizers.build("tokenizer", "char").fit("abcdefg")


def test_a_bias_moves_exactly_the_logits_that_it_names():
    scores = torch.randn(3, 5)
    moved = Bias([([1], 2.5), ([3], -1.0), ([1], 0.5)], 5)(torch.zeros(3, 0, dtype=torch.long), scores)
    torch.testing.assert_close(moved - scores, torch.tensor([0.0, 3.0, 0.0, -1.0, 0.0]).expand(3, 5))
    assert torch.equal(moved[:, [0, 2, 4]], scores[:, [0, 2, 4]])


def test_of_several_ids_the_last_one_moves_behind_the_others():
    before, scores = torch.tensor([[0, 1], [1, 0], [2, 1]]), torch.zeros(3, 4)
    moved = Bias([([0, 1, 3], 2.0), ([1, 2], -1.0)], 4)(before, scores)
    assert moved.tolist() == [[0, 0, -1, 2], [0, 0, 0, 0], [0, 0, -1, 0]]
    assert Bias([([0, 1, 3], 2.0)], 4)(before[:, 1:], scores).abs().sum() == 0  # not known yet


def test_a_bias_and_a_ban_of_the_same_token_ban_it():
    rules, nothing = DrawRules(Bias([([1], 50.0)], 3), Ban([[1]], 3)), torch.zeros(1, 0, dtype=torch.long)
    assert rules(nothing, nothing, torch.zeros(1, 3)).tolist() == [[0.0, -torch.inf, 0.0]]


def test_draws_have_the_odds_of_the_bias_and_the_log_probabilities_of_the_model():
    engine = Engine(gru())
    state = read_prompt(engine, CHARS, "ab")
    rows = state.select(torch.zeros(6000, dtype=torch.long))
    step = next(engine.steps(rows, sampler(rows, Sampling(), bias=[([2], 1.5)])))
    logits = state.logits[0].clone()
    wanted = logits.log_softmax(-1)
    torch.testing.assert_close(step.log_probability, wanted[step.ids.flatten()])
    logits[2] += 1.5
    share = float((step.ids == 2).float().mean())
    assert share == pytest.approx(float(logits.softmax(-1)[2]), abs=0.03)


def test_no_bias_changes_nothing():
    engine = Engine(gru())
    state = read_prompt(engine, CHARS, "ab")
    plain, zero = (
        [int(step.ids) for step in islice(engine.steps(state, sampler(state, Sampling(), bias=bias)), 30)]
        for bias in ((), [([2], 0.0)])
    )
    assert plain == zero


def test_a_text_is_biased_by_its_tokens():
    assert biased_ids(CHARS, {"c": 2.0, "ab": -1.0}) == [([2], 2.0), ([0, 1], -1.0)]
    words = tokenizers.build("tokenizer", "word").fit("to be or not to be")
    assert biased_ids(words, {"to be": 1.0, "<unk>": -3.0}) == [([1, 2], 1.0), ([0], -3.0)]
    found = candidates(Engine(gru()), CHARS, read_prompt(Engine(gru()), CHARS, "a"), 9, Sampling(), 3, bias={"e": 90.0})
    assert {one.text for one in found} == {"e" * 9}


@pytest.mark.parametrize(
    ("bias", "error", "message"),
    [
        ({"": 1.0}, ConfigError, "empty text has no bias"),
        ({"a": 101.0}, ConfigError, "the bias 101.0 is beyond -100.0 and 100.0"),
        ({"a": float("nan")}, ConfigError, "the bias nan is beyond"),
        ({"aQ": 1.0}, DataError, "cannot spell 'aQ'"),
    ],
)
def test_a_bias_that_makes_no_sense_is_refused(bias, error, message):
    with pytest.raises(error, match=message):
        biased_ids(CHARS, bias)


def test_everything_banned_is_refused():
    with pytest.raises(ConfigError, match="every token is banned"):
        Ban([[0], [1]], 2)
