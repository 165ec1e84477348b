"""Cells: how their weights begin, and what a mask and a low precision do to their states."""

import pytest
import torch
from torch import nn

from unspool import build
from unspool.batch import Tokens
from unspool.nn.cell import cells
from unspool.nn.cells.lstm import LSTM
from unspool.nn.unroll import unroll, unroll_loop
from unspool.recipe import load_recipe

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


@pytest.mark.parametrize("biases", [1, 2])
def test_an_lstm_is_the_librarys_cell_weight_for_weight(biases):
    """Step by step, in one kernel, and the compiled one for a single row."""
    torch.manual_seed(0)
    own, library = LSTM(3, 5, biases=biases), torch.nn.LSTMCell(3, 5)
    with torch.no_grad():
        own.input.weight.copy_(library.weight_ih)
        own.input.bias.copy_(library.bias_ih if biases == 2 else library.bias_ih + library.bias_hh)
        own.recurrent.weight.copy_(library.weight_hh)
        if biases == 2:
            own.recurrent.bias.copy_(library.bias_hh)
            assert sum(p.numel() for p in own.parameters()) == sum(p.numel() for p in library.parameters())
    for rows in (1, 2):
        x = torch.randn(rows, 7, 3)
        wanted, state, ours = [], (torch.zeros(rows, 5), torch.zeros(rows, 5)), own.start(x[:, 0])
        for tick in range(7):
            state = library(x[:, tick], state)
            ours = own.tick(own.read(x[:, tick]), ours)
            wanted.append(state[0])
            torch.testing.assert_close(ours, state, rtol=1e-6, atol=1e-6)
        y, last = own.fused(x, own.start(x[:, 0]), None)
        torch.testing.assert_close(y, torch.stack(wanted, dim=1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(last, state, rtol=1e-5, atol=1e-6)
        y.sum().backward()
        grads = [p.grad.clone() for p in own.parameters()]
        own.zero_grad(), torch.stack(wanted, dim=1).sum().backward()
        theirs = [library.weight_ih.grad, library.bias_ih.grad, library.weight_hh.grad, library.bias_hh.grad]
        for mine, yours in zip(grads, theirs if biases == 2 else theirs[:3], strict=True):
            torch.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-5)
        library.zero_grad()


@pytest.mark.parametrize(("biases", "weights"), [(1, 140_148), (2, 140_660)])
def test_the_lecturers_character_rnn_has_as_many_weights(biases, weights):
    recipe = load_recipe("char-rnn-stat453", [f'core.cell={{kind="lstm", biases={biases}}}'])
    model = build.model(recipe, Tokens(100), Tokens(100))
    assert sum(p.numel() for p in model.parameters()) == weights
