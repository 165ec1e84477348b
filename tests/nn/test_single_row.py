"""The compiled recurrence of a single row is the loop, forward and back."""

import pytest
import torch

from unspool.nn.cell import cells
from unspool.nn.cells import lstm
from unspool.nn.unroll import unroll_loop


def case(size=5, width=13, length=21, seed=0):
    torch.manual_seed(seed)
    cell = cells.build("cell", "lstm", input_size=size, hidden_size=width)
    x = torch.randn(1, length, size, requires_grad=True)
    state = tuple(torch.randn(1, width, requires_grad=True) for _ in range(2))
    return cell, x, state


def outcome(run, cell, x, state):
    """Outputs, state, and every gradient of a sum that no two of them enter alike."""
    y, after = run(x, state)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    total = (y * weights).sum() + 2 * after[0].sum() + 3 * after[1].pow(2).sum()
    return [y, *after, *torch.autograd.grad(total, [x, *state, *cell.parameters()])]


@pytest.mark.parametrize(("width", "length"), [(1, 2), (7, 40), (8, 3), (13, 21), (64, 300)])
def test_it_is_the_loop_forward_and_back(width, length):
    cell, x, state = case(width=width, length=length)
    ours = outcome(lambda x, s: cell.fused(x, s, None), cell, x, state)
    plain = outcome(lambda x, s: unroll_loop(cell, x, s), cell, x, state)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=2e-5)


def test_it_is_used_for_a_single_row_that_learns_and_for_nothing_else(monkeypatch):
    calls = []
    monkeypatch.setattr(
        lstm, "single_row", lambda: lambda *a: calls.append(a) or (torch.zeros(21, 13), torch.zeros(13))
    )
    cell, x, state = case()
    cell.fused(x, state, None)
    assert len(calls) == 1
    with torch.no_grad():
        cell.fused(x, state, None)
    cell.fused(x.expand(2, -1, -1), tuple(s.expand(2, -1) for s in state), None)
    cell.fused(x, state, torch.ones(1, 21, dtype=torch.bool))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cell.fused(x, state, None)
    cell.double().fused(x.double(), tuple(s.double() for s in state), None)
    assert len(calls) == 1


def test_without_numba_torch_does_it(monkeypatch):
    monkeypatch.setitem(
        __import__("sys").modules, "unspool.nn.kernels.numba_lstm", None
    )  # importing it is an ImportError
    lstm.single_row.cache_clear()
    cell, x, state = case()
    y, _ = cell.fused(x, state, None)
    lstm.single_row.cache_clear()
    torch.testing.assert_close(y, unroll_loop(cell, x, state)[0])


@pytest.mark.parametrize("where", ["x", "state", "weight"])
def test_what_is_not_a_number_is_not_hidden(where):
    cell, x, state = case()
    with torch.no_grad():
        {"x": x, "state": state[1], "weight": cell.recurrent.weight}[where].view(-1)[0] = float("nan")
    y, _ = cell.fused(x, state, None)
    assert y.isnan().any()


def test_large_inputs_saturate():
    cell, x, state = case()
    y, _ = cell.fused(x * 1e4, state, None)
    torch.testing.assert_close(y, unroll_loop(cell, x * 1e4, state)[0], atol=1e-5, rtol=1e-5)
