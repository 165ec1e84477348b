"""The loop against six plain lines, and every promise that a training step makes."""

import math
from itertools import count

import pytest
import torch
from torch import nn

from helpers.models import gru, weights_of
from unspool.batch import Batch, Tokens
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.errors import ConfigError, TrainingError
from unspool.models.sequence import Encoder, SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import Gaussian, head
from unspool.nn.part import detach
from unspool.training.evaluate import evaluate
from unspool.training.optimizers import optimizers
from unspool.training.schedules import Schedule
from unspool.training.trainer import Trainer

V, W = 7, 6
IDS = torch.randint(V, (400,), generator=torch.Generator().manual_seed(0))


def test_the_loop_is_five_plain_steps():
    """Forward, loss, backward, update, zero the gradients; carried and detached. One missing and this fails."""
    ours, plain, data = gru(), gru(), ContiguousBatches(IDS, 4, 10)
    list(Trainer(ours, data, steps=12, optimizer="sgd", learning_rate=0.5, schedule="constant", warmup=0.0, clip=1.0))
    state = None
    for number in range(12):
        batch = data[number]
        if state is None or number % data.epoch == 0:
            state = plain.start(batch.inputs)
        logits, state = plain(batch.inputs, detach(state))
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        plain.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        with torch.no_grad():
            for p in plain.parameters():
                p -= 0.5 * p.grad
    torch.testing.assert_close(weights_of(ours), weights_of(plain))


def test_the_state_is_carried_where_a_batch_continues():
    data = ContiguousBatches(IDS, 4, 10)
    trainer = Trainer(gru(), data, steps=2 * data.epoch, learning_rate=1e-9)
    seen = []
    for step in trainer:
        seen.append(trainer.state)
        before = None if step.number == 1 or not data[step.number - 1].carries_state else seen[-2]
        _, wanted = trainer.model.loss(data[step.number - 1], before)
        torch.testing.assert_close(trainer.state, wanted, atol=1e-5, rtol=1e-4)
    assert all(not s.requires_grad for layer in seen[-1] for way in layer for s in way)


def test_clipping_bounds_the_step_and_tells_the_norm_before():
    model = gru()
    before = weights_of(model)
    options = {"optimizer": "sgd", "learning_rate": 1.0, "clip": 0.01, "schedule": "constant", "warmup": 0.0}
    step = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=1, **options).step()
    assert step.grad_norm > 0.01
    assert (weights_of(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_run_that_explodes_is_stopped_with_good_weights():
    model = gru()
    trainer = Trainer(
        model, ContiguousBatches(IDS, 4, 10), steps=50, optimizer="sgd", learning_rate=1e38, clip=0.0, warmup=0.0
    )
    with pytest.raises(TrainingError, match="at step") as caught:
        list(trainer)
    assert "learning_rate" in caught.value.hint
    assert 1 <= trainer.number < 50
    assert all(p.isfinite().all() for p in model.parameters())


def test_clipping_saves_a_run_that_would_explode():
    trainer = Trainer(gru(), ContiguousBatches(IDS, 4, 10), steps=50, optimizer="sgd", learning_rate=3.0, clip=0.1)
    losses = [step.loss for step in trainer]
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "muon"])
def test_every_optimizer_learns_and_goes_on_bit_for_bit(name):
    """Saved in the middle and loaded into a fresh trainer: the same weights, moments, average, dropout and state."""

    def trainer(model):
        options = {
            "weight_decay": 0.1,
            "ema": 0.9,
            "accumulate": 2,
            "momentum": 0.9 if name in ("sgd", "rmsprop") else 0.0,
        }
        return Trainer(model, ContiguousBatches(IDS, 4, 10), steps=40, optimizer=name, learning_rate=0.01, **options)

    straight = trainer(gru(dropout=0.3))
    torch.manual_seed(1)
    losses = [step.loss for step in straight]
    assert sum(losses[-10:]) < sum(losses[:10])
    first = trainer(gru(dropout=0.3))
    torch.manual_seed(1)
    steps = iter(first)
    for _ in range(17):
        next(steps)
    tensors, plain = first.save()
    tensors = {key: value.clone() for key, value in tensors.items()}
    torch.manual_seed(99)
    second = trainer(gru(seed=5, dropout=0.3))
    second.load(tensors, plain)
    assert [step.loss for step in second] == losses[17:]
    assert torch.equal(weights_of(straight.model), weights_of(second.model))
    assert all(torch.equal(a, b) for a, b in zip(straight.average, second.average, strict=True))


