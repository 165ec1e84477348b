"""What is measured inside a model whose answer is known by construction."""

import math

import pytest
import torch
import torch.nn.functional as F

from unspool import Batch, Cell, ConfigError, DataError, SequenceModel, Tokens, cells, cores, embedding, head, watch
from unspool.look import measures, search
from unspool.look.attention import attention_maps, cross_attention, loss_without_heads
from unspool.look.edits import fixed, without
from unspool.look.lags import gradient_by_lag, windows
from unspool.look.record import CHUNK, CHUNK_TOKENS, chunks, place_name, record
from unspool.look.switches import CHANGE, SWITCHES, forced, shown
from unspool.models.recurrent import Recurrent
from unspool.nn.part import map_state


def model_of(core="recurrent", width=8, vocabulary=7, **options):
    torch.manual_seed(0)
    middle = cores.build("core", core, width=width, **options)
    return SequenceModel(embedding(Tokens(vocabulary), width), middle, head(Tokens(vocabulary), width)).eval()


def text_of(length, vocabulary=7, rows=1):
    ids = torch.randint(vocabulary, (rows, length + 1), generator=torch.Generator().manual_seed(1))
    return Batch(ids[:, :-1], ids[:, 1:], torch.ones(rows, length, dtype=torch.bool))


# Watching and reaching in


def test_an_edit_changes_what_the_model_goes_on_with():
    net, batch = model_of(), text_of(6)
    with watch(net, edits={"core.*.output": fixed(0.0)}) as trace:
        y, _ = net.hidden_states_of(batch)
    assert not y.any() and not trace["core.layers.0.0.hidden"][3].any()
    assert trace["core.layers.0.0.memory"][3].any()  # it goes on inside
    plain, _ = net.hidden_states_of(batch)
    assert plain.any()  # and nobody reaches in any more


def test_one_unit_can_be_set_and_the_state_follows():
    net, batch = model_of(), text_of(5)
    with watch(net, keep=("*.memory",), edits={"*.memory": fixed(3.0, units=[2])}) as trace:
        _, state = net.hidden_states_of(batch)
    assert list(trace) == ["core.layers.0.0.memory"]
    assert all(value[0, 2] == 3 and value[0, 1] != 3 for value in trace["core.layers.0.0.memory"])
    assert state[0][0][1][0, 2] == 3


def test_one_watcher_may_stand_in_another():
    net, batch = model_of(), text_of(3)
    with watch(net, keep="*.hidden") as outer, watch(net, edits={"*.hidden": torch.zeros_like}) as inner:
        net.hidden_states_of(batch)
    assert len(outer["core.layers.0.0.hidden"]) == 3 and list(outer) == ["core.layers.0.0.hidden"]
    assert outer["core.layers.0.0.hidden"][0].any() and not inner["core.layers.0.0.hidden"][0].any()
    assert all(part.watcher is None for part in net.modules() if hasattr(part, "watcher"))


def test_an_edit_that_never_came_is_told():
    with (
        pytest.raises(ConfigError, match=r"nothing was shown at core\.gone"),
        watch(model_of(), edits={"core.gone": fixed(0.0)}),
    ):
        pass


# Gates as switches, five cases of the practicum, with a real cell whose biases are forced

CASES = {switch.name: switch for switch in SWITCHES}


def test_output_off_hides_the_memory_which_goes_on():
    off, on = shown(CASES["output off"]), shown(CASES["output on"])
    assert max(map(abs, off["hidden"][CHANGE:])) < 1e-4
    assert off["memory"] == pytest.approx(on["memory"])


def test_output_on_shows_the_memory():
    on = shown(CASES["output on"])
    assert on["hidden"] == pytest.approx([math.tanh(c) for c in on["memory"]], abs=1e-4)
    assert min(map(abs, on["memory"])) < 0.5 < max(map(abs, on["memory"]))


def test_reset_empties_the_memory_at_once():
    values = shown(CASES["reset"])
    assert abs(values["memory"][CHANGE - 1]) > 0.3 and max(map(abs, values["memory"][CHANGE:])) < 1e-4


