"""Muon against torch's own, and its float32 form against the exact orthogonal factor."""

import pytest
import torch
from torch import nn

from unspool.training.muon import Muon, orthogonalized

SHAPES = [(8, 8), (6, 20), (20, 6), (40, 10), (10, 40)]


def pair(shape):
    torch.manual_seed(0)
    ours = nn.Parameter(torch.randn(shape))
    return ours, nn.Parameter(ours.detach().clone())


@pytest.mark.parametrize("shape", SHAPES)
def test_in_bfloat16_it_is_torchs_bit_for_bit(shape):
    ours, theirs = pair(shape)
    one = Muon([ours], 0.01, weight_decay=0.1, bfloat16=True)
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        one.step()
        other.step()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_it_is_the_same_within_the_rounding_of_bfloat16(shape):
    ours, theirs = pair(shape)
    one, other = Muon([ours], 0.01), Muon([theirs], 0.01, bfloat16=True)
    for _ in range(5):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        one.step()
        other.step()
    torch.testing.assert_close(ours, theirs, atol=3e-3, rtol=0)


@pytest.mark.parametrize("shape", [*SHAPES, (300, 30)])
@pytest.mark.parametrize("decades", [0, 3])
def test_in_float32_it_is_the_newton_schulz_iteration_of_float64(shape, decades):
    torch.manual_seed(1)
    matrix = torch.randn(shape) * torch.logspace(0, -decades, shape[1])
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    torch.testing.assert_close(orthogonalized(matrix), x.float(), atol=1e-3, rtol=0)


def test_a_matrix_of_low_rank_or_of_zeros_has_a_finite_update():
    assert orthogonalized(torch.zeros(6, 4)).equal(torch.zeros(6, 4))
    one = orthogonalized(torch.ones(40, 30))
    torch.testing.assert_close(one, one[0, 0].expand(40, 30), atol=1e-5, rtol=0)
    assert 0.6 < float(one.norm()) < 1.3


def test_directions_are_kept_and_sizes_made_alike():
    u, _, vt = torch.linalg.svd(torch.randn(20, 5, generator=torch.Generator().manual_seed(0)), full_matrices=False)
    sizes = torch.tensor([3.0, 2.0, 1.0, 0.5, 0.1])
    inner = u.T @ orthogonalized(u * sizes @ vt) @ vt.T
    assert ((inner.diagonal() > 0.6) & (inner.diagonal() < 1.3)).all()
    assert (inner - torch.diag(inner.diagonal())).abs().max() < 1e-4


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))], 0.01)
