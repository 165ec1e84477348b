"""The neural cache against the formula of its paper, written out token by token."""

import math

import pytest
import torch
import torch.nn.functional as F

from helpers.models import small
from unspool import Tokens
from unspool.nn.neural_cache import CachedHead, NeuralCache

V, D, T = 5, 3, 12
THETA, SHARE, SIZE = 4.0, 0.3, 6


@pytest.fixture
def text():
    return torch.randn(T, D), torch.randint(V, (T,)), torch.randn(T, V).log_softmax(dim=-1)


def by_hand(outputs, tokens, scores, t):
    """The distribution over the token t, from the SIZE pairs before it."""
    model, before = scores[t].exp(), range(max(0, t - SIZE), t)
    if not before:
        return model
    weights = [math.exp(THETA * float(F.cosine_similarity(outputs[t], outputs[i], dim=0))) for i in before]
    cached = torch.zeros(V)
    for weight, i in zip(weights, before, strict=True):
        cached[tokens[i]] += weight / sum(weights)
    return (1 - SHARE) * model + SHARE * cached


@pytest.mark.parametrize("chunk", [1, 4, T])
def test_scores_are_those_of_the_formula_whatever_the_chunks(text, chunk):
    outputs, tokens, scores = text
    cache, found = NeuralCache(SIZE, THETA, SHARE), []
    own = scores.gather(1, tokens[:, None]).squeeze(1)
    for part in torch.arange(T).split(chunk):
        found.append(cache.score(own[part], outputs[part], tokens[part]))
        cache.add(outputs[part], tokens[part])
    wanted = torch.stack([by_hand(outputs, tokens, scores, t)[tokens[t]] for t in range(T)]).log()
    torch.testing.assert_close(torch.cat(found), wanted)


def test_the_mixture_is_that_of_the_formula_and_sums_to_one(text):
    outputs, tokens, scores = text
    cache = NeuralCache(SIZE, THETA, SHARE)
    assert torch.equal(cache.mix(scores[0], outputs[0]), scores[0])  # nothing was read yet
    cache.add(outputs[:-1], tokens[:-1])
    mixed = cache.mix(scores[-1], outputs[-1]).exp()
    torch.testing.assert_close(mixed, by_hand(outputs, tokens, scores, T - 1))
    assert float(mixed.sum()) == pytest.approx(1.0, abs=1e-5)


def test_a_head_with_a_cache_has_other_weights_and_the_loss_of_the_mixture(text):
    outputs, tokens, _ = text
    model, cache = small(inputs=Tokens(V), width=D), NeuralCache(SIZE, THETA, SHARE)
    cache.add(outputs, tokens)
    plain = set(model.state_dict())
    head = model.head
    model.head = CachedHead(head, cache)
    assert {"head.outputs", "head.tokens"} <= set(model.state_dict()) - plain
    y, targets, there = outputs[None], tokens[None], torch.ones(1, T, dtype=torch.bool)
    there[0, 5:] = False
    wanted = -cache.mix(head(y), y)[0, torch.arange(5), tokens[:5]].mean()
    torch.testing.assert_close(model.head.loss(y, targets, there), wanted)
