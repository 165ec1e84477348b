"""Attention: worked numbers, hand-written miniatures, torch's own, and what happens at every length."""

from itertools import islice
from math import ceil, cos, exp, sin, sqrt, tanh

import pytest
import torch
from torch import nn

from helpers.models import small
from unspool import Tokens, cores, detach, embedding, fork, head, sample_tokens, watch
from unspool.batch import Batch
from unspool.errors import ConfigError, DataError
from unspool.generate.sampling import greedy
from unspool.look.attention import cross_attention
from unspool.models.sequence import Encoder, SequenceModel
from unspool.nn.attention import MultiHead, build_attention, masked_softmax
from unspool.nn.cache import read
from unspool.nn.part import select, tensors
from unspool.nn.positions import Rotary, build, rates, rotate, waves

LECTURE = [  # query, weights, what is seen: NYU's notebook 15, divided by sqrt(64)
    ([0, 10, 0], [3.7266e-06, 0.99999, 3.7266e-06, 3.7266e-06], [10.004, 4.0993e-05, 0]),
    ([0, 0, 10], [1.8633e-06, 1.8633e-06, 0.5, 0.5], [549.9979, 5.5, 0]),
    ([10, 10, 0], [0.5, 0.5, 1.8633e-06, 1.8633e-06], [5.5020, 2.0497e-05, 0]),
]
KEYS = torch.tensor([[10.0, 0, 0], [0, 10, 0], [0, 0, 10], [0, 0, 10]])
VALUES = torch.tensor([[1.0, 0, 0], [10, 0, 0], [100, 5, 0], [1000, 6, 0]])


def wide(rows):
    """Those rows of three numbers in a head of 64, so that the scale is sqrt(64)."""
    return nn.functional.pad(torch.as_tensor(rows, dtype=torch.float32), (0, 61))[None, None]


@pytest.mark.parametrize(("query", "weights", "seen"), LECTURE)
def test_the_numbers_of_the_lecture_come_out(query, weights, seen):
    part = MultiHead(64, 1)
    everything = read(torch.zeros(1, dtype=torch.long), 0, 4, capacity=4, causal=False)
    given = wide([query]), wide(KEYS), wide(VALUES), everything, None
    found = masked_softmax(KEYS @ torch.tensor(query, dtype=torch.float32) / 8)
    torch.testing.assert_close(found, torch.tensor(weights), rtol=1e-4, atol=1e-9)
    for way in (part.plain, part.fast):
        torch.testing.assert_close(way(*given)[0, 0, 0, :3], torch.tensor(seen), rtol=1e-4, atol=1e-8)


def reading_of(time, causal=True):
    return read(torch.zeros(2, dtype=torch.long), 0, time, capacity=time, causal=causal)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("causal", [True, False])
def test_heads_equal_a_plain_loop_and_torch(heads, causal):
    part, theirs, x = MultiHead(16, heads, bias=True), nn.MultiheadAttention(16, heads, batch_first=True), None
    x = torch.randn(2, 6, 16)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(part.read.weight), theirs.in_proj_bias.copy_(part.read.bias)
        theirs.out_proj.weight.copy_(part.output.weight), theirs.out_proj.bias.copy_(part.output.bias)
    ours, _ = part(x, part.start(x), reading_of(6, causal))
    mask = torch.ones(6, 6).triu(1).bool() if causal else None
    wanted, their_weights = theirs(x, x, x, attn_mask=mask, average_attn_weights=False)
    with watch(part) as trace:
        watched, _ = part(x, part.start(x), reading_of(6, causal))
    torch.testing.assert_close(trace["weights"][0], their_weights)

    size, loop = 16 // heads, torch.zeros(2, 6, 16)
    q, k, v = part.read(x).chunk(3, dim=-1)
    for b in range(2):
        for number in range(heads):
            here = slice(number * size, (number + 1) * size)
            for t in range(6):
                reach = t + 1 if causal else 6
                scores = [(q[b, t, here] @ k[b, s, here]).item() / sqrt(size) for s in range(reach)]
                total = sum(map(exp, scores))
                loop[b, t, here] = sum(exp(score) / total * v[b, s, here] for s, score in enumerate(scores))
    for found in (wanted, watched, part.output(loop)):
        torch.testing.assert_close(ours, found, atol=1e-5, rtol=1e-5)


