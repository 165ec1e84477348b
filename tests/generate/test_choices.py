"""Choices: exact probabilities, whatever the core, and draws that follow them."""

from math import exp

import pytest
import torch

from helpers.models import small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, DataError
from unspool.generate import choices
from unspool.generate.choices import choice_scores, draw_choice
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling
from unspool.generate.scoring import token_scores
from unspool.generate.text import read_prompt

CHARS = tokenizers.build("tokenizer", "char").fit("abcdefg")
CORES = {
    "lstm": {"kind": "recurrent"},
    "transformer": {"kind": "transformer", "heads": 2},
    "full": {"kind": "transformer", "heads": 2, "context": 8, "positions": "learned"},
}
TEXTS = ["a", "abc", "g", "gg", "fedcba", "bbbbbbbbbbbb", "c"]


@pytest.mark.parametrize("core", CORES)
def test_a_choice_is_as_probable_as_its_text(core, monkeypatch):
    monkeypatch.setattr(choices, "ROWS", 3)
    engine = Engine(small(CORES[core]))
    state = read_prompt(engine, CHARS, "dabdab")
    kept = state.fork()
    found = choice_scores(engine, CHARS, TEXTS, state)
    assert [one.log_probability for one in found] == sorted((one.log_probability for one in found), reverse=True)
    total = sum(exp(one.log_probability) for one in found)
    for one in found:
        wanted = sum(score.log_probability for score in token_scores(engine, CHARS, one.text, state))
        assert one.log_probability == pytest.approx(wanted, abs=1e-4)
        assert one.probability == pytest.approx(exp(one.log_probability) / total, rel=1e-5)
    assert {one.text for one in found} == set(TEXTS)
    assert all(torch.equal(value, kept.tensors()[name]) for name, value in state.tensors().items())


def test_draws_follow_the_probabilities_and_the_temperature():
    engine = Engine(small())
    found = choice_scores(engine, CHARS, ["a", "b", "c"], read_prompt(engine, CHARS, "d"))
    drawn = [draw_choice(found, Sampling(), seed, 1).text for seed in range(1000)]
    for one in found:
        assert drawn.count(one.text) / 1000 == pytest.approx(one.probability, abs=0.06)
    assert {draw_choice(found, Sampling(0.0), seed, 1).text for seed in range(9)} == {found[0].text}
    assert {draw_choice(found, Sampling(top_k=2), seed, 1).text for seed in range(40)} == {
        one.text for one in found[:2]
    }


@pytest.mark.parametrize("kind", ["word", "bpe"])
def test_choices_of_words(kind):
    tokenizer = tokenizers.build("tokenizer", kind).fit("to be or not to be")
    engine = Engine(small(inputs=Tokens(tokenizer.size)))
    found = choice_scores(engine, tokenizer, ["to be", "not"], read_prompt(engine, tokenizer, "or"))
    assert sum(one.probability for one in found) == pytest.approx(1.0)


REFUSED = [
    ([], ConfigError, "empty text"),
    (["a", ""], ConfigError, "empty text"),
    (["a", "b", "a"], ConfigError, "'a' is given twice"),
    (["ab", "aQéQ"], DataError, "'aQéQ' cannot be written: the model does not know 'Q', 'é'"),
    ([f"a{number}" for number in range(10**6)], ConfigError, "1,000,000 choices of 6,888,890 characters are too many"),
    (["a" * 10**6], ConfigError, "too many"),
]


@pytest.mark.parametrize(("texts", "error", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_what_is_no_choice_is_refused(texts, error, message):
    engine = Engine(small())
    with pytest.raises(error, match=message):
        choice_scores(engine, CHARS, texts, read_prompt(engine, CHARS, "a"))


def test_a_choice_without_a_token_is_refused():
    tokenizer = tokenizers.build("tokenizer", "word").fit("to be")
    engine = Engine(small(inputs=Tokens(3)))
    with pytest.raises(ConfigError, match="has no token"):
        choice_scores(engine, tokenizer, ["to", " "], read_prompt(engine, tokenizer, "to"))