def test_keep_holds_the_memory_whatever_comes_in():
    values = shown(CASES["keep"])
    assert values["memory"][CHANGE:] == pytest.approx(
        [values["memory"][CHANGE - 1]] * (len(values["in"]) - CHANGE), abs=1e-3
    )
    assert max(values["in"][CHANGE:]) - min(values["in"][CHANGE:]) > 0.5


def test_write_makes_the_memory_what_comes_in():
    values = shown(CASES["write"])
    assert values["memory"][CHANGE:] == pytest.approx([math.tanh(x) for x in values["in"][CHANGE:]], abs=1e-4)


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda s: s.name)
def test_the_memory_hangs_on_the_memory_before_by_the_forget_gate(switch):
    cell, before = forced(switch), torch.tensor([[0.7]], requires_grad=True)
    _, c = cell.tick(cell.read(torch.zeros(1, 1)), (torch.zeros(1, 1), before))
    (slope,) = torch.autograd.grad(c.sum(), before)
    assert float(slope) == pytest.approx(switch.forget, abs=1e-4)


# Gradients by lag


class Linear(Cell):
    """h' = W x + U h"""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.input = torch.nn.Linear(input_size, hidden_size, bias=False)
        self.recurrent = torch.nn.Linear(hidden_size, hidden_size, bias=False)

    def read(self, x):
        return self.input(x)

    def tick(self, read, state):
        return (self.tap("hidden", read + self.recurrent(state[0])),)


def linear_model(sizes):
    core = Recurrent(len(sizes), cell="gru")
    cell = Linear(len(sizes), len(sizes))
    turn, _ = torch.linalg.qr(torch.randn(len(sizes), len(sizes), generator=torch.Generator().manual_seed(3)))
    with torch.no_grad():
        cell.recurrent.weight.copy_(turn @ torch.diag(torch.tensor(sizes)) @ turn.T)
    core.layers[0][0] = cell
    return SequenceModel(embedding(Tokens(7), len(sizes)), core, head(Tokens(7), len(sizes))).eval()


@pytest.mark.parametrize("largest", [0.7, 0.95, 1.1])
@pytest.mark.parametrize("place", ["inputs", "core.layers.0.0.hidden"])
def test_a_linear_net_fades_or_grows_as_its_largest_eigenvalue_says(largest, place):
    net = linear_model([largest, 0.3 * largest, -0.2 * largest, 0.1])
    norms = gradient_by_lag(net, text_of(30, rows=4), place)
    found = measures.decay(norms, first=8)
    predicted = float(measures.eigenvalues(net.core.layers[0][0].recurrent.weight)[0].abs())
    assert predicted == pytest.approx(largest, rel=1e-5)
    assert found.rate == pytest.approx(predicted, rel=0.01) and found.fit > 0.999
    assert found.half_life == pytest.approx(math.log(0.5) / math.log(predicted) if predicted < 1 else math.inf, rel=0.1)


def test_an_lstm_whose_forget_gate_is_open_has_a_flat_gradient():
    torch.manual_seed(0)
    net = model_of()
    cell = net.core.layers[0][0]
    with torch.no_grad():  # f = 1 exactly, i and o as they are; nothing of h comes back
        cell.input.bias[8:16] = 40.0
        cell.input.weight[8:16] = 0.0
        cell.recurrent.weight.zero_()
    norms = gradient_by_lag(net, text_of(50, rows=3), "core.layers.0.0.memory")
    assert len(norms) == 50
    assert float((norms / norms[0] - 1).abs().max()) < 1e-5


def test_lags_are_counted_from_the_last_position_that_counts_and_end_where_a_row_begins():
    net = linear_model([0.5, 0.5])
    batch = text_of(6, rows=2)
    loss_mask = torch.zeros(2, 6, dtype=torch.bool)
    loss_mask[0, 5] = loss_mask[1, 3] = True
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, :2] = False
    norms = gradient_by_lag(net, Batch(batch.inputs, batch.targets, loss_mask, mask))
    assert len(norms) == 4  # four ticks in either row
    assert norms[1] / norms[0] == pytest.approx(0.5, rel=1e-4)


