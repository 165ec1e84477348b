"""A run folder is data, whole or refused; what was good before stays good."""

import errno
import json

import pytest
import torch

from helpers.devices import ROUNDING
from helpers.models import char_lm
from unspool.errors import CheckpointError, ConfigError
from unspool.experiment.events import Finished, Saved
from unspool.experiment.experiment import Experiment
from unspool.nn.heads import Head
from unspool.runs import checkpoint
from unspool.runs.run import Run


def tiny(*overrides):
    return char_lm(
        "data.limit=4000", "evaluate.times=3", "sample.times=1", "sample.length=8", "save.every=5", *overrides
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    events = list(Experiment.new(tiny(), folder))
    assert isinstance(events[-1], Finished)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    import shutil

    return shutil.copytree(run, tmp_path / "copy")


def test_a_run_is_a_folder_of_data(run):
    kinds = {path.suffix for path in run.rglob("*") if path.is_file()}
    assert kinds == {".toml", ".json", ".jsonl", ".png", ".safetensors"}
    assert {
        "recipe.toml",
        "tokenizer.json",
        "preprocessor.json",
        "about.json",
        "metrics.jsonl",
        "results.json",
        "loss.png",
    } <= {path.name for path in run.iterdir()}


def test_best_and_last_are_kept(run):
    numbers = [c.number for c in checkpoint.checkpoints(run)]
    assert checkpoint.find_checkpoint(run, "last").number == 12
    assert checkpoint.find_checkpoint(run, "best").number in numbers and len(numbers) <= 3


def test_a_loaded_model_is_the_trained_one(run):
    best = checkpoint.find_checkpoint(run)
    model = Run.load(run).model
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in best.weights().items())
    results = json.loads((run / "results.json").read_text())
    assert Run.load(run).evaluate("valid")["valid/contiguous/loss"] == pytest.approx(
        results["valid/contiguous/loss"], abs=ROUNDING
    )


@pytest.mark.parametrize("name", ["model.safetensors", "trainer.safetensors", "trainer.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "edited", "removed"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_is_named_and_loads(copy, name, damage):
    file = checkpoint.checkpoints(copy)[-1].path / name
    content = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(
            content[: len(content) // 2] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1])
        )
    with pytest.raises(CheckpointError) as caught:
        Run.load(copy)
    before = checkpoint.checkpoints(copy)[-2]
    assert str(before.path) in caught.value.hint
    assert Run.load(before.path).checkpoint.number == before.number
    assert list(Experiment.resume(before.path))[-1].number == 12


@pytest.mark.parametrize("name", ["recipe.toml", "tokenizer.json", "preprocessor.json", "about.json"])
def test_an_edited_description_is_refused(copy, name):
    (copy / name).write_text((copy / name).read_text() + " ")
    with pytest.raises(CheckpointError, match=f"{name} was truncated or edited"):
        Run.load(copy)


@pytest.mark.parametrize("call", ["write_through", "flush_folder"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, call):
    folder = tmp_path / "run"
    events = iter(Experiment.new(tiny(), folder))
    while not isinstance(next(events), Saved):
        pass
    kept = checkpoint.find_checkpoint(folder, "last").number

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, call, full)
        with pytest.raises(CheckpointError, match="no space left"):
            list(events)
    assert checkpoint.find_checkpoint(folder, "last").number >= kept
    list(Experiment.resume(folder))
    list(Experiment.new(tiny(), tmp_path / "straight"))
    assert weights(folder) == weights(tmp_path / "straight")


def weights(folder):
    last = checkpoint.find_checkpoint(folder, "last")
    return {name: value.tolist() for name, value in {**last.weights(), **last.tensors()}.items()}


@pytest.mark.parametrize("stop_at", [1, 4, 7, 11])
def test_stopped_and_resumed_is_never_stopped(tmp_path, stop_at):
    """The same weights, moments, carried state, random numbers and metrics, whenever it was stopped."""
    options = ["model.dropout=0.2", "train.ema=0.9", "train.accumulate=2"]
    list(Experiment.new(tiny(*options), tmp_path / "straight"))
    experiment = Experiment.new(tiny(*options), tmp_path / "stopped")
    for event in experiment:
        if getattr(event, "number", 0) == stop_at:
            experiment.stop()
    assert event.why == "asked"
    torch.manual_seed(777)
    list(Experiment.resume(tmp_path / "stopped"))
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")
    ours, theirs = (
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (folder / "metrics.jsonl").read_text().splitlines()
        ]
        for folder in (tmp_path / "stopped", tmp_path / "straight")
    )
    assert ours == theirs


def test_nothing_in_a_run_folder_is_executed(run, monkeypatch):
    import builtins
    import pickle

    def forbidden(*_, **__):
        raise AssertionError("executed something")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, forbidden)
    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr(torch, "load", forbidden)
    assert isinstance(Run.load(run).model.head, Head)


def test_patience_ends_a_run_that_no_longer_improves(tmp_path):
    recipe = tiny("train.learning_rate=1e-12", "train.steps=60", "evaluate.times=30", "evaluate.patience=2")
    *_, last = Experiment.new(recipe, tmp_path / "run")
    assert last.why == "patience" and last.number < 60


def test_the_metrics_tell_every_step(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == list(range(1, 13))
    assert len([line for line in lines if line["kind"] == "valid"]) == 3
    assert len([line for line in lines if line["kind"] == "sample"]) == 1


def test_tensorboard_or_a_hint(tmp_path):
    recipe = tiny("save.tensorboard=true")
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigError, match="tensorboard") as caught:
            list(Experiment.new(recipe, tmp_path / "run"))
        assert caught.value.hint == "pip install tensorboard"
    else:
        list(Experiment.new(recipe, tmp_path / "run"))
        assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_what_a_crash_left_half_written_goes_and_is_never_read(tmp_path):
    experiment = Experiment.new(char_lm("train.steps=2"), tmp_path / "run")
    draft = tmp_path / "run/checkpoints/.draft-abc"
    draft.mkdir(parents=True)
    (draft / "model.safetensors").write_bytes(b"half")
    list(experiment)
    assert not draft.exists() and checkpoint.find_checkpoint(tmp_path / "run").number in (1, 2)


def test_a_manifest_names_every_file(tmp_path):
    list(Experiment.new(char_lm("train.steps=2", "evaluate.times=1"), tmp_path / "run"))
    manifest = checkpoint.find_checkpoint(tmp_path / "run").path / "manifest.json"
    named = json.loads(manifest.read_text())
    for name in ("model.safetensors", "trainer.safetensors", "trainer.json"):
        less = {key: value for key, value in named["sha256"].items() if key != name}
        manifest.write_text(json.dumps({"sha256": less}))
        with pytest.raises(CheckpointError, match="does not name every file"):
            checkpoint.find_checkpoint(tmp_path / "run")
