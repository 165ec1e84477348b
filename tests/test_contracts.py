"""Whatever is registered must keep these promises; a new file is tested by existing."""

import pytest
import torch
from torch import nn

from helpers.models import CASES
from unspool.batch import Tokens
from unspool.checks.selftest import CHECKS
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.nn.heads import head
from unspool.nn.part import select, tensors
from unspool.nn.unroll import unroll, unroll_loop

B, T, D, H = 3, 7, 4, 5


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=lambda s: s.name)
def test_a_promise_is_kept(case, check):
    function, tolerance = CHECKS[check]
    assert function(case) <= tolerance


def test_everything_on_the_shelves_is_a_case():
    names = {case.name for case in CASES}
    assert {f"cell {kind}" for kind in cells.kinds()} <= names
    assert set(cores.kinds()) - {"recurrent"} <= names


REFERENCES = {
    "elman": lambda: nn.RNN(D, H, batch_first=True),
    "gru": lambda: nn.GRU(D, H, batch_first=True),
    "lstm": lambda: nn.LSTM(D, H, batch_first=True),
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("fast", [True, False], ids=["fused", "loop"])
def test_a_cell_equals_the_one_in_torch(kind, fast):
    cell, theirs = cells.build("cell", kind, input_size=D, hidden_size=H), REFERENCES[kind]()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(cell.input.weight)
        theirs.weight_hh_l0.copy_(cell.recurrent.weight)
        theirs.bias_ih_l0.copy_(cell.input.bias)
        theirs.bias_hh_l0.copy_(0 if cell.recurrent.bias is None else cell.recurrent.bias)
    x = torch.randn(B, T, D)
    ours, state = (unroll if fast else unroll_loop)(cell, x, cell.start(x))
    wanted, last = theirs(x)
    torch.testing.assert_close(ours, wanted)
    for mine, other in zip(state, last if isinstance(last, tuple) else (last,), strict=True):
        torch.testing.assert_close(mine, other.squeeze(0))


def test_the_peephole_lstm_equals_a_hand_written_miniature():
    cell = cells.build("cell", "peephole", input_size=1, hidden_size=1)
    w, u, b, p = (t.flatten().tolist() for t in (cell.input.weight, cell.recurrent.weight, cell.input.bias, cell.peep))

    def sigmoid(value):
        return 1 / (1 + torch.tensor(-value, dtype=torch.float64).exp().item())

    h = c = 0.0
    xs = [0.5, -1.0, 2.0]
    for x in xs:
        i, f, g, o = (w[k] * x + u[k] * h + b[k] for k in range(4))
        new = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * torch.tensor(g).tanh().item()
        h, c = sigmoid(o + p[2] * new) * torch.tensor(new).tanh().item(), new
    x = torch.tensor(xs)[None, :, None]
    _, (hidden, memory) = unroll_loop(cell, x, cell.start(x))
    assert hidden.item() == pytest.approx(h, abs=1e-6)
    assert memory.item() == pytest.approx(c, abs=1e-6)


def test_an_elman_step_is_the_stacked_form():
    cell = cells.build("cell", "elman", input_size=D, hidden_size=H)
    x, h = torch.randn(B, D), torch.randn(B, H)
    stacked = torch.cat([cell.input.weight, cell.recurrent.weight], dim=1)  # W_h = [W_hx W_hh]
    expected = (torch.cat([x, h], dim=1) @ stacked.T + cell.input.bias).tanh()
    torch.testing.assert_close(cell.tick(cell.read(x), (h,))[0], expected)


def test_an_identity_relu_net_keeps_what_it_holds():
    cell = cells.build(
        "cell", {"kind": "elman", "activation": "relu", "initial": "identity"}, input_size=D, hidden_size=H
    )
    h = torch.rand(B, H)
    with torch.no_grad():
        cell.input.weight.zero_(), cell.input.bias.zero_()
    torch.testing.assert_close(unroll(cell, torch.randn(B, 50, D), (h,))[1][0], h)


def open_or_shut(i, f, o):
    """An LSTM whose gates are forced open (+20) or shut (-20), and whose candidate is tanh(x)."""
    cell = cells.build("cell", "lstm", input_size=1, hidden_size=1)
    with torch.no_grad():
        cell.recurrent.weight.zero_()
        cell.input.weight.copy_(torch.tensor([[0.0], [0.0], [1.0], [0.0]]))
        cell.input.bias.copy_(torch.tensor([20.0 * i, 20.0 * f, 0.0, 20.0 * o]))
    return cell


@pytest.mark.parametrize(
    ("i", "f", "o", "memory", "shown"),
    [
        pytest.param(-1, 1, -1, 0.7, False, id="output off"),
        pytest.param(-1, 1, 1, 0.7, True, id="output on"),
        pytest.param(-1, -1, 1, 0.0, True, id="reset"),
        pytest.param(-1, 1, 1, 0.7, True, id="keep"),
        pytest.param(1, -1, 1, torch.tensor(2.0).tanh().item(), True, id="write"),
    ],
)
def test_gates_are_switches(i, f, o, memory, shown):
    cell = open_or_shut(i, f, o)
    x, state = torch.tensor([[2.0]]), (torch.tensor([[0.3]]), torch.tensor([[0.7]], requires_grad=True))
    h, c = cell.tick(cell.read(x), state)
    assert c.item() == pytest.approx(memory, abs=1e-6)
    assert h.item() == pytest.approx(torch.tensor(memory).tanh().item() if shown else 0.0, abs=1e-6)
    (slope,) = torch.autograd.grad(c.sum(), state[1])
    assert slope.item() == pytest.approx(1.0 if f > 0 else 0.0, abs=1e-6)  # dc_t / dc_{t-1} = f


def test_an_lstm_has_four_times_the_weights_of_an_elman_net():
    sizes = [
        sum(p.numel() for p in cells.build("cell", k, input_size=8, hidden_size=4).parameters())
        for k in ("elman", "lstm")
    ]
    assert [sizes[0] + 4, sizes[1] + 16] == [56, 224]  # the lecture's torch cells have a second bias


def test_the_gradient_does_not_cross_a_detached_state():
    cell = cells.build("cell", "gru", input_size=D, hidden_size=H)
    first, second = torch.randn(1, 4, D, requires_grad=True), torch.randn(1, 4, D)
    _, state = unroll(cell, first, cell.start(first))
    y, _ = unroll(cell, second, tuple(s.detach() for s in state))
    assert torch.autograd.grad(y.sum(), first, allow_unused=True) == (None,)


def test_an_unrolled_net_is_a_deep_net_with_shared_weights():
    cell = cells.build("cell", "elman", input_size=D, hidden_size=H)
    x = torch.randn(B, 3, D)
    y, _ = unroll(cell, x, cell.start(x))
    y[:, -1].sum().backward()
    shared = cell.recurrent.weight.grad.clone()
    copies = [cell.recurrent.weight.detach().clone().requires_grad_() for _ in range(3)]
    h = torch.zeros(B, H)
    for t, weight in enumerate(copies):
        h = (cell.input(x[:, t]) + h @ weight.T).tanh()
    h.sum().backward()
    torch.testing.assert_close(shared, sum(weight.grad for weight in copies))


def test_the_number_of_weights_does_not_depend_on_time_and_order_matters():
    cell = cells.build("cell", "lstm", input_size=D, hidden_size=H)
    x = torch.randn(1, 50, D)
    y, _ = unroll(cell, x, cell.start(x))
    shuffled, _ = unroll(cell, x[:, torch.randperm(50)], cell.start(x))
    assert y.shape == (1, 50, H)
    assert (y[:, -1] - shuffled[:, -1]).abs().max() > 1e-3


def test_both_ways_a_token_sees_the_end():
    core = cores.build("core", {"kind": "recurrent", "bidirectional": True}, width=6)
    x = torch.randn(1, T, 6)
    changed = x.clone()
    changed[:, -1] += 1
    assert not core.causal
    difference = (core(x, core.start(x))[0] - core(changed, core.start(changed))[0]).abs()
    assert (difference[:, 0, :3] == 0).all() and (difference[:, 0, 3:] > 0).all()


def test_a_state_can_be_named_and_chosen():
    core = cores.build("core", {"kind": "recurrent", "layers": 2}, width=4)
    x = torch.randn(3, 5, 4)
    _, state = core(x, core.start(x))
    assert [name for name, _ in tensors(state)] == ["0.0.0", "0.0.1", "1.0.0", "1.0.1"]
    torch.testing.assert_close(select(state, torch.tensor([2]))[1][0][0], state[1][0][0][2:])


def test_shapes_are_checked_at_the_first_calls_of_each_test_and_now_and_then():
    """The suite itself: a tensor of a wrong shape is refused, and `helpers.shape_checks` checks what it says."""
    from helpers.shape_checks import EVERY, FIRST, sampled

    seen = []
    call = sampled(lambda: seen.append("plain"), lambda: seen.append("checked"))
    for _ in range(2 * EVERY):
        call()
    assert seen.count("checked") == FIRST + sum(FIRST < number <= 2 * EVERY for number in (EVERY, 2 * EVERY))
    with pytest.raises(Exception, match="ype-check"):
        head(Tokens(5), width=3).loss(torch.zeros(1, 2, 3), torch.zeros(1, 2).long(), torch.ones(2, 2).bool())