def test_the_average_is_of_trained_weights_alone_and_steps_aside():
    """Exponential weights that add up to one over the steps done: the random weights at the start have no share."""
    model = gru()
    trainer = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=5, ema=0.5)
    passed = [weights_of(model) for _ in trainer]
    shares = [0.5 ** (5 - number) for number in range(5)]
    average = sum(share * weights for share, weights in zip(shares, passed, strict=True)) / sum(shares)
    raw = weights_of(model)
    with trainer.averaged():
        torch.testing.assert_close(weights_of(model), average)
    assert torch.equal(weights_of(model), raw)


def test_the_average_of_one_step_is_its_weights():
    model = gru()
    trainer = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=1, ema=0.99)
    list(trainer)
    raw = weights_of(model)
    with trainer.averaged():
        assert torch.equal(weights_of(model), raw)


def test_epochs_are_a_budget_too():
    data = ContiguousBatches(IDS, 4, 10)
    assert len(list(Trainer(gru(), data, epochs=1.5))) == round(1.5 * data.epoch)


def test_minutes_are_a_budget_too(monkeypatch):
    clock = count()
    monkeypatch.setattr("unspool.training.trainer.perf_counter", lambda: next(clock) * 0.125)  # what a step takes
    trainer = Trainer(gru(), ContiguousBatches(IDS, 4, 10), minutes=0.125, warmup=0.1, decay=0.5)
    rates = [step.learning_rate / 0.003 for step in trainer]
    assert len(rates) == 60
    assert 0 < rates[0] < 0.2 and rates[20] == 1 and rates[-1] < 0.05


def test_without_a_budget_nothing_begins():
    with pytest.raises(ConfigError, match="budget"):
        Trainer(gru(), ContiguousBatches(IDS, 4, 10))


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "warmup-stable-decay"])
def test_a_schedule_warms_up_and_ends_where_it_says(name):
    schedule = Schedule(name, warmup=0.1, decay=0.4)
    factors = [schedule.factor(k / 100) for k in range(101)]
    assert factors[0] == 0 and factors[5] == pytest.approx(0.5) and max(factors) == pytest.approx(1.0)
    assert factors[-1] == pytest.approx(1.0 if name == "constant" else 0.0, abs=1e-9)
    assert factors[10:] == sorted(factors[10:], reverse=True)


def test_a_plateau_divides_by_four():
    schedule = Schedule("plateau")
    for loss, level in [(3.0, 1.0), (2.0, 1.0), (2.5, 0.25), (1.9, 0.25), (1.9, 0.0625)]:
        schedule.report(loss)
        assert schedule.factor(0.5) == level