def test_rows_in_which_nothing_counts_are_left_out_and_short_ones_end_early():
    net, batch = linear_model([0.5, 0.5]), text_of(12, rows=3)
    loss_mask = torch.zeros(3, 12, dtype=torch.bool)
    loss_mask[0, 11] = loss_mask[2, 3] = True
    found = gradient_by_lag(net, Batch(batch.inputs, batch.targets, loss_mask))
    alone = [
        gradient_by_lag(net, Batch(batch.inputs[n : n + 1], batch.targets[n : n + 1], loss_mask[n : n + 1]))
        for n in (0, 2)
    ]
    assert len(found) == 12 == len(alone[0]) and len(alone[1]) == 4
    torch.testing.assert_close(found[:4], (alone[0][:4] + alone[1]) / 2)
    torch.testing.assert_close(found[4:], alone[0][4:])


def test_a_model_is_in_its_own_mode_again_whatever_happens():
    net, batch = model_of().train(), text_of(9)
    with pytest.raises(DataError):
        gradient_by_lag(net, batch, "core.gone")
    assert net.training
    record(net, batch), gradient_by_lag(net, batch), attention_maps(net, batch), loss_without_heads(net, batch)
    assert net.training


def test_lags_of_what_reads_from_the_end_are_those_of_the_text():
    net = model_of(bidirectional=True)
    norms = gradient_by_lag(net, text_of(9), "core.layers.0.1.hidden")
    assert norms[0] > 0 and norms[1:].max() == 0  # behind the last token it has read nothing else


def test_no_gradient_is_left_on_the_weights_and_none_is_asked_of_nothing():
    net, batch = model_of(), text_of(9)
    gradient_by_lag(net, batch)
    assert all(p.grad is None for p in net.parameters())
    with pytest.raises(DataError, match="no position of these rows has a target"):
        gradient_by_lag(net, Batch(batch.inputs, batch.targets, torch.zeros_like(batch.loss_mask)))
    with pytest.raises(DataError, match=r"nothing was shown at core\.gone"):
        gradient_by_lag(net, batch, "core.gone")


def test_a_long_row_is_cut_into_windows_over_all_of_it():
    batch = windows(text_of(100), lags=9, rows=5)
    assert batch.inputs.shape == (5, 10)
    whole = text_of(100)
    assert batch.inputs[0].tolist() == whole.inputs[0, :10].tolist()
    assert batch.targets[-1].tolist() == whole.targets[0, -10:].tolist()


# Records


@pytest.mark.parametrize(
    "core", [{}, {"cell": "gru", "layers": 2}, {"core": "transformer", "context": 512}, {"core": "blocks"}]
)
def test_a_record_in_chunks_is_what_one_reading_shows(core):
    net, batch = model_of(**core), text_of(2 * CHUNK + 3)
    found = record(net, batch)
    with torch.no_grad(), watch(net) as trace:
        y, _ = net.hidden_states_of(batch)
        scores = net.head(y)
    for place, values in found.values.items():
        seen = trace[place]
        whole = seen[0] if len(seen) == 1 else torch.stack(seen, dim=1)
        torch.testing.assert_close(values.float(), whole.flatten(2), atol=2e-3, rtol=2e-3)
    wanted = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), reduction="none")
    torch.testing.assert_close(found.surprisal[0], wanted)
    assert found.loss == pytest.approx(float(wanted.mean()))
    assert any(place.endswith("hidden") for place in found.values)


def test_a_unit_for_each_position_is_no_reason_to_take_ticks_for_times():
    net, batch = model_of(width=CHUNK), text_of(CHUNK)
    assert {values.shape for values in record(net, batch).values.values()} == {(1, CHUNK, CHUNK)}
    one = Batch(batch.inputs[:, :1], batch.targets[:, :1], batch.loss_mask[:, :1])
    assert {values.shape for values in record(net, one).values.values()} == {(1, 1, CHUNK)}