def test_shared_keys_and_values_are_repeated_ones():
    shared, full, x = MultiHead(16, 4, kv_heads=2), MultiHead(16, 4), torch.randn(2, 6, 16)
    q, k, v = shared.read.weight.split([16, 8, 8])
    with torch.no_grad():
        doubled = [w.view(2, 4, 16).repeat_interleave(2, 0).reshape(16, 16) for w in (k, v)]
        full.read.weight.copy_(torch.cat([q, *doubled])), full.output.weight.copy_(shared.output.weight)
    ours, state = shared(x, shared.start(x), reading_of(6))
    assert state[0].shape == (2, 2, 6, 4)
    torch.testing.assert_close(ours, full(x, full.start(x), reading_of(6))[0])


def test_the_2017_options_are_torchs_own_layers():
    options = {"positions": "sinusoidal", "norm": "layer", "post_norm": True, "feed_forward": "relu"}
    core = cores.build("core", {"kind": "transformer", **options, "bias": True, "scale_embedding": True}, width=16)
    x = torch.randn(2, 9, 16)
    y = x * 4 + waves(torch.arange(9), 16).float()
    for block in core.layers:
        theirs = nn.TransformerEncoderLayer(16, 4, 64, dropout=0.0, batch_first=True)
        pairs = [(theirs.self_attn.in_proj_weight, block.attention.read.weight)]
        pairs += [(theirs.self_attn.in_proj_bias, block.attention.read.bias)]
        pairs += zip(theirs.self_attn.out_proj.parameters(), block.attention.output.parameters(), strict=True)
        pairs += zip(theirs.linear1.parameters(), block.feed_forward.up.parameters(), strict=True)
        pairs += zip(theirs.linear2.parameters(), block.feed_forward.down.parameters(), strict=True)
        with torch.no_grad():
            for their, our in pairs:
                their.copy_(our)
        y = theirs(y, src_mask=nn.Transformer.generate_square_subsequent_mask(9), is_causal=True)
    torch.testing.assert_close(core(x, core.start(x))[0], y, atol=1e-5, rtol=1e-5)


def encoder(positions, width=16):
    options = {"kind": "transformer", "causal": False, "positions": positions, "context": 32}
    return cores.build("core", options, width=width).eval()


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rotary", "alibi"])
@torch.no_grad()
def test_without_positions_order_does_not_matter_and_with_them_it_does(positions):
    core, x = encoder(positions), torch.randn(2, 8, 16)
    core.positions.weight.mul_(50) if positions == "learned" else None  # as if it had learned something
    shuffled = torch.tensor([3, 0, 6, 5, 1, 4, 2, 7])  # the last stays the last
    y, moved = core(x, core.start(x))[0], core(x[:, shuffled], core.start(x))[0]
    difference = (y[:, shuffled] - moved).abs().max()
    assert difference < 1e-5 if positions == "none" else difference > 1e-3


def test_the_waves_are_the_lectures():
    for p in (0, 1, 7, 500):
        for i in range(4):
            sine, cosine = waves(torch.tensor([p]), 8)[0, 2 * i : 2 * i + 2].tolist()
            assert sine == pytest.approx(sin(p / 10_000 ** (2 * i / 8)), abs=1e-9)
            assert cosine == pytest.approx(cos(p / 10_000 ** (2 * i / 8)), abs=1e-9)


def test_rotary_products_know_the_distance_alone():
    rotary, q, k = Rotary(8), torch.randn(1, 1, 1, 8), torch.randn(1, 1, 1, 8)

    def product(a, b):
        at_a, at_b = (rotary.rotation(torch.tensor([[p]]), like=q) for p in (a, b))
        return (rotate(q, at_a) * rotate(k, at_b)).sum()

    torch.testing.assert_close(product(9, 4), product(100_009, 100_004), atol=1e-5, rtol=1e-5)
    assert (product(9, 4) - product(9, 5)).abs() > 1e-3