def test_only_matrices_decay_and_muon_takes_the_cores_an_encoders_too():
    model, core = gru(), cores.build("core", "recurrent", width=6)
    model.encoder = Encoder(embedding(Tokens(5), 6), core)
    made = optimizers(model, "muon", 0.01, weight_decay=0.1)
    assert [type(o).__name__ for o in made] == ["Muon", "Adam"]
    turned = {id(p) for group in made[0].param_groups for p in group["params"]}
    inside = [*model.core.parameters(), *core.parameters()]
    assert turned == {id(p) for p in inside if p.dim() == 2}
    still = {id(p) for group in made[1].param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert id(model.embedding.weight) in still and id(model.head.bias) in still and id(model.head.weight) not in still


def test_the_loss_looks_where_it_counts_and_nowhere_else():
    model, ids = gru(), torch.randint(V, (3, 8))
    loss_mask = torch.rand(3, 8) < 0.5
    batch = Batch(ids, ids.roll(1, 1), loss_mask)
    logits, _ = model(ids, model.start(ids))
    wanted = nn.functional.cross_entropy(logits[loss_mask], ids.roll(1, 1)[loss_mask])
    torch.testing.assert_close(model.loss(batch)[0], wanted)
    elsewhere = Batch(ids, torch.where(loss_mask, batch.targets, (batch.targets + 1) % V), loss_mask)
    torch.testing.assert_close(model.loss(elsewhere)[0], wanted)
    assert model.loss(Batch(ids, ids, torch.zeros_like(loss_mask)))[0].item() == 0


def test_numbers_have_a_head_too():
    layer = Gaussian(4, 2)
    y, targets, loss_mask = torch.randn(3, 5, 4), torch.randn(3, 5, 2), torch.rand(3, 5) < 0.7
    wanted = (layer(y) - targets).square().sum(-1)[loss_mask].mean() / 2
    torch.testing.assert_close(layer.loss(y, targets, loss_mask), wanted)


def test_an_embedding_is_a_matrix_and_a_one_hot():
    table = embedding(Tokens(V), W)
    ids = torch.randint(V, (2, 3))
    torch.testing.assert_close(table(ids), nn.functional.one_hot(ids, V).float() @ table.weight)


def test_tied_ends_share_their_weights_and_save_them():
    core = cores.build("core", "recurrent", width=W)
    model = SequenceModel(embedding(Tokens(V), W), core, head(Tokens(V), W), tied=True)
    assert model.embedding.weight is model.head.weight
    assert len({id(p) for p in model.parameters()}) == len(list(model.parameters()))
    core = cores.build("core", {"kind": "recurrent", "input_width": 4}, width=W)
    with pytest.raises(ConfigError, match="7 x 4 and 7 x 6"):
        SequenceModel(embedding(Tokens(V), 4), core, head(Tokens(V), W), tied=True)


def test_a_whole_set_is_judged_position_by_position():
    from unspool.data.batching.contiguous import ContiguousEval, WindowedEval

    model = gru().eval()
    with torch.no_grad():
        logits, _ = model(IDS[None, :-1], model.start(IDS[None]))
        one_by_one = nn.functional.cross_entropy(logits[0], IDS[1:]).item()
    score = evaluate(model, ContiguousEval(IDS, 1, 37))
    assert score.positions == len(IDS) - 1
    assert score.loss == pytest.approx(one_by_one, abs=1e-5)
    assert evaluate(model, WindowedEval(IDS, 16, 5)).positions == len(IDS) - 1
    assert evaluate(model, WindowedEval(IDS, 16, 5)).loss == pytest.approx(
        evaluate(model, WindowedEval(IDS, 16, 3)).loss, abs=1e-5
    )


def test_a_trainer_shows_how_far_it_is():
    trainer = Trainer(gru(), ContiguousBatches(IDS, 4, 10), steps=1200)
    assert repr(trainer) == "Trainer(step 0 of 1,200)"
    step = trainer.step()
    assert repr(trainer) == f"Trainer(step 1 of 1,200, loss {step.loss:.4g}, lr {step.learning_rate:.3g})"
    assert repr(Trainer(gru(), ContiguousBatches(IDS, 4, 10), minutes=2.0)) == "Trainer(step 0, 0.0 of 2 minutes)"


DATA = ContiguousBatches(torch.randint(V, (400,), generator=torch.Generator().manual_seed(0)), 4, 10)


class Same:
    """One batch under every number."""

    epoch = 0

    def __init__(self, batch):
        self.batch = batch

    def __getitem__(self, number):
        return self.batch


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "muon"])
def test_one_step_moves_every_weight_at_one_factor(name):
    made = gru()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    trainer = Trainer(made, DATA, steps=10, optimizer=name, warmup=0.5)
    assert trainer.step().learning_rate == pytest.approx(0.2 * 3e-3)
    assert [key for key, value in made.state_dict().items() if torch.equal(value, before[key])] == []
    groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    assert {group["lr"] for group in groups} == {groups[0]["base"] * 0.2}


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_tells_the_mean_loss_of_its_whole_batch(accumulate):
    ids = torch.randint(V, (7, 9))
    batch = Batch(ids, ids.roll(1, 1), torch.rand(7, 9) < torch.rand(7, 1))
    made = gru()
    wanted = made.loss(batch)[0].item()
    step = Trainer(made, Same(batch), steps=1, accumulate=accumulate).step()
    assert step.loss == pytest.approx(wanted, abs=1e-6)
    assert step.positions == int(batch.loss_mask.sum())