def test_a_record_of_a_book_has_no_more_room_than_is_said():
    net, batch = model_of(), text_of(1000)
    every = record(net, batch)
    few = record(net, batch, shown=50, memory=2 * 6 * 8 * 150)  # 150 positions of six places with eight units each
    assert len(every.times) == 1000 and 100 < len(few.times) <= 150
    assert few.times[:50].tolist() == list(range(50)) and len(set(few.times[51:].diff().tolist())) == 1
    torch.testing.assert_close(
        few.values["core.layers.0.0.memory"], every.values["core.layers.0.0.memory"][:, few.times]
    )
    assert few.surprisal.shape == (1, 1000)


def test_a_gate_that_keeps_is_known_to_more_than_half_precision():
    net, batch = model_of(), text_of(50)
    with torch.no_grad():
        cell = net.core.layers[0][0]
        cell.input.weight[8:16], cell.recurrent.weight[8:16] = 0.0, 0.0
        cell.input.bias[8:16] = math.log(0.9998 / 0.0002)
    kept = record(net, batch).values["core.layers.0.0.forget"][0]
    assert measures.half_life(kept).tolist() == pytest.approx([math.log(0.5) / math.log(0.9998)] * 8, rel=0.01)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_a_model_with_few_positions_is_read_bit_by_bit(positions):
    net, batch = model_of("transformer", heads=2, context=16, positions=positions), text_of(100)
    found = record(net, batch)
    assert len(found.times) == 100 and found.surprisal.shape == (1, 100)


def test_many_rows_are_read_in_bits_as_small_as_fit():
    net, batch = model_of(cell="gru"), text_of(70, rows=64)
    mask = torch.ones(64, 70, dtype=torch.bool)
    mask[3, 40:] = False
    ragged = Batch(batch.inputs, batch.targets, mask, mask)
    sizes = [part.inputs.shape[1] for part, _ in chunks(net, ragged)]
    assert sum(sizes) == 70 and max(sizes) * 64 <= CHUNK_TOKENS
    whole, _ = net.hidden_states_of(ragged)
    hidden = record(net, ragged).values["core.layers.0.0.hidden"]
    torch.testing.assert_close((hidden * mask.unsqueeze(-1)).float(), whole.detach(), atol=1e-3, rtol=1e-3)


def test_what_reads_from_the_end_is_told_in_the_order_of_the_text():
    net = model_of(bidirectional=True)
    cell = net.core.layers[0][1]
    batch = text_of(9)
    found = record(net, batch).values["core.layers.0.1.hidden"]
    x, state = net.embedding(batch.inputs), cell.start(net.embedding(batch.inputs[:, :1]))
    with torch.no_grad():
        (h, _) = cell.tick(cell.read(x[:, -1]), state)  # the first that it reads is the last
    torch.testing.assert_close(found[:, -1].float(), h, atol=1e-3, rtol=1e-3)


def test_places_are_told_as_people_say_them():
    assert place_name("core.layers.1.1.hidden") == "layer 2 backwards hidden"
    assert place_name("core.layers.0.cell.hidden") == "layer 1 cell hidden"


# Attention


def test_rows_of_attention_sum_to_one_and_never_look_ahead():
    net, batch = model_of("transformer", heads=2, layers=2), text_of(12, rows=2)
    found = attention_maps(net, batch)
    assert [one.place for one in found] == ["core.layers.0.attention", "core.layers.1.attention"]
    for one in found:
        assert one.weights.shape == (2, 2, 12, 12) and not one.attends_to_source and not one.in_encoder
        torch.testing.assert_close(one.weights.sum(dim=-1), torch.ones(2, 2, 12))
        assert (one.weights.triu(1) == 0).all()
    assert cross_attention(net, batch) == []


