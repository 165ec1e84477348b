"""Recorded passes have the losses, states and gradients of the passes themselves; on a CPU the same, unrecorded."""

from dataclasses import replace

import pytest
import torch

from helpers.devices import DEVICES, needs_gpu
from helpers.models import small
from unspool import Tokens, Vectors
from unspool.batch import Batch
from unspool.data.batching.contiguous import ContiguousBatches
from unspool.nn.cuda_graphs import recording
from unspool.nn.part import detach, tensors
from unspool.training import recorded
from unspool.training.recorded import OFTEN, RecordedPasses
from unspool.training.trainer import Trainer

on_each = pytest.mark.parametrize("device", DEVICES)
MODELS = {
    "lstm": {"core": "recurrent", "cell": "lstm", "width": 16},
    "gru": {"core": "recurrent", "cell": "gru", "layers": 2, "width": 16},
    "mingru": {"core": "blocks", "cell": "mingru", "width": 16},
    "transformer": {"core": "transformer", "layers": 2, "heads": 2, "context": 16, "width": 16},
    "gpt-2": {"core": "transformer", "positions": "learned", "norm": "layer", "heads": 2, "context": 16, "width": 16},
}


def made(name, device="cpu"):
    model = small(**MODELS[name], inputs=Tokens(7)).to(device)
    return model, passes_of(model)


def passes_of(model):
    def passes(batch, state):
        loss, after = model.loss(batch, state)
        loss.backward()
        return loss.detach(), detach(after)

    return passes


def batches(number, length=8, seed=0):
    random = torch.Generator().manual_seed(seed)
    for _ in range(number):
        ids = torch.randint(7, (3, length + 1), generator=random)
        yield Batch(ids[:, :-1], ids[:, 1:], torch.ones(3, length, dtype=torch.bool))


def learned(model, found):
    loss, state = found
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    for p in model.parameters():
        p.grad = None
    return [loss.clone(), *gradients, *(value.clone() for _, value in tensors(state))]


@on_each
@pytest.mark.parametrize("name", MODELS)
def test_losses_states_and_gradients_are_those_of_the_passes(name, device):
    """Recorded from the eighth batch on, and with a state that is carried from batch to batch."""
    model, passes = made(name, device)
    fast, state, own = RecordedPasses(model, passes), None, None
    carries = "transformer" not in name and name != "gpt-2"
    for number, batch in enumerate(batches(OFTEN + 5), start=1):
        wanted = learned(model, (plain := passes(batch.to(device), own)))
        got = learned(model, (quick := fast(batch, state)))
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
        own, state = (plain[1], quick[1]) if carries else (None, None)
        assert bool(fast._recorded) == (number >= OFTEN + carries)  # the first has no state yet


@on_each
def test_batches_with_padding_and_those_that_are_watched_run_as_they_are(device):
    model, passes = made("lstm", device)
    fast = RecordedPasses(model, passes)
    for batch in batches(OFTEN + 1):
        learned(model, fast(batch, None))
    assert len(fast._recorded) == 1
    (batch,) = batches(1, seed=5)
    there = torch.ones(3, 8, dtype=torch.bool)
    there[0, 5:] = False
    padded = replace(batch, loss_mask=there, mask=there)
    torch.testing.assert_close(learned(model, fast(padded, None)), learned(model, passes(padded.to(device), None)))
    seen = []
    model.core.layers[0][0].watcher = lambda name, value: seen.append(name) or value
    learned(model, fast(batch, None))
    assert seen and len(fast._recorded) == 1


def test_only_so_many_shapes_are_recorded():
    model, passes = made("lstm")
    fast = RecordedPasses(model, passes)
    for length in range(3, 3 + recorded.MOST + 2):
        for batch in batches(OFTEN, length):
            learned(model, fast(batch, None))
    assert len(fast._recorded) == recorded.MOST


def test_what_cannot_be_recorded_trains_as_before(monkeypatch):
    def refuse(step, device):
        step()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(recorded, "record", refuse)
    model, passes = made("gru")
    fast = RecordedPasses(model, passes)
    for batch in batches(OFTEN + 2):
        before = torch.get_rng_state()
        got = learned(model, fast(batch, None))
        torch.testing.assert_close(got, learned(model, passes(batch, None)), atol=0, rtol=0)
        assert torch.equal(before, torch.get_rng_state())
    assert not fast._recorded and not fast._possible


@needs_gpu
@pytest.mark.parametrize("when", [lambda: True, recording], ids=["always", "while it is recorded"])
def test_a_model_that_reads_values_of_the_gpu_trains_as_before(when):
    """And what draws random numbers works behind the attempt."""
    model = small(**MODELS["gru"], inputs=Tokens(7), dropout=0.3).to("cuda")

    def passes(batch, state):
        loss, after = model.loss(batch, state)
        assert not when() or loss.item() > 0
        loss.backward()
        return loss.detach(), detach(after)

    fast = RecordedPasses(model, passes)
    for batch in batches(OFTEN + 3):
        torch.cuda.manual_seed(1)
        got = learned(model, fast(batch, None))
        torch.cuda.manual_seed(1)
        torch.testing.assert_close(got, learned(model, passes(batch.to("cuda"), None)), atol=1e-5, rtol=1e-4)
    assert not fast._recorded and not fast._possible


def test_numbers_can_be_recorded_too():
    """The losses of heads that predict numbers have no boolean index where every position counts."""
    model = small(**MODELS["lstm"], inputs=Vectors(2))
    fast = RecordedPasses(model, passes_of(model))
    numbers = torch.randn(3, 5, 2)
    batch = Batch(numbers, numbers, torch.ones(3, 5, dtype=torch.bool))
    for _ in range(OFTEN):
        found = learned(model, fast(batch, None))
    torch.testing.assert_close(found, learned(model, passes_of(model)(batch, None)))


@needs_gpu
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_with_graphs_is_the_training_without(name, precision, monkeypatch):
    """With dropout, whose random numbers follow from the step."""
    losses = []
    for often in (OFTEN, 10**9):
        monkeypatch.setattr(recorded, "OFTEN", often)
        model = small(**MODELS[name], inputs=Tokens(7), dropout=0.2, seed=1)
        data = ContiguousBatches(torch.arange(3000).remainder(7), batch_size=4, length=12)
        trainer = Trainer(model, data, steps=40, device="cuda", precision=precision)
        losses.append([step.loss for step in trainer])
        assert bool(trainer._passes._recorded) == (often == OFTEN)
    torch.testing.assert_close(*map(torch.tensor, losses), atol=2e-2 if precision == "bfloat16" else 1e-4, rtol=1e-3)
