"""The last layer and its loss."""

import pytest
import torch

from unspool.look.watch import watch
from unspool.nn.cross_entropy import LARGE
from unspool.nn.ends import Categorical, Gaussian


@pytest.mark.parametrize("size", [LARGE, LARGE + 3, 3 * LARGE])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_a_large_vocabulary_a_few_rows_at_a_time_is_the_plain_loss(size, share, monkeypatch):
    monkeypatch.setattr("unspool.nn.cross_entropy.LOGITS", 7 * size)  # seven rows at a time, the last part shorter
    layer = Categorical(5, size)
    y = torch.randn(3, 20, 5, requires_grad=True)
    targets, counts = torch.randint(size, (3, 20)), torch.rand(3, 20) < share
    found = []
    for seen in (False, True):
        layer.zero_grad()
        y.grad = None
        with watch(layer) if seen else torch.enable_grad():
            loss = 3 * layer.loss(y, targets, counts)
        loss.backward()
        found.append([loss.detach(), y.grad, layer.weight.grad, layer.bias.grad])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-5)


def test_without_gradients_a_large_vocabulary_has_the_same_loss():
    layer, y, targets = Categorical(5, LARGE), torch.randn(2, 3, 5), torch.randint(LARGE, (2, 3))
    counts = torch.ones(2, 3, dtype=torch.bool)
    with torch.no_grad():
        wanted = torch.nn.functional.cross_entropy(layer(y).flatten(0, 1), targets.flatten())
        torch.testing.assert_close(layer.loss(y, targets, counts), wanted)


def test_a_large_vocabulary_learns_in_half_precision_too():
    layer, y, targets = Categorical(5, LARGE), torch.randn(2, 30, 5), torch.randint(LARGE, (2, 30))
    counts = torch.ones(2, 30, dtype=torch.bool)
    losses = []
    for low in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            losses.append(layer.loss(y, targets, counts))
    torch.testing.assert_close(*losses, atol=1e-2, rtol=1e-2)
    assert losses[1].dtype == torch.float32


def test_numbers_are_judged_by_half_the_squared_error():
    layer = Gaussian(4, 2)
    y, targets, counts = torch.randn(3, 5, 4), torch.randn(3, 5, 2), torch.rand(3, 5) < 0.7
    wanted = (layer(y) - targets).square().sum(-1)[counts].mean() / 2
    torch.testing.assert_close(layer.loss(y, targets, counts), wanted)