def test_a_head_is_worth_what_the_loss_loses_without_it():
    net, batch = model_of("transformer", heads=2, layers=2), text_of(12, rows=2)
    whole, found = loss_without_heads(net, batch)
    assert {place: len(costs) for place, costs in found.items()} == dict.fromkeys(found, 2) and len(found) == 2
    attention = net.core.layers[1].attention
    size = attention.head_width
    with torch.no_grad():
        before = net.loss(batch)[0]
        attention.output.weight[:, size:] = 0.0  # the second head, cut off by hand
        by_hand = net.loss(batch)[0] - before
    assert whole == pytest.approx(float(before), abs=1e-6)
    assert found["core.layers.1.attention"][1] == pytest.approx(float(by_hand), abs=1e-6)
    assert float(by_hand) != 0.0


def test_a_head_that_writes_nothing_costs_nothing():
    net, batch = model_of("transformer", heads=2, layers=1), text_of(12)
    with torch.no_grad():
        net.core.layers[0].attention.output.weight[:, 4:] = 0.0
    costs = loss_without_heads(net, batch)[1]["core.layers.0.attention"]
    assert costs[1] == 0.0 and costs[0] != 0.0


def test_heads_are_called_by_what_they_look_at():
    ids = torch.tensor([1, 2, 3, 1, 2, 3, 1])
    before = torch.eye(7).roll(1, 0)
    before[0] = torch.eye(7)[0]
    found = measures.head_pattern(before, ids)
    assert found.previous == 1 and found.entropy == 0 and "the token before" in found.summary()
    induction = torch.eye(7)
    for t in range(3, 7):
        induction[t] = torch.eye(7)[t - 2]  # three apart, and the one behind
    assert measures.head_pattern(induction, ids).induction == 1
    assert measures.head_pattern(torch.eye(6), torch.ones(6, dtype=torch.long)).induction == 0  # it attends to itself
    assert measures.head_pattern(induction, torch.tensor([1, 2, 3, 1, 5, 6, 7])).induction == 0  # once is no habit
    assert measures.head_pattern(torch.full((7, 7), 1 / 7), ids).summary() == ""
    assert measures.entropy(torch.full((7,), 1 / 7)) == pytest.approx(math.log(7))


# Units


def test_auc_is_the_share_of_pairs_that_are_in_order():
    random = torch.Generator().manual_seed(0)
    values = torch.randint(6, (40, 3), generator=random).float()  # with ties
    on = torch.randint(2, (40, 2), generator=random).bool()
    found = search.auc(search.ranks(values), on)
    for feature in range(2):
        for unit in range(3):
            high, low = values[on[:, feature], unit], values[~on[:, feature], unit]
            pairs = (high[:, None] > low[None]).double() + 0.5 * (high[:, None] == low[None]).double()
            assert float(found[feature, unit]) == pytest.approx(float(pairs.mean()))


def irregular(length, random, share=0.05):
    """On and off, at no fixed times."""
    return (torch.rand(length, generator=random) < share).cumsum(dim=0) % 2 == 1


def test_the_search_finds_the_unit_that_was_put_there():
    random = torch.Generator().manual_seed(0)
    values, printed = torch.randn(3000, 20, generator=random), irregular(3000, random)
    starts = (torch.rand(3000, generator=random) < 0.03).long() * torch.arange(3000)
    column = (torch.arange(3000) - starts.cummax(dim=0).values).float()  # since the last line began
    values[:, 7] = torch.where(printed, -1.0, 1.0) + 0.4 * values[:, 7]
    values[:, 11] = column / 10 + 0.4 * values[:, 11]
    some = torch.where(torch.arange(3000) % 2 == 0, printed.float(), torch.nan)  # asked of every other position
    found = search.search_units(values, {"summary": printed, "column": column, "some": some})
    assert found["summary"].unit == found["some"].unit == 7 and found["summary"].score > 0.99
    assert found["summary"].shifted.max() < 0.6 and len(found["summary"].shifted) == 40
    assert found["column"].unit == 11 and found["column"].score > 0.9 and found["column"].shifted.max() < 0.2


