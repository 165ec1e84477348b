"""The task of writing down what is said."""

import pytest
import torch

from helpers.commands import run as command
from unspool import Run, build
from unspool.batch import UnalignedTokens
from unspool.checks.resume import verify_resume
from unspool.data.splits import Splits
from unspool.data.synthetic.speech import tone_speech
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.tasks.transcribe import steps_needed
from unspool.training.trainer import TrainingStep

RECORDS = [{"name": str(seed), **tone_speech(seed, (1, 2))} for seed in range(12)]
SMALL = ["core.width=8", "core.input_width=8", "data.strings=30", "data.longest=1", "evaluate.times=1"]
SMALL += ["train.steps=4", "train.threads=1", "task.batch_size=8"]


def task_of(train, valid=(), **preprocessor):
    recipe = {"task": {"kind": "transcribe", "batch_size": 4, "pool": 1}, "preprocessor": preprocessor}
    return build.task(recipe, Splits(list(train), list(valid)))


def test_a_batch_has_the_texts_at_the_first_positions():
    task = task_of(RECORDS, bands=8)
    batch = task.preprocessor.collate(task.rows["train"][:4])
    for row, record in enumerate(RECORDS[:4]):
        there = batch.loss_mask[row]
        assert "".join(task.target_labels(batch.targets[row][there].tolist())) == record["text"].replace(" ", "␣")
        assert not there[int(there.sum()) :].any()
    assert batch.mask.sum(dim=1).tolist() == [len(row.input) for row in task.rows["train"][:4]]
    assert batch.positions == sum(len(record["text"]) for record in RECORDS[:4])
    assert task.targets == UnalignedTokens(10) and task.target_labels([9]) == ["-"] and task.inputs.size == 24
    frames = torch.cat([row.input for row in task.rows["train"]]).reshape(-1, 8)
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.std(dim=0), torch.ones(8), atol=1e-2, rtol=0)


def test_a_text_that_needs_more_steps_than_there_are_is_left_out_and_told():
    assert [steps_needed(torch.tensor(ids)) for ids in ([1], [1, 1], [1, 2, 1], [1, 1, 1])] == [1, 3, 3, 5]
    short = {**RECORDS[0], "text": "abcdefgh" * 40}
    task = task_of([*RECORDS, short], [RECORDS[0], short])
    assert [len(task.rows[name]) for name in ("train", "valid")] == [12, 1]
    assert "left out of the loss 2 with fewer steps than their text needs" in task.summary()
    assert len(task.generation_sets("valid")["generated"].records) == 2  # it is still a sound to write down
    with pytest.raises(DataError, match="no training sound has as many steps"):
        task_of([short, short])


def test_texts_are_compared_as_they_are_learned():
    task = task_of([{**RECORDS[0], "text": "  U\u0308ber ALL "}, RECORDS[1]])
    assert task.preprocessor.text(task.records["train"][0]) == "über all"
    assert task_of([{**RECORDS[0], "text": "Ab"}], lower=False).preprocessor.tokenizer.characters == [" ", "A", "b"]


@pytest.mark.parametrize(
    "core", ['core={kind="recurrent",cell="gru",width=8}', 'core={kind="transformer",width=8,heads=2,context=256}']
)
def test_a_few_steps_make_a_run_with_error_rates_and_latencies(tmp_path, core):
    results = list(Experiment.new(load_recipe("transcribe-tones", [*SMALL, core]), tmp_path / "run"))[-1].results
    assert {"valid/all/loss", "valid/generated/cer", "valid/generated/wer"} <= results.keys()
    assert results["valid/generated/cer"] > 0
    assert Run.load(tmp_path / "run").evaluate("test").keys() >= {"test/all/loss", "test/generated/cer"}


def test_it_learns_tones(tmp_path):
    options = ["data.strings=80", "data.longest=1", "train.steps=60", "core.width=48", "core.input_width=32"]
    made = load_recipe("transcribe-tones", [*options, "preprocessor.bands=16", "train.threads=1", "evaluate.times=1"])
    losses = [event.loss for event in Experiment.new(made, tmp_path / "run") if isinstance(event, TrainingStep)]
    assert sum(losses[-5:]) < 0.5 * sum(losses[3:8])


def test_a_core_that_reads_both_ways_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="both ways"):
        Experiment.new(load_recipe("transcribe-tones", [*SMALL, "core.bidirectional=true"]), tmp_path / "run")


def test_killed_and_resumed_ends_in_the_same_bits():
    recipe = load_recipe("transcribe-tones", [*SMALL, "model.dropout=0.2"])
    proof = verify_resume(recipe, steps=12, kills=1, seed=1, plugins=[], say=lambda text: None)
    assert proof.different == [] and len(proof.same) > 10


def test_accumulated_parts_are_the_same_step(tmp_path):
    weights = []
    for parts in (1, 4):
        recipe = load_recipe("transcribe-tones", [*SMALL, f"train.accumulate={parts}", "train.optimizer=sgd"])
        list(Experiment.new(recipe, tmp_path / str(parts)))
        weights.append(Run.load(tmp_path / str(parts)).model.head.weight)
    torch.testing.assert_close(*weights, atol=1e-5, rtol=1e-4)


def test_scheduled_sampling_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="teacher_forcing"):
        list(Experiment.new(load_recipe("transcribe-tones", [*SMALL, "train.teacher_forcing=0.5"]), tmp_path / "run"))


def test_what_it_does_inside_is_looked_at(tmp_path, capsys):
    list(Experiment.new(load_recipe("transcribe-tones", SMALL), tmp_path / "run"))
    (tmp_path / "a.wav").write_bytes(RECORDS[0]["sound"])
    run = Run.load(tmp_path / "run")
    for look in (run.look(), run.look(str(tmp_path / "a.wav"))):
        assert look.view("gates").units() and look.loss is None
        assert not look.batch.loss_mask.any()
    assert "loudness" in run.look().probe.features
    assert command("look", tmp_path / "run") == 0
    assert command("look", tmp_path / "run", "--text", tmp_path / "a.wav") == 0
    assert command("look", tmp_path / "run", "--what", "surprisal") == 2
    print(capsys.readouterr().err)
