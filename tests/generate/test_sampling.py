"""Drawing tokens: filters, likelihoods, and what counts as said."""

from itertools import islice

import pytest
import torch

from helpers.models import gru, small
from unspool.batch import Tokens
from unspool.data.tokenizer import tokenizers
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

V = 7


def test_the_likelihood_of_a_draw_is_the_models_own():
    made, prompt = gru(), torch.randint(V, (2, 5))
    with torch.no_grad():
        wanted = made(prompt, made.start(prompt))[0][:, -1].log_softmax(-1)
    drawn = next(sample_tokens(made, prompt, Sampling(temperature=0.3, top_k=2).filters()[0], seed=1))
    torch.testing.assert_close(drawn.log_probability, wanted.gather(1, drawn.ids).squeeze(1))


def test_what_was_read_or_drawn_counts_as_said():
    prompt, seen = torch.tensor([[1, 2, 2]]), []

    def look(logits, said):
        seen.append(said[0].nonzero().flatten().tolist())
        return logits.index_fill(1, torch.tensor([4]), 1e9)

    draws = sample_tokens(gru(), prompt, look, seed=1)
    next(draws), next(draws)
    assert seen == [[1, 2], [1, 2, 4]]


def test_without_a_seed_every_call_draws_others():
    once, again = (
        [int(drawn.ids) for drawn in islice(sample_tokens(gru(), torch.zeros(1, 1).long()), 40)] for _ in range(2)
    )
    assert once != again


def test_top_p_finds_the_likeliest_wherever_they_stand():
    logits = torch.tensor([[0.0, 2.0, -1.0, 1.0]])
    assert top_p(0.7)(logits, logits > 9).isfinite().tolist() == [[False, True, False, True]]


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ({}, []),
        ({"temperature": 0.0}, [greedy]),
        ({"temperature": 0.5}, [temperature(0.5)]),
        ({"top_k": 2}, [top_k(2)]),
        ({"top_p": 0.6}, [top_p(0.6)]),
        ({"min_p": 0.3}, [min_p(0.3)]),
        ({"repetition_penalty": 2.0}, [repetition_penalty(2.0)]),
        (
            {"repetition_penalty": 2.0, "temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.2},
            [repetition_penalty(2.0), temperature(0.5), top_k(3), top_p(0.9), min_p(0.2)],
        ),
    ],
    ids=["none", "cold", "temperature", "top_k", "top_p", "min_p", "penalty", "all"],
)
def test_every_option_of_sampling_does_something(options, filters):
    logits, said = torch.tensor([[0.5, 2.0, -1.0, 1.0]]), torch.tensor([[False, True, True, False]])
    ours = theirs = logits
    for change in Sampling(**options).filters():
        ours = change(ours, said)
    for change in filters:
        theirs = change(theirs, said)
    assert torch.equal(ours, theirs) and torch.equal(ours, logits) == (not options)


def test_half_a_character_at_the_end_waits_in_the_state():
    tokenizer = tokenizers.build("tokenizer", "byte")
    made = small("recurrent", Tokens(256), width=4)
    with torch.no_grad():
        made.head.bias[0xC3] = 1e9  # the first half of an accented letter, for ever
    stream = stream_text(Engine(made), tokenizer, "a", length=3)
    assert "".join(stream) == "\ufffd" * 2 and stream.state.pending == b"\xc3"


HALVES = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
"""Powers of two: their logarithms, probabilities and sums are exact in float32."""


def kept(change, logits=HALVES):
    return change(logits, logits > 9).isfinite().int().tolist()[0]


def test_top_k_keeps_exact_ties_with_the_last_and_nothing_below_by_one_bit():
    tied = torch.tensor([[1.0, 3.0, 2.0, 2.0]])
    assert kept(top_k(2), tied) == [0, 1, 1, 1]
    nearly = torch.tensor([[1.0, 3.0, 2.0, torch.nextafter(torch.tensor(2.0), torch.tensor(0.0))]])
    assert kept(top_k(2), nearly) == [0, 1, 1, 0]
    assert kept(top_k(1), tied) == [0, 1, 0, 0] and kept(top_k(9), tied) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("p", "tokens"),
    [(0.49, [1, 0, 0, 0]), (0.5, [1, 0, 0, 0]), (0.51, [1, 1, 0, 0]), (0.75, [1, 1, 0, 0]), (0.76, [1, 1, 1, 0])],
)
def test_top_p_keeps_the_smallest_set_whose_sum_is_at_least_p(p, tokens):
    assert kept(top_p(p)) == tokens  # Holtzman et al. 2020, equation 2


@pytest.mark.parametrize(("p", "tokens"), [(0.51, [1, 0, 0, 0]), (0.5, [1, 1, 0, 0]), (0.25, [1, 1, 1, 1])])
def test_min_p_keeps_what_is_at_least_p_times_the_likeliest(p, tokens):
    assert kept(min_p(p)) == tokens  # Nguyen et al. 2024, equation 2: greater or equal
