"""Tuning a first state: it learns what begins every chunk, the weights stay, and the best step is kept."""

import pytest
import torch

from helpers.models import small, weights_of
from unspool import Tokens
from unspool.errors import ConfigError, TrainingError
from unspool.nn.part import tensors
from unspool.training.state_tuning import StateTuner, chunk_scores, cut_chunks

V = 7
TALL = torch.tensor([[0, 3, 1, 4, 1, 5]]).repeat(12, 1)
SHORT = torch.tensor([[0, 2, 6, 2, 6, 2]]).repeat(12, 1)


@pytest.mark.parametrize(
    "core",
    ["recurrent", {"kind": "recurrent", "cell": "gru", "layers": 2}, "blocks", {"kind": "blocks", "cell": "gla"}],
)
def test_a_state_learns_its_own_voice_and_the_weights_stay(core):
    model = small(core, Tokens(V))
    before = weights_of(model)
    tuner = StateTuner(model, TALL, TALL, steps=60, rate=0.1)
    steps = list(tuner)
    assert torch.equal(weights_of(model), before) and all(w.requires_grad for w in model.parameters())
    assert steps[0].number == 0 and tuner.lowest < steps[0].valid - 0.1
    own, other = (float(chunk_scores(model, chunks, tuner.best).mean()) for chunks in (TALL, SHORT))
    assert own == pytest.approx(-tuner.lowest, abs=1e-6)
    empty = float(chunk_scores(model, SHORT, tuner.first).mean())
    assert own - float(chunk_scores(model, TALL, tuner.first).mean()) > other - empty


def test_the_best_step_is_kept_and_patience_ends_the_tuning():
    model = small("recurrent", Tokens(V))
    tuner = StateTuner(model, TALL, SHORT, steps=1000, rate=0.3, every=1, patience=4)
    steps = list(tuner)
    found = [step.valid for step in steps]
    assert len(steps) < 1000 and tuner.ended and not any(step.best for step in steps[-4:])
    assert tuner.lowest == min(found) == pytest.approx(-float(chunk_scores(model, SHORT, tuner.best).mean()), abs=1e-6)


def test_a_tuning_that_is_stopped_has_its_best_so_far():
    tuner = StateTuner(small("recurrent", Tokens(V)), TALL, TALL, steps=1000, every=1)
    for step in tuner:
        if step.number == 3:
            tuner.stop()
    assert tuner.number == 3 and tuner.lowest < float("inf")
    assert any(not torch.equal(a, b) for (_, a), (_, b) in zip(tensors(tuner.best), tensors(tuner.first), strict=True))


def test_the_same_seed_tunes_the_same_state():
    model, chunks = small("recurrent", Tokens(V)), torch.randint(V, (40, 6))
    states = []
    for seed in (1, 1, 2):
        tuner = StateTuner(model, chunks, chunks, steps=5, batch_size=8, seed=seed)
        list(tuner)
        states.append(torch.cat([value.flatten() for _, value in tensors(tuner.state)]))
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_a_transformer_is_refused():
    for positions in ("rotary", "learned"):
        model = small({"kind": "transformer", "context": 16, "positions": positions}, Tokens(V))
        with pytest.raises(ConfigError, match="begins a text with an empty state") as caught:
            StateTuner(model, TALL, TALL)
        assert "core.kind=recurrent" in caught.value.hint


def test_a_rate_that_is_too_large_is_a_clear_error():
    model = small({"kind": "recurrent", "cell": {"kind": "elman", "activation": "relu"}}, Tokens(V))
    with torch.no_grad():
        model.head.weight.mul_(1e36)
    with pytest.raises(TrainingError, match="diverged at step") as caught:
        list(StateTuner(model, TALL, TALL, steps=50, rate=1e5))
    assert "--rate" in caught.value.hint
    for rate in (0.0, float("nan"), 1e9):
        with pytest.raises(ConfigError, match="--rate should be"):
            StateTuner(model, TALL, TALL, rate=rate)


def test_chunks_begin_behind_line_breaks_or_else_anywhere():
    lines = torch.tensor([1, 0, 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9])
    assert cut_chunks(lines, 3, opening=0, number=9).tolist() == [[0, 1, 2, 3], [0, 4, 5, 6], [0, 7, 8, 9]]
    found = cut_chunks(torch.arange(100) + 1, 5, opening=0, number=10)
    assert found.shape == (10, 6) and not found[:, 0].any()
    assert (found[:, 2:] - found[:, 1:-1] == 1).all() and found[-1, -1] == 100
    assert cut_chunks(torch.tensor([3, 4]), 50, opening=0, number=10).tolist() == [[0, 4]]
