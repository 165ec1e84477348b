"""The compiled recurrences are the loop, forward and back, for any number of rows and threads."""

import sys

import pytest
import torch

from unspool.nn.cell import cells
from unspool.nn.kernels import training
from unspool.nn.kernels.lstm import Layer
from unspool.nn.kernels.products import NOTHING, add_product, panels
from unspool.nn.kernels.workers import in_parts
from unspool.nn.unroll import unroll_loop

CELLS = {
    "lstm": {"kind": "lstm"},
    "two-biases": {"kind": "lstm", "biases": 2},
    "gru": {"kind": "gru"},
    "elman-tanh": {"kind": "elman"},
    "elman-relu": {"kind": "elman", "activation": "relu", "initial": "uniform"},
}
every_cell = pytest.mark.parametrize("name", CELLS)


def case(name="lstm", size=5, width=13, length=21, rows=1, seed=0):
    torch.manual_seed(seed)
    cell = cells.build("cell", dict(CELLS[name]), input_size=size, hidden_size=width)
    x = torch.randn(rows, length, size, requires_grad=True)
    state = tuple(torch.randn(rows, width, requires_grad=True) for _ in cell.start(x))
    return cell, x, state


def outcome(run, cell, x, state):
    """Outputs, state, and every gradient of a sum that no two of them enter alike."""
    y, after = run(x, state)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    total = (y * weights).sum() + sum((k + 2) * s.pow(2).sum() for k, s in enumerate(after))
    return [y, *after, *torch.autograd.grad(total, [x, *state, *cell.parameters()])]


def assert_it_is_the_loop(cell, x, state, mask=None):
    ours = outcome(lambda x, s: cell.fused(x, s, mask), cell, x, state)
    plain = outcome(lambda x, s: unroll_loop(cell, x, s, mask), cell, x, state)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=5e-5, rtol=5e-5)
    return ours


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """As on a processor without AVX-512, where the kernel of the LSTM runs all batches."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.fixture
def calls(monkeypatch):
    """The names of the kernels that are called."""
    found = []
    note = {name: lambda *a, n=name, k=kernel: found.append(n) or k(*a) for name, kernel in kernels().items()}
    monkeypatch.setattr(training, "compiled_kernels", lambda: note)
    return found


def kernels():
    assert len(training.compiled_kernels()) == 4
    return training.compiled_kernels()


@every_cell
@pytest.mark.parametrize(
    ("width", "length", "rows"),
    [(1, 2, 1), (7, 40, 1), (8, 3, 2), (13, 21, 3), (64, 100, 1), (16, 9, 4), (20, 9, 5), (33, 12, 6), (13, 5, 23)],
)
def test_it_is_the_loop_forward_and_back(calls, name, width, length, rows):
    assert_it_is_the_loop(*case(name, width=width, length=length, rows=rows))
    assert len(calls) == 1


@every_cell
def test_padding_changes_nothing(calls, name):
    cell, x, state = case(name, rows=4)
    mask = torch.arange(21) < torch.tensor([[21], [0], [7], [20]])
    _, *found = assert_it_is_the_loop(cell, x, state, mask)
    for after, before in zip(found[: len(state)], state, strict=True):
        assert torch.equal(after[1], before[1])  # a row without a position
    assert len(calls) == 1


@every_cell
def test_threads_change_no_bit(name):
    cell, x, state = case(name, rows=11, width=20)

    def hidden(threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        found = cell.fused(x, state, None)[0]
        torch.set_num_threads(before)
        return found

    assert torch.equal(hidden(1), hidden(2))


def test_a_row_of_a_product_is_the_same_alone_and_with_others():
    torch.manual_seed(0)
    weight, x, y = panels(torch.randn(20, 80)).numpy(), torch.randn(11, 20), torch.randn(11, 80)
    whole = y.clone()
    add_product(weight, x.numpy(), whole.numpy(), NOTHING)
    for rows in (slice(0, 1), slice(3, 7), slice(2, 8), slice(0, 10)):
        part = y[rows].clone()
        add_product(weight, x[rows].numpy(), part.numpy(), NOTHING)
        assert torch.equal(whole[rows], part)


@pytest.mark.parametrize(("rows", "capability", "used"), [(1, "AVX512", 1), (2, "AVX512", 0), (2, "AVX2", 1)])
def test_that_of_the_lstm_is_used_where_it_is_faster(calls, monkeypatch, rows, capability, used):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    cell, x, state = case(rows=rows)
    cell.fused(x, state, None)
    assert calls == ["lstm"] * used


@every_cell
def test_it_is_used_in_training_in_float32_and_for_nothing_else(calls, name):
    cell, x, state = case(name)
    with torch.no_grad():
        cell.fused(x, state, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cell.fused(x, state, None)
    cell.double().fused(x.double(), tuple(s.double() for s in state), None)
    assert not calls


@every_cell
def test_without_numba_torch_does_it(monkeypatch, name):
    for module in ("elman", "gru", "lstm"):
        monkeypatch.setitem(sys.modules, f"unspool.nn.kernels.{module}", None)  # importing it is an ImportError
        monkeypatch.delattr(sys.modules["unspool.nn.kernels"], module)
    training.compiled_kernels.cache_clear()
    cell, x, state = case(name)
    y, _ = cell.fused(x, state, None)
    assert training.compiled_kernels() == {}
    training.compiled_kernels.cache_clear()
    torch.testing.assert_close(y, unroll_loop(cell, x, state)[0])


@every_cell
@pytest.mark.parametrize("where", ["x", "state", "weight"])
def test_what_is_not_a_number_is_not_hidden(name, where):
    cell, x, state = case(name)
    with torch.no_grad():
        {"x": x, "state": state[0], "weight": cell.recurrent.weight}[where].view(-1)[0] = float("nan")
    y, _ = cell.fused(x, state, None)
    assert y.isnan().any()


@pytest.mark.parametrize("name", ["lstm", "gru", "elman-tanh"])
def test_large_inputs_saturate(name):
    cell, x, state = case(name)
    y, _ = cell.fused(x * 1e4, state, None)
    plain = unroll_loop(cell, x * 1e4, state)[0]
    torch.testing.assert_close(y, plain, atol=1e-4, rtol=1e-4)  # sums of thousands, in another order


def test_outputs_that_are_changed_do_not_change_the_gradient_unseen():
    cell, x, state = case()
    y, _, _ = Layer.apply(x, cell.input.weight, cell.recurrent.weight, cell.input.bias, *state)
    with pytest.raises(RuntimeError, match=r"inplace operation|in-place"):
        y.add_(1).sum().backward()


@every_cell
def test_a_gradient_may_be_asked_for_twice(name):
    cell, x, state = case(name, rows=4)
    y, _ = cell.fused(x, state, None)
    first, second = (torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_an_error_in_a_part_is_raised():
    def fail(first, last):
        if first:
            raise ValueError("the second part")

    with pytest.raises(ValueError, match="second part"):
        in_parts(fail, 8, 2)
