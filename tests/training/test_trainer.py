"""The loop against six plain lines, and every promise that a training step makes."""

import math
from itertools import count

import pytest
import torch
from torch import nn

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


def make(seed=0, dropout=0.0, **options):
    torch.manual_seed(seed)
    core = cores.build("core", {"kind": "recurrent", "cell": "gru", **options}, width=W)
    return SequenceModel(embedding(Tokens(V), W), core, head(Tokens(V), W), dropout=dropout)


def vector(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def test_the_loop_is_five_plain_steps():
    """Forward, loss, backward, update, zero the gradients; carried and detached. One missing and this fails."""
    ours, plain, data = make(), make(), ContiguousBatches(IDS, 4, 10)
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
    torch.testing.assert_close(vector(ours), vector(plain))


def test_the_state_is_carried_where_a_batch_continues():
    data = ContiguousBatches(IDS, 4, 10)
    trainer = Trainer(make(), data, steps=2 * data.epoch, learning_rate=1e-9)
    seen = []
    for step in trainer:
        seen.append(trainer.state)
        before = None if step.number == 1 or not data[step.number - 1].carries_state else seen[-2]
        _, wanted = trainer.model.loss(data[step.number - 1], before)
        torch.testing.assert_close(trainer.state, wanted, atol=1e-5, rtol=1e-4)
    assert all(not s.requires_grad for layer in seen[-1] for way in layer for s in way)


def test_clipping_bounds_the_step_and_tells_the_norm_before():
    model = make()
    before = vector(model)
    options = {"optimizer": "sgd", "learning_rate": 1.0, "clip": 0.01, "schedule": "constant", "warmup": 0.0}
    step = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=1, **options).step()
    assert step.grad_norm > 0.01
    assert (vector(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_run_that_explodes_is_stopped_with_good_weights():
    model = make()
    trainer = Trainer(
        model, ContiguousBatches(IDS, 4, 10), steps=50, optimizer="sgd", learning_rate=1e38, clip=0.0, warmup=0.0
    )
    with pytest.raises(TrainingError, match="at step") as caught:
        list(trainer)
    assert "learning_rate" in caught.value.hint
    assert 1 <= trainer.number < 50
    assert all(p.isfinite().all() for p in model.parameters())


def test_clipping_saves_a_run_that_would_explode():
    trainer = Trainer(make(), ContiguousBatches(IDS, 4, 10), steps=50, optimizer="sgd", learning_rate=3.0, clip=0.1)
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

    straight = trainer(make(dropout=0.3))
    torch.manual_seed(1)
    losses = [step.loss for step in straight]
    assert sum(losses[-10:]) < sum(losses[:10])
    first = trainer(make(dropout=0.3))
    torch.manual_seed(1)
    steps = iter(first)
    for _ in range(17):
        next(steps)
    tensors, plain = first.save()
    tensors = {key: value.clone() for key, value in tensors.items()}
    torch.manual_seed(99)
    second = trainer(make(seed=5, dropout=0.3))
    second.load(tensors, plain)
    assert [step.loss for step in second] == losses[17:]
    assert torch.equal(vector(straight.model), vector(second.model))
    assert all(torch.equal(a, b) for a, b in zip(straight.average, second.average, strict=True))


def test_the_average_is_of_trained_weights_alone_and_steps_aside():
    """Exponential weights that add up to one over the steps done: the random weights at the start have no share."""
    model = make()
    trainer = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=5, ema=0.5)
    passed = [vector(model) for _ in trainer]
    shares = [0.5 ** (5 - number) for number in range(5)]
    average = sum(share * weights for share, weights in zip(shares, passed, strict=True)) / sum(shares)
    raw = vector(model)
    with trainer.averaged():
        torch.testing.assert_close(vector(model), average)
    assert torch.equal(vector(model), raw)


def test_the_average_of_one_step_is_its_weights():
    model = make()
    trainer = Trainer(model, ContiguousBatches(IDS, 4, 10), steps=1, ema=0.99)
    list(trainer)
    raw = vector(model)
    with trainer.averaged():
        assert torch.equal(vector(model), raw)


def test_epochs_are_a_budget_too():
    data = ContiguousBatches(IDS, 4, 10)
    assert len(list(Trainer(make(), data, epochs=1.5))) == round(1.5 * data.epoch)


def test_minutes_are_a_budget_too(monkeypatch):
    clock = count()
    monkeypatch.setattr("unspool.training.trainer.perf_counter", lambda: next(clock) * 0.125)  # what a step takes
    trainer = Trainer(make(), ContiguousBatches(IDS, 4, 10), minutes=0.125, warmup=0.1, decay=0.5)
    rates = [step.learning_rate / 0.003 for step in trainer]
    assert len(rates) == 60
    assert 0 < rates[0] < 0.2 and rates[20] == 1 and rates[-1] < 0.05


def test_without_a_budget_nothing_begins():
    with pytest.raises(ConfigError, match="budget"):
        Trainer(make(), ContiguousBatches(IDS, 4, 10))


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
    model, core = make(), cores.build("core", "recurrent", width=6)
    model.encoder = Encoder(embedding(Tokens(5), 6), core)
    made = optimizers(model, "muon", 0.01, weight_decay=0.1)
    assert [type(o).__name__ for o in made] == ["Muon", "AdamW"]
    turned = {id(p) for group in made[0].param_groups for p in group["params"]}
    inside = [*model.core.parameters(), *core.parameters()]
    assert turned == {id(p) for p in inside if p.dim() == 2}
    still = {id(p) for group in made[1].param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert id(model.embedding.weight) in still and id(model.head.bias) in still and id(model.head.weight) not in still


def test_the_loss_looks_where_it_counts_and_nowhere_else():
    model, ids = make(), torch.randint(V, (3, 8))
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

    model = make().eval()
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
    trainer = Trainer(make(), ContiguousBatches(IDS, 4, 10), steps=1200)
    assert repr(trainer) == "Trainer(step 0 of 1,200)"
    step = trainer.step()
    assert repr(trainer) == f"Trainer(step 1 of 1,200, loss {step.loss:.4g}, lr {step.learning_rate:.3g})"
    assert repr(Trainer(make(), ContiguousBatches(IDS, 4, 10), minutes=2.0)) == "Trainer(step 0, 0.0 of 2 minutes)"