@pytest.mark.parametrize(("kind", "options"), [("recurrent", {"cell": "lstm"}), ("transformer", {"heads": 1})])
def test_parts_of_a_padded_batch_are_shorter_and_train_as_the_whole(kind, options):
    """Rows of lengths 2 to 9, the shortest first: three parts have three lengths, and their gradients add up."""
    lengths = torch.tensor([2, 3, 3, 5, 6, 9])
    mask = torch.arange(9) < lengths.unsqueeze(1)
    ids = torch.randint(V, (6, 9))
    batch = Batch(ids, ids.roll(1, 1), mask & (torch.rand(6, 9) < 0.7), mask)
    assert [part.inputs.shape[1] for part in batch.parts(3)] == [3, 5, 9]

    def trained(accumulate):
        torch.manual_seed(3)
        model = SequenceModel(
            embedding(Tokens(V), W), cores.build("core", kind, width=W, **options), head(Tokens(V), W)
        )
        trainer = Trainer(model, Same(batch), steps=2, optimizer="sgd", learning_rate=0.5, accumulate=accumulate)
        return [step.loss for step in trainer], weights_of(model)

    (whole, weights), (parts, others) = trained(1), trained(3)
    assert parts == pytest.approx(whole, abs=1e-5)
    torch.testing.assert_close(others, weights, atol=1e-5, rtol=1e-4)


def test_a_batch_that_was_prepared_is_used_once_and_only_where_it_is_the_next():
    drawn = []

    class Counted(Same):
        def __getitem__(self, number):
            drawn.append(number)
            return super().__getitem__(number)

    trainer = Trainer(gru(), Counted(DATA[0]), steps=4)
    trainer.step()
    assert trainer.prepared is None, "on a processor nothing is prepared"
    trainer.prepared = 1, DATA[1]
    step = trainer.step()
    assert drawn == [0] and step.positions == DATA[1].positions and trainer.prepared is None
    trainer.prepared = 1, DATA[1]  # of a step that was done
    trainer.step()
    assert drawn == [0, 2]


def test_a_step_trains_whatever_the_mode_was_and_draws_by_seed_and_number():
    batch, quiet = DATA[0], {"learning_rate": 1e-12, "steps": 3}

    def losses(seed):
        return [step.loss for step in Trainer(gru(dropout=0.5).eval(), Same(batch), seed=seed, **quiet)]

    assert losses(1) == losses(1)
    assert len({*losses(1), *losses(2), gru().loss(batch)[0].item()}) == 7


def test_a_gradient_that_is_not_finite_changes_nothing():
    made = gru()
    made.head.bias.register_hook(lambda gradient: gradient * float("inf"))
    before, trainer = weights_of(made), Trainer(made, DATA, steps=3)
    with pytest.raises(TrainingError, match="at step 1"):
        trainer.step()
    assert torch.equal(weights_of(made), before) and trainer.number == 0


def test_the_raw_weights_come_back_after_an_error_too():
    trainer = Trainer(gru(), DATA, steps=3, ema=0.9)
    list(trainer)
    raw = weights_of(trainer.model)
    with pytest.raises(ZeroDivisionError), trainer.averaged():
        assert not torch.equal(weights_of(trainer.model), raw)
        raise ZeroDivisionError
    assert torch.equal(weights_of(trainer.model), raw)


def test_a_loaded_trainer_knows_its_time_and_its_plateau():
    first, second = (Trainer(gru(), DATA, minutes=1.0, schedule="plateau", warmup=0.0) for _ in range(2))
    first.step()
    for loss in (1.0, 2.0):
        first.schedule.report(loss)
    second.load(*first.save())
    assert second.progress() == first.progress() > 0
    second.schedule.report(1.5)
    assert second.schedule.factor(0.5) == 0.25**2
