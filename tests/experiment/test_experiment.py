"""An experiment: which model is evaluated, saved and sampled, what ends it, and what a resume knows."""

import sys

import pytest
import torch

from helpers.devices import ROUNDING
from helpers.models import char_lm, weights_of
from unspool.errors import CheckpointError
from unspool.experiment.events import Evaluated, Sampled
from unspool.experiment.experiment import Experiment
from unspool.generate.sampling import (
    Sampling,
)
from unspool.runs import checkpoint
from unspool.runs.run import Run
from unspool.training.log import records
from unspool.training.memory import peak_memory, restart_peak
from unspool.training.trainer import TrainingStep


def evaluations(events):
    return [event for event in events if isinstance(event, Evaluated)]


def test_the_averaged_model_is_the_one_that_is_judged_saved_and_sampled(tmp_path):
    recipe = char_lm("train.ema=0.9", "train.learning_rate=0.05", "sample.times=1", "sample.length=30")
    experiment = Experiment.new(recipe, tmp_path / "run")
    events = list(experiment)
    last = Run.load(tmp_path / "run", which="last")
    average = dict(zip(dict(experiment.model.named_parameters()), experiment.trainer.average, strict=True))
    assert all(torch.equal(value, average[name].cpu()) for name, value in last.model.named_parameters())
    assert last.evaluate()["valid/contiguous/loss"] == pytest.approx(
        evaluations(events)[-1].values["loss"], abs=ROUNDING
    )
    (sampled,) = (event for event in events if isinstance(event, Sampled))
    sampling = Sampling(temperature=experiment.sections.sample.temperature)
    assert sampled.text == "".join(last.stream(sampled.prompt, length=30, sampling=sampling, seed=sampled.number))


def test_the_best_model_is_kept_through_worse_ones_and_a_resume(tmp_path):
    """The learning rate grows until every judgement is worse than the one before."""
    recipe = char_lm("train.optimizer=sgd", "train.learning_rate=2000", "train.clip=0", "train.schedule=constant",
                  "train.warmup=0.99", "evaluate.times=12")  # fmt: skip
    experiment = Experiment.new(recipe, tmp_path / "run")
    events = []
    for event in experiment:
        events.append(event)
        if getattr(event, "number", 0) == 10:
            experiment.stop()
    events += list(Experiment.resume(tmp_path / "run"))
    losses = [event.values["loss"] for event in evaluations(events)]
    best = losses.index(min(losses)) + 1
    assert len(losses) == 12 and best < 9
    assert [event.number for event in evaluations(events) if event.best][-1] == best
    assert [c.number for c in checkpoint.checkpoints(tmp_path / "run")] == [best, 11, 12]
    assert checkpoint.find_checkpoint(tmp_path / "run").number == best
    assert events[-1].results["valid/contiguous/loss"] == pytest.approx(min(losses), abs=1e-6)


def test_patience_is_not_renewed_by_a_resume(tmp_path):
    recipe = char_lm("train.learning_rate=1e-12", "train.steps=60", "evaluate.times=30", "evaluate.patience=3")
    straight = list(Experiment.new(recipe, tmp_path / "straight"))[-1]
    experiment = Experiment.new(recipe, tmp_path / "stopped")
    for event in experiment:
        if isinstance(event, Evaluated) and event.number == straight.number - 2:
            experiment.stop()
    resumed = list(Experiment.resume(tmp_path / "stopped"))[-1]
    assert (resumed.number, resumed.why) == (straight.number, "patience")


def test_a_plateau_hears_every_judgement(tmp_path):
    recipe = char_lm("train.schedule=plateau", "train.warmup=0", "train.learning_rate=1e-12")
    steps = [event for event in Experiment.new(recipe, tmp_path / "run") if isinstance(event, TrainingStep)]
    losses = [event["loss"] for event in records(tmp_path / "run", "valid")]
    worse = sum(loss >= min(losses[:index]) for index, loss in enumerate(losses[:-1]) if index)
    assert worse > 0 and steps[-1].learning_rate / 1e-12 == pytest.approx(0.25**worse)


def test_what_one_resume_was_told_the_next_one_knows(tmp_path):
    list(Experiment.new(char_lm("train.schedule=constant"), tmp_path / "run"))
    list(Experiment.resume(tmp_path / "run", ["train.steps=14", "train.learning_rate=0.25"]))
    steps = [
        event for event in Experiment.resume(tmp_path / "run", ["train.steps=16"]) if isinstance(event, TrainingStep)
    ]
    assert [(step.number, step.learning_rate) for step in steps] == [(15, 0.25), (16, 0.25)]


def test_the_training_loss_is_the_mean_of_the_last_fifth(tmp_path):
    events = list(Experiment.new(char_lm(), tmp_path / "run"))
    losses = [event.loss for event in events if isinstance(event, TrainingStep)]
    assert events[-1].results["train/loss"] == pytest.approx(sum(losses[-2:]) / 2)


def test_another_seed_is_another_model(tmp_path):
    first, same, other = (
        Experiment.new(char_lm(f"seed={seed}"), tmp_path / str(n)) for n, seed in enumerate((1, 1, 2))
    )
    assert torch.equal(weights_of(first.model), weights_of(same.model))
    assert not torch.equal(weights_of(first.model), weights_of(other.model))
    assert [e.trainer.seed for e in (first, other)] == [1, 2]


def test_data_that_changed_is_not_trained_on(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be " * 100)
    list(Experiment.new(char_lm("train.steps=2", f"data.path={text}"), tmp_path / "run"))
    text.write_text("to be or not to bo " * 100)
    with pytest.raises(CheckpointError, match="not what"):
        Experiment.resume(tmp_path / "run", ["train.steps=4"])


def test_the_peak_of_the_memory_is_kept_over_resumptions(tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.experiment.experiment.peak_memory", lambda device: {"peak_memory": 7_000_000_000})
    (*_, first) = Experiment.new(char_lm("train.steps=2"), tmp_path / "run")
    assert first.results["train/peak_memory"] == 7_000_000_000
    monkeypatch.undo()
    (*_, again) = Experiment.resume(tmp_path / "run", ["train.steps=3"])
    assert again.results["train/peak_memory"] == 7_000_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot begin anew")
def test_the_peak_of_the_memory_is_that_of_this_training_in_bytes():
    size = 200_000_000
    bytearray(size).find(b"x")  # touched, and given back
    assert size < peak_memory("cpu")["peak_memory"] < 50 * size
    restart_peak("cpu")
    before = peak_memory("cpu")["peak_memory"]
    bytearray(size).find(b"x")
    assert size * 0.8 < peak_memory("cpu")["peak_memory"] - before < size * 1.5
