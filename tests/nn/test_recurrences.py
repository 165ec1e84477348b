"""The recurrences of today against a few lines of plain floats each, and their parallel forms against the loop."""

from functools import partial
from math import exp, inf, log, sqrt, tanh

import pytest
import torch

from unspool.errors import ConfigError
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.scan import BUSY, scan, scan_of_logarithms, scan_of_maxima, settle, where_present
from unspool.nn.linear_attention import FADE, recall, recall_all, split_heads
from unspool.nn.part import map_state, tensors
from unspool.nn.short_convolution import ShortConv
from unspool.nn.unroll import unroll, unroll_loop

PARALLEL = ["mingru", "minlstm", "rglru", "mlstm", "ssd", "gla"]
B, D, H = 3, 5, 8


def build(kind, size=H, **options):
    return cells.build("cell", {"kind": kind, **options}, input_size=D, hidden_size=size)


def some_state(cell, rows=B):
    """What the cell remembers after some inputs: a start that is not zero and is possible."""
    return map_state(
        torch.Tensor.detach, unroll_loop(cell, torch.randn(rows, 6, D), cell.start(torch.zeros(rows, 1)))[1]
    )


# Scans


def slow_scan(a, b, h):
    outputs = []
    for t in range(a.shape[1]):
        h = a[:, t] * h + b[:, t]
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@pytest.mark.parametrize("busy", [1, 10**6], ids=["one after another", "in chunks"])
@pytest.mark.parametrize("time", [1, 2, 17, 64, 65, 257])
def test_a_scan_is_the_loop_with_gradients(time, busy, monkeypatch):
    monkeypatch.setitem(BUSY, "cpu", busy)
    a, b, h = torch.rand(2, time, 3), torch.randn(2, time, 3), torch.randn(2, 3)
    a[torch.rand(a.shape) < 0.2] = 0.0
    a[torch.rand(a.shape) < 0.2] = 1.0
    weights, results = torch.randn(2, time, 3), []
    for function in (scan, slow_scan):
        given = [v.clone().requires_grad_() for v in (a, b, h)]
        y = function(*given)
        results.append([y, *torch.autograd.grad((y * weights).sum(), given)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_scan_of_all_or_nothing(share):
    a, b, h = torch.full((1, 100, 1), share), torch.ones(1, 100, 1), torch.full((1, 1), 7.0)
    y = scan(a, b, h).flatten()
    torch.testing.assert_close(y, torch.arange(8.0, 108.0) if share else torch.ones(100), rtol=0, atol=0)


def test_the_gradient_of_a_scan_is_true():
    given = [torch.rand(2, 90, 2, dtype=torch.float64), torch.randn(2, 90, 2, dtype=torch.float64)]
    given.append(torch.randn(2, 2, dtype=torch.float64))
    assert torch.autograd.gradcheck(scan, [v.requires_grad_() for v in given])


def test_a_scan_of_logarithms_is_a_scan():
    a, b, h = torch.rand(2, 300, 3).clamp(min=1e-3), torch.rand(2, 300, 3), torch.rand(2, 3)
    torch.testing.assert_close(scan_of_logarithms(a.log(), b.log(), h.log()), scan(a, b, h), rtol=1e-3, atol=0)


@pytest.mark.parametrize("time", [1, 2, 3, 64, 65])
def test_a_scan_of_maxima_is_the_loop(time):
    g, i, m = -torch.rand(2, time, 3), torch.randn(2, time, 3), torch.randn(2, 3)
    i[:, ::2] = -inf
    found = scan_of_maxima(g, i, m)
    for t in range(time):
        m = torch.maximum(g[:, t] + m, i[:, t])
        torch.testing.assert_close(found[:, t], m)


def test_what_is_not_present_is_left_out():
    mask = torch.tensor([[True, False, True], [False, False, False]])
    y, h = torch.arange(1.0, 7.0).view(2, 3, 1), torch.tensor([[8.0], [9.0]])
    kept, last = settle(y, h, mask)
    assert kept.flatten().tolist() == [1, 0, 3, 0, 0, 0] and last.flatten().tolist() == [3, 9]
    assert where_present(mask, y, -1.0).flatten().tolist() == [1, -1, 3, -1, -1, -1]


# Parallel = loop


def ragged(time):
    """Padding right, left, anywhere, and a row of nothing."""
    lengths = torch.tensor([time, time // 2, 0])[:, None]
    right = torch.arange(time) < lengths
    return [None, right, right.flip(1), torch.rand(B, time) < 0.5]


def both_ways(cell, x, state, mask):
    results = []
    for run in (partial(unroll_loop, cell), cell.fused):
        inputs = x.clone().requires_grad_()
        before = map_state(lambda s: s.clone().requires_grad_(), state)
        y, after = run(inputs, before, mask)
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        hidden = torch.randn(after[0].shape, generator=torch.Generator().manual_seed(2))
        starts = [before[0] if len(before) == 1 else before[1]]  # h, or the memory of those that do not look at h
        loss = (y * weights).sum() + (after[0] * hidden).sum()
        grads = torch.autograd.grad(loss, [inputs, *starts, *cell.parameters()], allow_unused=True)
        grads = [torch.zeros(()) if g is None else g / max(1.0, float(g.abs().max())) for g in grads]
        results.append(([y, *(s for _, s in tensors(after))], grads))
    return results


@pytest.mark.parametrize("time", [1, 2, 17, 64, 65, 257])
@pytest.mark.parametrize("kind", PARALLEL)
def test_the_parallel_form_is_the_loop(kind, time):
    cell = build(kind)
    state = some_state(cell)
    for mask in ragged(time):
        (slow, slow_grads), (fast, fast_grads) = both_ways(cell, torch.randn(B, time, D), state, mask)
        for ours, theirs in zip(fast, slow, strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
        for ours, theirs in zip(fast_grads, slow_grads, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 20.0], ids=["usual inputs", "large inputs"])
@pytest.mark.parametrize("kind", PARALLEL)
def test_the_parallel_form_is_true_for_4096_steps(kind, scale):
    cell, x = build(kind), scale * torch.randn(1, 4096, D)
    with torch.no_grad():
        fast = cell.fused(x, cell.start(x), None)
        slow = None if scale > 1 else unroll_loop(cell, x, cell.start(x))  # where it rounds badly itself it is no judge
        exact = unroll_loop(cell.double(), x.double(), cell.start(x.double()))
    for reference in (slow, exact):
        for (_, ours), (_, theirs) in zip(tensors(fast), tensors(reference or exact), strict=True):
            size = max(1.0, float(theirs.abs().max()))
            assert (ours.double() - theirs.double()).abs().max() <= 5e-5 * size


@pytest.mark.parametrize("kind", [*PARALLEL, "slstm"])
def test_gates_forced_open_or_shut_give_no_nan(kind):
    cell = build(kind)
    for number in (1e4, -1e4):
        with torch.no_grad():
            cell.input.bias.fill_(number)
        x = torch.randn(2, 70, D, requires_grad=True)
        y, state = unroll(cell, x, cell.start(x))
        grads = torch.autograd.grad(y.sum(), [x, *cell.parameters()])
        assert all(v.isfinite().all() for v in (y, *grads, *(s for _, s in tensors(state))))


@pytest.mark.parametrize("kind", PARALLEL)
def test_half_precision_stays_near(kind):
    cell, x = build(kind), torch.randn(B, 100, D)
    with torch.no_grad():
        exact, _ = cell.fused(x, cell.start(x), None)
        with torch.autocast("cpu", torch.bfloat16):
            (fast, state), (slow, _) = cell.fused(x, cell.start(x), None), unroll_loop(cell, x, cell.start(x))
    assert all(s.dtype == torch.float32 for _, s in tensors(state))
    torch.testing.assert_close(fast, slow, atol=1e-3, rtol=1e-3)  # the gates are read alike; all sums are in full
    assert (fast - exact).abs().median() < 0.02


@pytest.mark.parametrize("kind", PARALLEL)
def test_the_state_does_not_grow(kind):
    cell = build(kind)
    sizes = {
        sum(s.numel() for _, s in tensors(unroll(cell, x, cell.start(x))[1]))
        for x in (torch.randn(1, time, D) for time in (1, 10, 100))
    }
    assert len(sizes) == 1


# Miniatures: one number wide, plain floats


def sigmoid(value):
    return 1 / (1 + exp(-value))


def positive(value):
    return value + 0.5 if value >= 0 else sigmoid(value)


def silu(value):
    return value * sigmoid(value)


XS = [0.5, -1.0, 2.0, 0.3]


def narrow(kind, size=1, **options):
    """A cell one number wide in float64, its input weights and biases as lists, and its outputs for XS."""
    cell = cells.build("cell", {"kind": kind, **options}, input_size=1, hidden_size=size).double()
    x = torch.tensor(XS, dtype=torch.float64)[None, :, None]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn_like(parameter) / 2)
        y = unroll_loop(cell, x, cell.start(x))[0][0]
        torch.testing.assert_close(unroll(cell, x, cell.start(x))[0][0], y)
    return cell, cell.input.weight.flatten().tolist(), cell.input.bias.tolist(), y.tolist()


def same(ys, expected):
    torch.testing.assert_close(torch.tensor(ys).squeeze(-1), torch.tensor(expected), atol=1e-6, rtol=1e-6)


def test_mingru_in_miniature():
    _, w, b, ys = narrow("mingru")
    h, expected = 0.0, []
    for x in XS:
        z, n = sigmoid(w[0] * x + b[0]), positive(w[1] * x + b[1])
        h = (1 - z) * h + z * n
        expected.append(h)
    same(ys, expected)


def test_minlstm_in_miniature():
    _, w, b, ys = narrow("minlstm")
    h, expected = 0.0, []
    for x in XS:
        i, f, n = sigmoid(w[0] * x + b[0]), sigmoid(w[1] * x + b[1]), positive(w[2] * x + b[2])
        h = f / (f + i) * h + i / (f + i) * n
        expected.append(h)
    same(ys, expected)


def test_rglru_in_miniature():
    cell, w, b, ys = narrow("rglru")
    h, expected = 0.0, []
    for x in XS:
        r, i, v = sigmoid(w[0] * x + b[0]), sigmoid(w[1] * x + b[1]), w[2] * x + b[2]
        a = sigmoid(cell.decay.item()) ** (8 * r)
        h = a * h + sqrt(1 - a * a) * i * v
        expected.append(h)
    same(ys, expected)


def test_slstm_in_miniature_without_its_stabiliser():
    cell, w, b, ys = narrow("slstm")
    u = cell.recurrent.weight.flatten().tolist()
    h = c = n = 0.0
    expected = []
    for x in XS:
        i, f, z, o = (w[k] * x + u[k] * h + b[k] for k in range(4))
        c = sigmoid(f) * c + exp(i) * tanh(z)
        n = sigmoid(f) * n + exp(i)
        h = sigmoid(o) * c / n
        expected.append(h)
    same(ys, expected)


def normed(values):
    size = sqrt(sum(v * v for v in values) / len(values) + 1e-5)
    return [v / size for v in values]


def lines(w, b, x):
    return [w_k * x + b_k for w_k, b_k in zip(w, b, strict=True)]


def test_mlstm_in_miniature_without_its_stabiliser():
    _, w, b, ys = narrow("mlstm", size=2, heads=1)
    memory, normalizer = [[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]  # memory[key][value]
    for x, y in zip(XS, ys, strict=True):
        q0, q1, k0, k1, v0, v1, o0, o1, i, f = lines(w, b, x)
        k, v, i, f = (k0 / sqrt(2), k1 / sqrt(2)), (v0, v1), exp(i), sigmoid(f)
        memory = [[f * memory[a][c] + i * k[a] * v[c] for c in (0, 1)] for a in (0, 1)]
        normalizer = [f * normalizer[a] + i * k[a] for a in (0, 1)]
        below = max(abs(normalizer[0] * q0 + normalizer[1] * q1), 1)
        h = normed([(memory[0][c] * q0 + memory[1][c] * q1) / below for c in (0, 1)])
        assert y == pytest.approx([sigmoid(o0) * h[0], sigmoid(o1) * h[1]], abs=1e-4)  # 1e-6 is added to what divides


def test_ssd_in_miniature():
    cell, w, b, ys = narrow("ssd", size=2, heads=2, states=1)
    p, s = cell.decay.tolist(), cell.skip.tolist()
    memory = [0.0, 0.0]  # one number for each head
    for x, y in zip(XS, ys, strict=True):
        q, k, v0, v1, o0, o1, d0, d1 = lines(w, b, x)
        q, k, v, o = silu(q), silu(k), (silu(v0), silu(v1)), (silu(o0), silu(o1))
        d = (log(1 + exp(d0)), log(1 + exp(d1)))
        memory = [exp(-exp(p[n]) * d[n]) * memory[n] + k * d[n] * v[n] for n in (0, 1)]
        assert y == pytest.approx(normed([(memory[n] * q + s[n] * v[n]) * o[n] for n in (0, 1)]), abs=1e-6)


def test_gla_in_miniature():
    cell, w, b, ys = narrow("gla", size=4, heads=1, rank=1)
    narrow_w, decay_w, decay_b = cell.narrow.weight.item(), cell.decay.weight.flatten().tolist(), cell.decay.bias
    memory = [[0.0] * 4, [0.0] * 4]  # memory[key][value]
    for x, y in zip(XS, ys, strict=True):
        read = lines(w, b, x)
        q, k, v, o = [r / sqrt(2) for r in read[:2]], read[2:4], read[4:8], [silu(r) for r in read[8:]]
        a = [sigmoid(decay_w[n] * narrow_w * x + decay_b[n].item()) ** (1 / 16) for n in (0, 1)]
        memory = [[a[n] * memory[n][c] + k[n] * v[c] for c in range(4)] for n in (0, 1)]
        shown = normed([q[0] * memory[0][c] + q[1] * memory[1][c] for c in range(4)])
        assert y == pytest.approx([o[c] * shown[c] for c in range(4)], abs=1e-6)


# Parts


@pytest.mark.parametrize("fading", [1, 4], ids=["as one", "by key"])
@pytest.mark.parametrize("groups", [1, 2])
def test_recalling_all_is_recalling_one_by_one(fading, groups):
    q, k, v = torch.randn(2, 150, groups, 4), torch.randn(2, 150, groups, 4), torch.randn(2, 150, 2, 3)
    g, memory = torch.rand(2, 150, 2, fading) * FADE, torch.randn(2, 2, 4, 3)
    g[:, 40:60] = FADE  # the fastest there may be, for longer than a chunk
    g[:, 100:] /= 100
    y, last = recall_all(q, k, v, g, memory)
    for t in range(150):
        now, memory = recall(q[:, t], k[:, t], v[:, t], g[:, t].exp(), memory)
        torch.testing.assert_close(y[:, t], now, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(last, memory, atol=1e-4, rtol=1e-4)


def test_a_head_that_forgets_all_remembers_well_afterwards():
    g = torch.full((1, 64, 1, 1), -1e-3)
    g[:, 3:30] = -1e4
    ones = torch.ones(1, 64, 1, 1)
    y, memory = recall_all(ones, ones, ones, g, torch.full((1, 1, 1, 1), 9.0))
    expected = slow_scan(g[..., 0].double().exp(), ones[..., 0].double(), torch.full((1, 1), 9.0).double())
    torch.testing.assert_close(y[..., 0].double(), expected, atol=0, rtol=1e-5)
    assert at_least_float32(memory).dtype == torch.float32


def test_heads_divide_the_width():
    with pytest.raises(ConfigError, match="heads = 3 does not divide"):
        split_heads(8, 3)


def test_a_glance_is_torchs_convolution_and_skips_what_is_not_present():
    short_conv, x = ShortConv(width=4, size=3), torch.randn(2, 6, 4)
    whole, (last,) = short_conv(x, short_conv.start(x))
    padded = torch.nn.functional.pad(x.mT, (2, 0))
    torch.testing.assert_close(
        whole, torch.nn.functional.conv1d(padded, short_conv.weight, short_conv.bias, groups=4).mT
    )
    torch.testing.assert_close(last, x[:, -2:])
    mask = torch.tensor([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 1]]).bool()
    past = (torch.randn(2, 2, 4),)
    y, (after,) = short_conv(x, past, mask)
    for row in (0, 1):
        alone = x[row : row + 1, mask[row]]
        there, (kept,) = short_conv(alone, (past[0][row : row + 1],))
        torch.testing.assert_close(y[row, mask[row]], there[0])
        torch.testing.assert_close(after[row], kept[0])


@pytest.mark.parametrize("kind", cells.kinds())
def test_any_cell_mixes_time_in_blocks(kind):
    options = {"kind": "blocks", "cell": kind, "layers": 2, "input_width": 6, "expand": 2, "feed_forward": "swiglu"}
    core = cores.build("core", options, width=8)
    x, mask = torch.randn(2, 7, 6), torch.tensor([[1] * 7, [0, 1, 1, 0, 1, 0, 0]]).bool()
    y, last = core(x, core.start(x), mask)
    state, alone = core.start(x[1:]), x[1:, mask[1]]
    for t in range(3):
        one, state = core(alone[:, t : t + 1], state)
    torch.testing.assert_close(y[1, 4], one[0, 0], atol=1e-5, rtol=1e-5)
    for (_, ours), (_, theirs) in zip(tensors(last), tensors(state), strict=True):
        torch.testing.assert_close(ours[1], theirs[0], atol=1e-5, rtol=1e-5)


def test_blocks_without_a_glance_or_a_feed_forward_net_are_the_cell():
    options = {"kind": "blocks", "cell": "gru", "layers": 1, "convolution": 0, "feed_forward": "none"}
    core = cores.build("core", options, width=4)
    (block,), x = core.layers, torch.randn(2, 5, 4)
    y, ((seen, _),) = core(x, core.start(x))
    inside, _ = unroll(block.cell, block.cell_norm(x), block.cell.start(x))
    torch.testing.assert_close(y, core.norm(x + block.project(inside)))
    assert seen == ()
