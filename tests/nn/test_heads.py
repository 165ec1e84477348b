"""The last layer and its loss."""

from math import log, pi

import pytest
import torch
import torch.distributions as D
from torch import nn

from unspool.batch import Tokens, UnalignedTokens, Vectors
from unspool.errors import ConfigError
from unspool.look.watch import watch
from unspool.nn.density import Density
from unspool.nn.heads import NARROWEST, Categorical, Gaussian, Mixture, head
from unspool.nn.kernels.cross_entropy import LARGE


@pytest.mark.parametrize("size", [LARGE, LARGE + 3, 3 * LARGE])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_a_large_vocabulary_a_few_rows_at_a_time_is_the_plain_loss(size, share, monkeypatch):
    monkeypatch.setattr(
        "unspool.nn.kernels.cross_entropy.LOGITS", 7 * size
    )  # seven rows at a time, the last part shorter
    layer = Categorical(5, size)
    y = torch.randn(3, 20, 5, requires_grad=True)
    targets, loss_mask = torch.randint(size, (3, 20)), torch.rand(3, 20) < share
    found = []
    for seen in (False, True):
        layer.zero_grad()
        y.grad = None
        with watch(layer) if seen else torch.enable_grad():
            loss = 3 * layer.loss(y, targets, loss_mask)
        loss.backward()
        found.append([loss.detach(), y.grad, layer.weight.grad, layer.bias.grad])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-5)


def test_without_gradients_a_large_vocabulary_has_the_same_loss():
    layer, y, targets = Categorical(5, LARGE), torch.randn(2, 3, 5), torch.randint(LARGE, (2, 3))
    loss_mask = torch.ones(2, 3, dtype=torch.bool)
    with torch.no_grad():
        wanted = torch.nn.functional.cross_entropy(layer(y).flatten(0, 1), targets.flatten())
        torch.testing.assert_close(layer.loss(y, targets, loss_mask), wanted)


def test_a_large_vocabulary_learns_in_half_precision_too():
    layer, y, targets = Categorical(5, LARGE), torch.randn(2, 30, 5), torch.randint(LARGE, (2, 30))
    loss_mask = torch.ones(2, 30, dtype=torch.bool)
    losses = []
    for low in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            losses.append(layer.loss(y, targets, loss_mask))
    torch.testing.assert_close(*losses, atol=1e-2, rtol=1e-2)
    assert losses[1].dtype == torch.float32


def test_numbers_are_judged_by_half_the_squared_error():
    layer = Gaussian(4, 2)
    y, targets, loss_mask = torch.randn(3, 5, 4), torch.randn(3, 5, 2), torch.rand(3, 5) < 0.7
    wanted = (layer(y) - targets).square().sum(-1)[loss_mask].mean() / 2
    torch.testing.assert_close(layer.loss(y, targets, loss_mask), wanted)


def reference(head, y):
    """The same mixture by torch.distributions."""
    raw = torch.nn.functional.linear(y, head.weight, head.bias)
    weights, means, scales = raw.split([head.components, *[head.components * head.size] * 2], dim=-1)
    shape = (*y.shape[:-1], head.components, head.size)
    each = D.Normal(means.reshape(shape), torch.nn.functional.softplus(scales.reshape(shape)) + NARROWEST)
    return D.MixtureSameFamily(D.Categorical(logits=weights), D.Independent(each, 1))


@pytest.mark.parametrize(("size", "components"), [(1, 1), (2, 1), (1, 4), (3, 5)])
def test_a_mixture_is_that_of_torch_with_its_gradients(size, components):
    head = Mixture(4, size, components)
    torch.nn.init.normal_(head.bias)
    y, targets, loss_mask = (
        torch.randn(3, 5, 4, requires_grad=True),
        2 * torch.randn(3, 5, size),
        torch.rand(3, 5) < 0.7,
    )
    found = []
    for loss in (head.loss(y, targets, loss_mask), -reference(head, y).log_prob(targets)[loss_mask].mean()):
        y.grad = None
        head.zero_grad()
        loss.backward()
        found.append([loss.detach(), y.grad, head.weight.grad, head.bias.grad])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(head(y), reference(head, y).mean)


def test_the_gradient_of_a_mixture_is_that_of_finite_differences():
    head = Mixture(3, 2, 2).double()
    y, targets = torch.randn(1, 2, 3, dtype=torch.float64, requires_grad=True), torch.randn(1, 2, 2).double()
    assert torch.autograd.gradcheck(lambda y: head.loss(y, targets, torch.ones(1, 2, dtype=torch.bool)), (y,))


