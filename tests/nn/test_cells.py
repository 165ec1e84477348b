"""Cells: how their weights begin, and what a mask and a low precision do to their states."""

import pytest
import torch
from torch import nn

from unspool.nn.cell import cells
from unspool.nn.unroll import unroll, unroll_loop

B, T, D, H = 4, 6, 3, 5
MASK = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0]]).bool()
KINDS = [*cells.kinds(), {"kind": "elman", "activation": "relu"}]
every_cell = pytest.mark.parametrize("kind", KINDS, ids=str)


def some_state(cell):
    return tuple(torch.rand_like(s) for s in cell.start(torch.zeros(B, D)))


@pytest.mark.parametrize("kind", ["lstm", "peephole"])
def test_a_new_lstm_remembers_by_default(kind):
    cell = cells.build("cell", kind, input_size=D, hidden_size=H)
    i, f, g, o = cell.input.bias.tolist()[::H]
    assert (i, f, g, o) == (0, 1, 0, 0)
    assert cell.input.bias.view(4, H).std(dim=1).eq(0).all()


def test_how_an_elman_net_begins():
    def recurrent(initial):
        options = {"kind": "elman", "initial": initial}
        return cells.build("cell", options, input_size=D, hidden_size=16).recurrent.weight.detach()

    identity, orthogonal, uniform = map(recurrent, ("identity", "orthogonal", "uniform"))
    assert torch.equal(identity, torch.eye(16))
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(16))
    assert not torch.equal(orthogonal, torch.eye(16))
    assert 0.2 < uniform.abs().max() <= 0.25 and (uniform @ uniform.T - torch.eye(16)).abs().max() > 0.1


@pytest.mark.parametrize("run", [unroll, unroll_loop])
def test_a_relu_net_equals_the_one_in_torch(run):
    cell = cells.build("cell", {"kind": "elman", "activation": "relu"}, input_size=D, hidden_size=H)
    theirs = nn.RNN(D, H, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(cell.input.weight), theirs.weight_hh_l0.copy_(cell.recurrent.weight)
        theirs.bias_ih_l0.copy_(cell.input.bias), theirs.bias_hh_l0.zero_()
    x = torch.randn(B, T, D)
    torch.testing.assert_close(run(cell, x, cell.start(x))[0], theirs(x)[0])


@every_cell
@pytest.mark.parametrize("run", [unroll, unroll_loop])
def test_a_masked_row_goes_on_from_its_own_state_and_shows_zero_elsewhere(kind, run):
    cell, x = cells.build("cell", kind, input_size=D, hidden_size=H), torch.randn(B, T, D)
    before = some_state(cell)
    y, after = run(cell, x, before, MASK)
    assert (y[~MASK] == 0).all()
    for row, there in enumerate(MASK):
        mine = tuple(s[row : row + 1] for s in before)
        if there.any():
            alone, mine = unroll_loop(cell, x[row : row + 1, there], mine)
            torch.testing.assert_close(y[row, there], alone[0])
        for ours, theirs in zip(after, mine, strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs)


def test_a_state_keeps_its_precision_in_a_low_one():
    cell, x = cells.build("cell", "lstm", input_size=D, hidden_size=H), torch.randn(B, T, D)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = unroll(cell, x, cell.start(x))
    assert {y.dtype, *(s.dtype for s in state)} == {torch.float32}