def test_alibi_is_a_slope_for_each_head():
    assert rates(8) == [2.0**-k for k in range(1, 9)]
    assert len(rates(6)) == 6 and rates(6)[:4] == rates(4)
    here = torch.arange(3)[None]
    bias = build("alibi", 8, 2, 16).bias(here, here, like=torch.zeros(1))
    assert bias[0, :, 2].tolist() == [[-0.125, -0.0625, 0.0], [-0.0078125, -0.00390625, 0.0]]


def by_hand(name, part, query, source):
    scores = []
    for s in source.tolist():
        if name == "dot":
            scores.append(sum(a * b for a, b in zip(query.tolist(), s, strict=True)))
        elif name == "general":
            scores.append(query @ (part.key.weight @ torch.tensor(s)))
        else:
            inner = part.query.weight @ query + part.key.weight @ torch.tensor(s) + part.key.bias
            scores.append(sum(v * tanh(h) for v, h in zip(part.judge.weight[0].tolist(), inner.tolist(), strict=True)))
    weights = [exp(score) / sum(map(exp, scores)) for score in scores]
    return sum(w * row for w, row in zip(weights, source, strict=True))


@pytest.mark.parametrize("name", ["additive", "dot", "general"])
@torch.no_grad()
def test_looks_equal_those_written_by_hand(name):
    width, deep = 4, 4 if name == "dot" else 6
    part, query, source = build_attention(name, width, deep), torch.randn(3, width), torch.randn(3, 5, deep)
    there = torch.arange(5) < torch.tensor([5, 2, 0])[:, None]
    seen = part(query, source, part.keys(source), there)
    torch.testing.assert_close(seen[0], by_hand(name, part, query[0], source[0]))
    torch.testing.assert_close(seen[1], by_hand(name, part, query[1], source[1, :2]))
    assert not seen[2].any()  # nothing to look at, and no NaN


def test_dot_needs_equal_widths_and_attention_a_source():
    with pytest.raises(ConfigError, match="compares 4 numbers") as error:
        build_attention("dot", 4, 6)
    assert "general" in error.value.hint
    core = cores.build("core", "attention-rnn", width=4)
    with pytest.raises(ConfigError, match="there is none"):
        core.start(torch.zeros(1, 1, 4))
    with pytest.raises(ConfigError, match="cannot be cut"):
        cores.build("core", {"kind": "transformer", "heads": 3}, width=8)
    with pytest.raises(ConfigError, match="cannot share"):
        cores.build("core", {"kind": "transformer", "heads": 4, "kv_heads": 3}, width=8)
    with pytest.raises(ConfigError, match="rotary"):
        cores.build("core", {"kind": "transformer", "heads": 4}, width=12)


@torch.no_grad()
def test_padding_of_a_source_changes_nothing():
    core, x, source = cores.build("core", "attention-rnn", width=8), torch.randn(1, 4, 8), torch.randn(1, 5, 8)
    there = torch.tensor([[False, True, True, False, True]])
    alone, _ = core(x, core.start(x, source[there][None]))
    torch.testing.assert_close(core(x, core.start(x, source, there))[0], alone)


@pytest.mark.parametrize("options", [{}, {"positions": "alibi"}, {"positions": "learned"}], ids=str)
def test_rows_that_see_nothing_give_neither_nan_nor_gradients_of_nan(options):
    core = cores.build("core", {"kind": "transformer", "context": 8, **options}, width=8)
    x, mask = torch.randn(3, 5, 8, requires_grad=True), torch.zeros(3, 5, dtype=torch.bool)
    mask[0, 2:], mask[1, :1] = True, True
    y, state = core(x, core.start(x), mask)
    y.sum().backward()
    assert x.grad.isfinite().all() and not x.grad[~mask].any()
    assert all(p.grad.isfinite().all() for p in core.parameters())
    assert not y[~mask].any() and state[0].tolist() == [3, 1, 0]


def transformer(**options):
    return small({"kind": "transformer", "layers": 2, "heads": 2, **options}, Tokens(11), width=16)