def test_what_is_drawn_is_distributed_as_it_is_said():
    one = Density(
        torch.tensor([0.3, 0.7]).log().expand(20_000, 2),
        torch.tensor([[-4.0, 0.0], [4.0, 1.0]]).expand(20_000, 2, 2),
        torch.tensor([[0.5, 1.0], [1.0, 0.1]]).expand(20_000, 2, 2),
    )
    drawn = one.draw(torch.Generator().manual_seed(1))
    torch.testing.assert_close(drawn.mean(dim=0), one.mean()[0], atol=0.05, rtol=0)
    left = drawn[:, 0] < 0
    assert abs(float(left.float().mean()) - 0.3) < 0.01, "the two Gaussians do not overlap there"
    torch.testing.assert_close(drawn[left].std(dim=0), one.scales[0, 0], atol=0.03, rtol=0)
    torch.testing.assert_close(drawn[~left].std(dim=0), one.scales[0, 1], atol=0.03, rtol=0)
    assert torch.equal(drawn, one.draw(torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("huge", [1e10, 1e30, 3e38])
def test_huge_numbers_give_no_nan(components, huge):
    head, loss_mask = Mixture(4, 2, components), torch.ones(1, 3, dtype=torch.bool)
    for y, targets in (
        (torch.randn(1, 3, 4), torch.full((1, 3, 2), huge)),
        (torch.randn(1, 3, 4) * 1e15, -torch.full((1, 3, 2), huge)),
        (torch.full((1, 3, 4), huge**0.5), torch.zeros(1, 3, 2)),
    ):
        y.requires_grad_()
        loss = head.loss(y, targets, loss_mask)
        loss.backward()
        assert loss.isfinite() and y.grad.isfinite().all() and head.weight.grad.isfinite().all()


def test_what_does_not_count_changes_nothing():
    head, y, targets = Mixture(4, 2, 3), torch.randn(2, 5, 4), torch.randn(2, 5, 2)
    loss_mask = torch.arange(5) < torch.tensor([[5], [2]])
    alone = (
        head.loss(y[:1], targets[:1], loss_mask[:1]) * 5 + head.loss(y[1:, :2], targets[1:, :2], loss_mask[1:, :2]) * 2
    )
    targets[1, 2:], y[1, 2:] = torch.nan, torch.nan
    torch.testing.assert_close(head.loss(y, targets, loss_mask), alone / 7)
    assert head.loss(y, targets, torch.zeros(2, 5, dtype=torch.bool)) == 0


def test_the_loss_is_taken_in_float32():
    head, y, targets, loss_mask = Mixture(4, 1, 2), torch.randn(2, 5, 4), torch.randn(2, 5, 1), torch.rand(2, 5) < 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = head.loss(y, targets, loss_mask)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, head.loss(y, targets, loss_mask), atol=2e-2, rtol=2e-2)


def test_the_mean_alone_is_a_gaussian_of_unit_variance():
    layer, y, targets = Gaussian(4, 2), torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    said = -layer.density(y).log_probability(targets).mean() - log(2 * pi)
    torch.testing.assert_close(layer.loss(y, targets, torch.ones(3, 5, dtype=torch.bool)), said)


def test_tokens_have_no_density():
    with pytest.raises(ConfigError, match="no density"):
        Categorical(4, 5).density(torch.zeros(1, 4))
    with pytest.raises(ConfigError, match=r"model\.components=2 is for numbers"):
        head(Tokens(5), 4, 2)


def test_a_sum_of_losses_is_taken_in_full():
    layer, y = head(Tokens(7), 6).to(torch.bfloat16), torch.randn(50, 40, 6).to(torch.bfloat16)
    targets = torch.randint(7, (50, 40))
    loss = layer.loss(y, targets, torch.ones_like(targets).bool())
    wanted = nn.functional.cross_entropy(layer(y).float().flatten(0, 1), targets.flatten())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, wanted)


def test_a_transform_is_a_linear_layer_its_activation_and_a_norm():
    layer, y = head(Tokens(5), 4, transform="gelu"), torch.randn(2, 3, 4)
    inner = nn.functional.gelu(y @ layer.transform.dense.weight.T + layer.transform.dense.bias)
    inner = (inner - inner.mean(dim=-1, keepdim=True)) / inner.var(dim=-1, keepdim=True, correction=0).sqrt()
    torch.testing.assert_close(layer(y), inner @ layer.weight.T + layer.bias, atol=1e-5, rtol=1e-5)
    assert head(Tokens(5), 4).state_dict().keys() == {"weight", "bias"}


def test_a_large_vocabulary_is_transformed_too():
    layer, y = head(Tokens(LARGE), 4, transform="relu"), torch.randn(1, 3, 4)
    targets = torch.randint(LARGE, (1, 3))
    wanted = nn.functional.cross_entropy(layer(y).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(layer.loss(y, targets, torch.ones(1, 3, dtype=torch.bool)), wanted)


@pytest.mark.parametrize("kind", [Vectors(2), UnalignedTokens(3)])
def test_a_transform_is_for_tokens_beside_the_inputs(kind):
    with pytest.raises(ConfigError, match=r"model\.transform=gelu is for tokens"):
        head(kind, 4, transform="gelu")
