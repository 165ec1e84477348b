"""From logits to ids to text."""

from itertools import islice

import pytest
import torch

from helpers.models import small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
from unspool.generate.candidates import candidates
from unspool.generate.engine import Engine
from unspool.generate.sampling import (
    Sampling,
    greedy,
    min_p,
    repetition_penalty,
    sample_tokens,
    temperature,
    top_k,
    top_p,
)
from unspool.generate.stream import stream_text
from unspool.generate.text import read_prompt

TEXT = "the quick brown fox jumps over the lazy dog\n"
LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
SAID = torch.zeros(1, 4, dtype=torch.bool)


@pytest.fixture(scope="module")
def model():
    return small("recurrent", Tokens(28))


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizers.build("tokenizer", "char").fit(TEXT)


def kept(filter_):
    return filter_(LOGITS, SAID).isfinite().squeeze().tolist()


def test_filters_keep_what_they_say():
    assert kept(top_k(2)) == [True, True, False, False]
    assert kept(top_k(9)) == [True] * 4
    p = LOGITS.softmax(-1)[0]
    assert kept(top_p(p[0].item() - 1e-4)) == [True, False, False, False]
    assert kept(top_p(p[0].item() + 1e-4)) == [True, True, False, False]
    assert kept(min_p(0.3)) == [True, True, False, False]  # e^-1 = 0.37, e^-2 = 0.14
    assert kept(greedy) == [True, False, False, False]


def test_a_penalty_makes_the_said_less_likely_whatever_its_sign():
    said = torch.tensor([[True, False, False, True]])
    assert repetition_penalty(2.0)(LOGITS, said).tolist() == [[1.0, 1.0, 0.0, -2.0]]


def test_draws_follow_the_softmax(model):
    """A chi-square test of 4,000 first draws at temperature 0.8."""
    prompt = torch.zeros(4000, 2, dtype=torch.long)
    drawn = next(sample_tokens(model, prompt, temperature(0.8), seed=0)).ids.squeeze(1)
    with torch.no_grad():
        expected = (model(prompt[:1], model.start(prompt[:1]))[0][0, -1] / 0.8).softmax(-1) * len(prompt)
    chi_square = ((drawn.bincount(minlength=28) - expected).square() / expected).sum().item()
    assert chi_square < 55.5  # 27 degrees of freedom: exceeded once in a thousand


def test_entropy_rises_with_temperature():
    entropies = [
        torch.distributions.Categorical(logits=temperature(t)(LOGITS, SAID)).entropy().item()
        for t in (0.1, 0.8, 1.0, 3.0)
    ]
    assert entropies == sorted(entropies)


def test_a_cold_draw_is_the_greedy_one(model):
    prompt = torch.randint(28, (3, 5))
    cold = [d.ids.tolist() for d in islice(sample_tokens(model, prompt, temperature(1e-4), seed=3), 10)]
    assert cold == [d.ids.tolist() for d in islice(sample_tokens(model, prompt, greedy), 10)]


def test_what_comes_out_goes_in_again(model):
    """Step by step with its own outputs = one unrolled pass over them."""
    prompt = torch.randint(28, (2, 4))
    drawn = list(islice(sample_tokens(model, prompt, seed=1), 6))
    ids = torch.cat([prompt, *(d.ids for d in drawn)], dim=1)
    with torch.no_grad():
        logits, _ = model(ids, model.start(ids))
    log_probabilities = logits[:, 3:-1].log_softmax(-1).gather(2, ids[:, 4:, None]).squeeze(2)
    printed = torch.stack([d.log_probability for d in drawn], dim=1)
    torch.testing.assert_close(printed, log_probabilities, atol=1e-6, rtol=1e-5)


def test_text_streams_and_repeats_itself(model, tokenizer):
    once, again = ("".join(stream_text(Engine(model), tokenizer, "the ", length=30, seed=2)) for _ in range(2))
    assert once == again and len(once) == 30
    assert once != "".join(stream_text(Engine(model), tokenizer, "the ", length=30, seed=3))


def test_candidates_come_likeliest_first(model, tokenizer):
    engine = Engine(model)
    made = candidates(engine, tokenizer, read_prompt(engine, tokenizer, "the "), 10, Sampling(), 5)
    scores = [c.log_probability for c in made]
    assert scores == sorted(scores, reverse=True) and len({c.text for c in made}) == 5
    ids = torch.as_tensor(tokenizer.encode("the " + made[0].text))[None]
    with torch.no_grad():
        logits, _ = model(ids, model.start(ids))
    expected = logits[0, 3:-1].log_softmax(-1).gather(1, ids[0, 4:, None]).sum().item()
    assert made[0].log_probability == pytest.approx(expected, abs=1e-4)


def test_writing_leaves_the_random_numbers_of_training_alone(model, tokenizer):
    before = torch.get_rng_state()
    list(stream_text(Engine(model), tokenizer, "the ", length=5, seed=2))
    assert torch.equal(before, torch.get_rng_state())
