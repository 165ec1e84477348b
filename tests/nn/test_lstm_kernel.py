"""The compiled recurrence is the loop, forward and back, for any number of rows and threads."""

import sys

import pytest
import torch

from unspool.nn.cell import cells
from unspool.nn.cells import lstm
from unspool.nn.kernels.lstm import Layer, add_product, panels
from unspool.nn.kernels.workers import in_parts
from unspool.nn.unroll import unroll_loop


def case(size=5, width=13, length=21, rows=1, seed=0):
    torch.manual_seed(seed)
    cell = cells.build("cell", "lstm", input_size=size, hidden_size=width)
    x = torch.randn(rows, length, size, requires_grad=True)
    state = tuple(torch.randn(rows, width, requires_grad=True) for _ in range(2))
    return cell, x, state


def outcome(run, cell, x, state):
    """Outputs, state, and every gradient of a sum that no two of them enter alike."""
    y, after = run(x, state)
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    total = (y * weights).sum() + 2 * after[0].sum() + 3 * after[1].pow(2).sum()
    return [y, *after, *torch.autograd.grad(total, [x, *state, *cell.parameters()])]


@pytest.fixture
def everywhere(monkeypatch):
    """As on a processor without AVX-512, where the kernel runs all batches."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


@pytest.mark.parametrize(
    ("width", "length", "rows"),
    [(1, 2, 1), (7, 40, 1), (8, 3, 2), (13, 21, 3), (64, 300, 1), (16, 9, 4), (20, 9, 5), (33, 12, 6), (13, 5, 23)],
)
def test_it_is_the_loop_forward_and_back(everywhere, width, length, rows):
    cell, x, state = case(width=width, length=length, rows=rows)
    ours = outcome(lambda x, s: cell.fused(x, s, None), cell, x, state)
    plain = outcome(lambda x, s: unroll_loop(cell, x, s), cell, x, state)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=3e-5, rtol=3e-5)


def test_padding_changes_nothing(everywhere):
    cell, x, state = case(rows=4)
    mask = torch.arange(21) < torch.tensor([[21], [0], [7], [20]])
    ours = outcome(lambda x, s: cell.fused(x, s, mask), cell, x, state)
    plain = outcome(lambda x, s: unroll_loop(cell, x, s, mask), cell, x, state)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, atol=3e-5, rtol=3e-5)
    assert all(torch.equal(after[1], before[1]) for after, before in zip(ours[1:3], state, strict=True))  # no position


def test_a_row_is_the_same_alone_in_a_batch_and_on_threads(everywhere):
    cell, x, state = case(rows=11, width=20)

    def hidden(rows, threads):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        y, _ = cell.fused(x[rows], tuple(s[rows] for s in state), None)
        torch.set_num_threads(before)
        return y

    together, shared = hidden(slice(None), 1), hidden(slice(None), 2)
    assert torch.equal(together, shared)
    read = cell.input(x.transpose(0, 1))  # torch's product may round by the size of the batch, the recurrence does not
    gates = torch.nn.functional.pad(read, (0, -read.shape[-1] % 16)).detach()
    weight = panels(cell.recurrent.weight.t()).numpy()
    for rows in (slice(0, 1), slice(3, 7), slice(0, 11)):
        whole, part = gates[0].clone(), gates[0, rows].clone()
        add_product(weight, state[0].detach().numpy(), whole.numpy(), torch.zeros(64).numpy())
        add_product(weight, state[0][rows].detach().contiguous().numpy(), part.numpy(), torch.zeros(64).numpy())
        assert torch.equal(whole[rows], part)


@pytest.mark.parametrize(("rows", "capability", "used"), [(1, "AVX512", True), (2, "AVX512", False), (2, "AVX2", True)])
def test_it_is_used_in_training_where_it_is_faster_and_for_nothing_else(monkeypatch, rows, capability, used):
    calls = []
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(lstm, "compiled_kernel", lambda: lambda *a: calls.append(a) or torch.lstm(*a))
    cell, x, state = case(rows=rows)
    cell.fused(x, state, None)
    assert len(calls) == used
    calls.clear()
    with torch.no_grad():
        cell.fused(x, state, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cell.fused(x, state, None)
    cell.double().fused(x.double(), tuple(s.double() for s in state), None)
    assert not calls


def test_without_numba_torch_does_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "unspool.nn.kernels.lstm", None)  # importing it is an ImportError
    monkeypatch.delattr(sys.modules["unspool.nn.kernels"], "lstm")
    lstm.compiled_kernel.cache_clear()
    cell, x, state = case()
    y, _ = cell.fused(x, state, None)
    lstm.compiled_kernel.cache_clear()
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


def test_outputs_that_are_changed_do_not_change_the_gradient_unseen():
    cell, x, state = case()
    y, _, _ = Layer.apply(x, cell.input.weight, cell.recurrent.weight, cell.input.bias, *state)
    with pytest.raises(RuntimeError, match=r"inplace operation|in-place"):
        y.add_(1).sum().backward()


def test_an_error_in_a_part_is_raised():
    def fail(first, last):
        if first:
            raise ValueError("the second part")

    with pytest.raises(ValueError, match="second part"):
        in_parts(fail, 8, 2)