LONG = {
    "capacity 64": {"context": 64},
    "window 16": {"context": 64, "window": 16, "kv_heads": 1},
    "alibi 16": {"context": 16, "positions": "alibi"},
    "learned": {"context": 257, "positions": "learned", "window": 16, "bias": True},
    "sinusoidal": {"context": 257, "positions": "sinusoidal", "query_key_norm": True},
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("length", [1, 2, 3, 63, 64, 65, 128, 257])
@torch.no_grad()
def test_at_every_length_whole_is_steps_is_chunks_is_padded(name, length):
    net, ids = transformer(**LONG[name]), torch.randint(11, (2, length))
    whole, last = net(ids, net.start(ids))
    with watch(net, keep=False):
        torch.testing.assert_close(net(ids, net.start(ids))[0], whole, atol=1e-5, rtol=1e-5)
    sizes = (
        [1] * length,
        [*[17] * (length // 17), length % 17 or 17][: -(-length // 17)],
        [length - length // 3, length // 3],
    )
    for cut in sizes:
        state, outputs = net.start(ids), []
        for chunk in ids.split([size for size in cut if size], dim=1):
            logits, state = net(chunk, state)
            outputs.append(logits)
        torch.testing.assert_close(torch.cat(outputs, dim=1), whole, atol=1e-5, rtol=1e-5)
        assert torch.equal(state[0], last[0])
    more = torch.randint(11, (2, 1))
    if length < 257:
        following, _ = net(more, fork(last))
        for left in (True, False):
            lengths = torch.tensor([length + 5, length])
            there = torch.arange(length + 5) < lengths[:, None]
            there = there.flip(1) if left else there
            padded = torch.zeros(2, length + 5, dtype=torch.long)
            padded[1, there[1]] = ids[1]
            if length + 5 <= 257:
                y, state = net(padded, net.start(padded), there)
                torch.testing.assert_close(y[1, there[1]], whole[1], atol=1e-5, rtol=1e-5)
                one = select(state, torch.tensor([1]))
                torch.testing.assert_close(net(more[1:], one)[0], following[1:], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_ragged_steps_through_a_full_cache():
    """Rows that move at different ticks, past the window: each as if alone."""
    net, ids = transformer(context=8), torch.randint(11, (3, 60))
    there = torch.rand(3, 60) < torch.tensor([[0.3], [0.9], [0.0]])
    state, outputs = net.start(ids), []
    for t in range(60):
        y, state = net.hidden_states(ids[:, t : t + 1], state, there[:, t : t + 1])
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    assert not y[~there].any() and state[0].tolist() == there.sum(1).tolist()
    for row in (0, 1):
        alone, _ = net.hidden_states(ids[row, there[row]][None], net.start(ids[:1]))
        torch.testing.assert_close(y[row, there[row]], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{}, {"positions": "alibi"}, {"kv_heads": 1, "window": 5}], ids=str)
def test_fast_is_readable_through_a_carried_cache(options):
    net, ids = transformer(context=8, **options), torch.randint(11, (3, 24))
    there = torch.rand(3, 24) < 0.8
    gradients = []
    for watched in (False, True):
        net.zero_grad()
        state = net.start(ids)
        for chunk, mask in zip(ids.split([6, 11, 1, 6], 1), there.split([6, 11, 1, 6], 1), strict=True):
            if watched:
                with watch(net, keep=False):
                    y, state = net(chunk, state, mask)
            else:
                y, state = net(chunk, state, mask)
        y.square().mean().backward()  # through all the chunks: nothing was written in place
        gradients.append([p.grad.clone() for p in net.parameters()])
    for fast, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_cache_is_made_once_and_then_written_in_place():
    net, ids = transformer(context=8), torch.randint(11, (2, 30))
    _, state = net(ids[:, :3], net.start(ids))
    assert state[1][0].shape[2] == 3  # training makes no more
    _, state = net(ids[:, 3:4], state)
    places = [value.data_ptr() for name, value in tensors(state) if "." in name]
    kept = fork(state)
    wanted, _ = net(ids[:, 4:5], fork(state))
    for t in range(4, 30):
        _, state = net(ids[:, t : t + 1], state)
    assert [value.data_ptr() for name, value in tensors(state) if "." in name] == places
    assert state[1][0].shape[2] == 8 and state[0].tolist() == [30, 30]
    torch.testing.assert_close(net(ids[:, 4:5], kept)[0], wanted)  # who copies can come back


def test_a_detached_cache_stays_bounded_in_training():
    net = transformer(context=8)
    state = net.start(torch.zeros(2, 1, dtype=torch.long))
    for _ in range(5):
        y, state = net(torch.randint(11, (2, 6)), state)
        y.sum().backward()
        state = detach(state)
    assert state[1][0].shape == (2, 2, 8, 8) and state[0].tolist() == [30, 30]


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@torch.no_grad()
def test_the_end_of_the_context_is_told_and_written_past(positions):
    net, ids = transformer(context=12, positions=positions), torch.randint(11, (2, 13))
    assert net.core.max_length == 12
    with pytest.raises(DataError, match="at most 12 tokens; this would be 13"):
        net(ids, net.start(ids))
    _, state = net(ids[:, :12], net.start(ids))
    with pytest.raises(DataError, match="at most 12"):
        net(ids[:, 12:], state)
    written = torch.cat([d.ids for d in islice(sample_tokens(net, ids[:, :5], greedy), 40)], dim=1)
    every = torch.cat([ids[:, :5], written], dim=1)
    for t in range(40):  # by hand: the first six of twelve are forgotten at a time
        begin = 0 if t <= 7 else 6 * ceil((t - 7) / 6)
        logits, _ = net(every[:, begin : 5 + t], net.start(ids))
        assert torch.equal(logits[:, -1].argmax(-1), written[:, t])
    assert len(list(islice(sample_tokens(net, ids, greedy), 3))) == 3  # a prompt that is too long is read from its end


@torch.no_grad()
def test_sliding_positions_write_for_ever():
    net = transformer(context=8)
    assert net.core.max_length is None
    assert len(list(islice(sample_tokens(net, torch.randint(11, (1, 20)), greedy), 50))) == 50


@torch.no_grad()
def test_weights_can_be_watched():
    net, ids = transformer(), torch.randint(11, (2, 7))
    with watch(net) as trace:
        net(ids, net.start(ids))
    (weights,) = trace["core.layers.1.attention.weights"]
    assert weights.shape == (2, 2, 7, 7) and not weights.triu(1).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 7))
    assert trace["core.layers.1.attention.scores"][0].shape == weights.shape


@torch.no_grad()
def test_a_window_of_many_layers_reaches_far_and_one_of_inputs_does_not():
    x = torch.randn(1, 40, 8)
    changed = x.clone()
    changed[:, 0] += 1
    for options, reach in [
        ({"kind": "window-mlp", "window": 5}, 5),
        ({"kind": "convolutional", "layers": 3, "kernel": 3}, 15),
        ({"kind": "transformer", "layers": 3, "window": 5, "heads": 2}, 13),
    ]:
        core = cores.build("core", options, width=8).eval()
        difference = (core(x, core.start(x))[0] - core(changed, core.start(x))[0]).abs().amax(-1)[0]
        assert difference[reach - 1] > 0 and difference[reach:].max() == 0, options


@pytest.mark.parametrize(
    ("core", "shapes"),
    [
        ({"kind": "attention-rnn", "cell": "gru", "source_width": 6}, [(2, 1, 4, 5)]),
        (
            {"kind": "transformer", "layers": 3, "heads": 2, "cross_attention": True, "source_width": 6},
            [(2, 2, 4, 5)] * 3,
        ),
        ({"kind": "recurrent", "cell": "gru"}, []),
    ],
)
def test_where_every_part_looks_is_told_and_never_beyond_the_source(core, shapes):
    core = cores.build("core", core, width=8)
    encoder = Encoder(embedding(Tokens(7), 6), cores.build("encoder", "recurrent", width=6)) if shapes else None
    model = SequenceModel(embedding(Tokens(7), 8), core, head(Tokens(7), 8), encoder)
    ids, source = torch.randint(7, (2, 4)), torch.randint(7, (2, 5))
    there = torch.tensor([[True] * 5, [True, True, False, False, False]])
    every = torch.ones(2, 4, dtype=torch.bool)
    batch = Batch(ids, ids, every, every, source, there) if shapes else Batch(ids, ids, every)
    seen = cross_attention(model, batch)
    assert [tuple(one.shape) for one in seen] == shapes and model.training
    for one in seen:
        torch.testing.assert_close(one.sum(dim=-1), torch.ones(one.shape[:-1]))
        assert bool((one[1, ..., 2:] == 0).all()) and bool((one[0] > 0).all())