def test_of_many_places_of_noise_few_tell_anything():
    beyond = 0
    for seed in range(30):
        random = torch.Generator().manual_seed(seed)
        feature = irregular(400, random)
        noise = torch.randn(8, 6, 409, generator=random).unfold(2, 10, 1).mean(dim=-1)  # it changes slowly, too
        places = {str(n): values.T for n, values in enumerate(noise)}
        each = {name: search.search_units(values, {"it": feature})["it"] for name, values in places.items()}
        beyond += search.best_unit(each)[1].beyond_chance
    assert beyond <= 5  # 1.5 are expected of thirty, at 1 in 20


def test_correlation_is_pearsons():
    x, y = torch.randn(50, 2), torch.randn(50, 1)
    wanted = torch.corrcoef(torch.cat([x, y], dim=1).T)[2, :2]
    torch.testing.assert_close(search.correlation(x, y)[0].float(), wanted)
    assert search.correlation(torch.ones(5, 1), torch.arange(5.0).unsqueeze(1)).item() == 0


def test_gates_are_told_open_and_shut():
    gate = torch.tensor([[0.99, 0.01, 0.5]]).expand(100, 3)
    found = measures.openness(gate)
    assert found.counts == (1, 1) and found.mean.tolist() == pytest.approx([0.99, 0.01, 0.5])
    halves = measures.half_life(gate)
    assert halves.tolist() == pytest.approx(
        [math.log(0.5) / math.log(0.99), math.log(0.5) / math.log(0.01), 1.0], rel=1e-4
    )
    assert measures.saturation(torch.tensor([[0.96], [-0.96], [0.5], [0.0]])).tolist() == [0.5]


# Embeddings


def test_principal_components_are_those_of_a_known_ellipse():
    random = torch.Generator().manual_seed(0)
    flat = torch.randn(500, 2, generator=random, dtype=torch.double) * torch.tensor([3.0, 1.0]).double()
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=random, dtype=torch.double))
    plane = measures.principal_components(flat @ turn[:2])
    assert plane.explained.sum() == pytest.approx(1.0) and plane.explained[0] > 0.85
    centred = flat - flat.mean(dim=0)
    torch.testing.assert_close(plane.coordinates.norm(dim=1), centred.norm(dim=1).float(), atol=1e-4, rtol=1e-4)


def test_neighbours_are_those_of_the_smallest_angle():
    angles = torch.tensor([0.0, 0.1, 3.0, -0.3])
    table = 5 * torch.stack([angles.cos(), angles.sin()], dim=1)
    near, other = measures.neighbours(table, torch.tensor([0, 2]), 3)
    assert len(other) == 3
    assert [id for id, _ in near] == [1, 3, 2] and near[0][1] == pytest.approx(math.cos(0.1), abs=1e-6)


def test_without_takes_heads_away_and_fixed_all_units():
    weights = torch.ones(1, 3, 2, 2)
    assert without([0, 2])(weights).sum() == 4
    assert fixed(0.5)(torch.zeros(2, 3)).tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize("kind", [kind for kind in cells.kinds() if cells.find(kind).keeps])
def test_what_a_cell_says_it_keeps_it_keeps(kind):
    torch.manual_seed(0)
    cell = cells.build("cell", kind, input_size=8, hidden_size=8)
    x, before = torch.randn(1, 8), cell.start(torch.zeros(1, 8))
    before = map_state(lambda s: torch.rand_like(s).requires_grad_(), before)
    with watch(cell, edits={cell.keeps: torch.zeros_like}) as shut:
        nothing = cell.tick(cell.read(x), before)
    with watch(cell, edits={cell.keeps: torch.ones_like}) as opened:
        all_of_it = cell.tick(cell.read(x), before)
    assert not shut[cell.keeps][0].any() and bool((opened[cell.keeps][0] == 1).all())
    place = {"lstm": 1, "peephole": 1}.get(kind, len(before) - 1 if before[-1].dim() > 2 else 0)
    if kind == "mlstm":
        place = 1 if before[1].dim() > 2 else 0
    assert not torch.equal(nothing[place], all_of_it[place])
    (slope,) = torch.autograd.grad(all_of_it[place].sum(), before[place], allow_unused=True)
    assert slope is not None and bool(slope.any())
