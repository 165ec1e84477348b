"""A run folder in two hands, and one from a stranger: locked, checked before it is used, and never made worse."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers.commands import TEXT, TINY
from unspool import cli
from unspool.errors import CheckpointError, TrainingError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.runs import checkpoint
from unspool.runs.lock import Lock
from unspool.runs.run import Run
from unspool.training.log import records

QUICK = [*TINY, "core.input_width=0", "train.ema=0.9"]


def recipe(*overrides):
    return load_recipe("char-lm", [*QUICK, *overrides])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a text and a small trained run, `run`."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "good.txt").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        list(Experiment.new(recipe(), Path("run")))
    return folder


def sealed(run, name, content):
    """Replace a file of a run and seal the checkpoint anew, as a stranger can."""
    step = checkpoint.checkpoints(run)[-1].path
    file = (run if name in checkpoint.SHARED else step) / name
    if isinstance(content, dict):
        save_file(content, file)
    else:
        file.write_bytes(content.encode())
    manifest = json.loads((step / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (step / "manifest.json").write_text(json.dumps(manifest))


def changed(run, name, change):
    """Change the data of a JSON file of a run, or the tensors of one, and seal it."""
    step = checkpoint.checkpoints(run)[-1].path
    file = (run if name in checkpoint.SHARED else step) / name
    data = load_file(file) if file.suffix == ".safetensors" else json.loads(file.read_text())
    change(data)
    sealed(run, name, data if file.suffix == ".safetensors" else json.dumps(data))


def refused(*words, capsys):
    """The error and the hint of a command that ends with 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == ""
    error, hint = [line for line in err.splitlines() if line.startswith(("error: ", "hint: "))]
    return error, hint


def command(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "unspool", *map(str, words)], stderr=subprocess.PIPE, text=True, **options
    )


# A8: weights that are not finite


@pytest.mark.parametrize("verb", ["sample", "eval", "look", "suggest", "resume"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_every_verb(place, verb, value, capsys):
    def spoil(weights):
        weights[next(name for name in weights if name.endswith("head.weight"))][0, 0] = value

    changed(Path("run"), "trainer.safetensors" if verb == "resume" else "model.safetensors", spoil)
    error, hint = refused(verb, "run", *(["--what", "gates"] if verb == "look" else []), capsys=capsys)
    assert "not finite" in error and hint


@pytest.mark.parametrize("options", [["sample.times=1"], ["sample.times=0"], ["save.every=1"]])
def test_a_learning_rate_that_explodes_ends_in_a_sentence_and_loses_nothing(place, options, capsys):
    words = ["train", "char-lm", *TINY, "--run", "new", "train.steps=6", *options]
    shutil.copytree("run", "good")
    error, hint = refused(*words, "train.learning_rate=1e30", "train.warmup=0", capsys=capsys)
    assert "not finite" in error or "loss is" in error
    assert "train.learning_rate" in hint and not checkpoint.checkpoints(Path("new"))
    error, hint = refused("resume", "good", "train.steps=6", "train.learning_rate=1e30", *options, capsys=capsys)
    assert "the state of step 2 is saved" in error and "good` with a lower" in hint
    assert [one.number for one in checkpoint.checkpoints(Path("good"))] == [2]
    list(Experiment.resume(Path("good"), ["train.steps=6", "train.learning_rate=0.001"]))
    assert Run.load("good").checkpoint.number == 6


def test_a_loss_that_is_not_finite_is_refused_where_weights_are(place):
    run = Run.load("run")
    torch.nn.init.constant_(run.model.head.weight, 3e38)
    with pytest.raises(TrainingError, match="has diverged: its loss is"):
        run.evaluate()


# C13: everything is checked before it is used

FORGED_TENSORS = [  # file, what is done to its tensors, a part of the error
    ("model.safetensors", lambda t: t.pop("head.bias"), "head.bias is missing"),
    ("model.safetensors", lambda t: t.update(extra=torch.zeros(2)), "extra is not part of this model"),
    ("model.safetensors", lambda t: t.update({"head.bias": torch.zeros(3)}), "head.bias is float32 (3,)"),
    ("model.safetensors", lambda t: t.update({"head.bias": t["head.bias"].double()}), "head.bias is float64"),
    ("model.safetensors", lambda t: t.update({"head.bias": t["head.bias"].long()}), "head.bias is int64"),
    ("trainer.safetensors", lambda t: t.pop("weights.head.bias"), "head.bias is missing"),
    ("trainer.safetensors", lambda t: t.update({"weights.head.bias": torch.zeros(3)}), "head.bias is float32 (3,)"),
    ("trainer.safetensors", lambda t: t.pop("average.0"), "0 is missing"),
    ("trainer.safetensors", lambda t: t.update({"average.0": torch.zeros(3)}), "0 is float32 (3,)"),
    ("trainer.safetensors", lambda t: t.update({"optimizer.0.0.exp_avg": torch.zeros(3)}), "0.0.exp_avg is float32"),
    ("trainer.safetensors", lambda t: t.pop("optimizer.0.0.exp_avg"), "some moments of a weight are missing"),
    ("trainer.safetensors", lambda t: t.update({"optimizer.0.99.step": torch.zeros(())}), "0.99.step is no moment"),
    ("trainer.safetensors", lambda t: t.update({first(t): torch.zeros(2, 300)}), "is float32 (2, 300), and"),
    ("trainer.safetensors", lambda t: t.update({first(t): t[first(t)].long()}), "is int64 (2, 8), and float32 (2, 8)"),
    ("trainer.safetensors", lambda t: t.pop(first(t)), "is missing"),
    ("trainer.safetensors", lambda t: t.update({"carried.7": torch.zeros(1)}), "7 is not part of this model"),
]


def first(tensors):
    return min(name for name in tensors if name.startswith("carried."))


@pytest.mark.parametrize(("name", "change", "message"), FORGED_TENSORS)
def test_tensors_are_compared_before_they_are_used(place, name, change, message, capsys):
    changed(Path("run"), name, change)
    words = ["resume", "run", "train.steps=4"] if name == "trainer.safetensors" else ["sample", "run"]
    error, _ = refused(*words, capsys=capsys)
    assert message in error


FORGED_JSON = [  # verb, file, its new content or what is done to it, a part of the error
    ("resume", "trainer.json", lambda d: d.update(overrides=5), "overrides should be a valid"),
    ("resume", "trainer.json", lambda d: d.update(best_number="2"), "best_number should be a valid integer"),
    ("sample", "trainer.json", lambda d: d.update(best_number=-1), "best_number should be greater"),
    ("resume", "trainer.json", lambda d: d["trainer"].update(number="many"), "number should be a valid integer"),
    ("resume", "trainer.json", lambda d: d["trainer"].update(seconds=float("nan")), "seconds should be"),
    ("resume", "trainer.json", lambda d: d["trainer"].update(schedule=[]), "schedule should be"),
    ("resume", "trainer.json", lambda d: d["trainer"].pop("optimizers"), "optimizers: Field required"),
    ("resume", "trainer.json", "[" * 3000, "not valid JSON"),
    ("resume", "trainer.json", '{"best_number": ' + "9" * 5000 + "}", "not valid JSON"),
    ("sample", "about.json", lambda d: d.update(inputs={"kind": "Tokens", "size": "6"}), "inputs.size should be"),
    ("sample", "about.json", lambda d: d.update(inputs={"kind": "Pickle", "size": 6}), "inputs.kind should be"),
    ("sample", "about.json", lambda d: d["inputs"].update(size=9), "the tokenizers do not match the model"),
    ("sample", "tokenizer.json", lambda d: d["characters"].append("é"), "the tokenizers do not match the model"),
    ("sample", "tokenizer.json", lambda d: d["characters"].pop(), "the tokenizers do not match the model"),
    ("sample", "tokenizer.json", '{"kind": "byte"}', "the tokenizers do not match the model"),
    ("sample", "preprocessor.json", lambda d: d.update(options={"nope": 1}), "preprocessor.json"),
    ("sample", "recipe.toml", "core = 5", "core should be a section"),
    ("sample", "recipe.toml", "x = " + "[" * 3000, "recipe.toml"),
    ("resume", "recipe.toml", "task = 5", "task should be a section"),
    ("resume", "recipe.toml", "data = 5", "data should be a section"),
]


@pytest.mark.parametrize(("verb", "name", "change", "message"), FORGED_JSON)
def test_json_is_checked_before_it_is_used(place, verb, name, change, message, capsys):
    if isinstance(change, str):
        sealed(Path("run"), name, change)
    else:
        changed(Path("run"), name, change)
    error, hint = refused(verb, "run", capsys=capsys)
    assert message in error and hint


@pytest.mark.parametrize("name", ["/dev/zero", "../../../good.txt", "../model.safetensors", "good.txt", ""])
def test_a_manifest_names_files_of_the_run_alone(place, name, capsys):
    step = checkpoint.checkpoints(Path("run"))[-1].path
    manifest = json.loads((step / "manifest.json").read_text())
    manifest["sha256"][name] = "0"
    (step / "manifest.json").write_text(json.dumps(manifest))
    error, _ = refused("sample", "run", capsys=capsys)
    assert "which is no file of a checkpoint" in error


@pytest.mark.parametrize("name", ["recipe.toml", "about.json", "metrics.jsonl", "model.safetensors", "manifest.json"])
def test_a_pipe_in_the_place_of_a_file_is_refused(place, name, capsys):
    run = Path("run")
    file = (checkpoint.checkpoints(run)[-1].path if name[0] in "m" and name != "metrics.jsonl" else run) / name
    file.unlink()
    os.mkfifo(file)
    error, _ = refused("resume", "run", capsys=capsys)
    assert "is not a regular file" in error


def test_a_link_out_of_the_folder_is_refused(place, capsys):
    step = checkpoint.checkpoints(Path("run"))[-1].path
    shutil.move(step / "model.safetensors", "elsewhere.safetensors")
    (step / "model.safetensors").symlink_to(Path("elsewhere.safetensors").resolve())
    assert "is a link out of the run folder" in refused("sample", "run", capsys=capsys)[0]
    shutil.move(step, "elsewhere")
    step.symlink_to(Path("elsewhere").resolve())
    assert "no finished checkpoint" in refused("sample", "run", capsys=capsys)[0]


def test_a_pipe_in_the_place_of_a_recipe_is_refused(place, capsys):
    os.mkfifo("pipe.toml")
    assert "not a regular file" in refused("train", "pipe.toml", capsys=capsys)[0]


BAD_LINES = [
    "null",
    '"text"',
    "[" * 5000,
    '{"kind": "step", "step": "one", "loss": 1}',
    '{"kind": "step", "step": 1, "loss": NaN}',
    '{"kind": "step", "step": 1}',
    '{"kind": "valid", "step": 1, "set": null, "loss": 1.0}',
    '{"kind": ["step"], "step": 1}',
    '{"kind": "step", "step": ' + "9" * 5000 + ', "loss": 1}',
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_record_that_is_none_is_left_out(place, line, capsys):
    file = Path("run/metrics.jsonl")
    whole = records(Path("run"))
    file.write_text(line + "\n" + file.read_text())
    assert records(Path("run")) == whole and len(whole) == 3
    for words in (["look", "run", "--what", "losses"], ["resume", "run"]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert end.value.code == 0


@pytest.mark.parametrize("content", [None, ""])
def test_a_finished_run_without_its_metrics_still_ends(place, content):
    file = Path("run/metrics.jsonl")
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(SystemExit) as end:
        cli.main(["resume", "run"])
    assert end.value.code == 0
    results = json.loads(Path("run/results.json").read_text())
    assert "train/loss" not in results and results["valid/contiguous/loss"] > 0


# C12: one process at a time; begun again; the right exit code


def test_two_processes_on_one_folder(place, capsys):
    before = Path("run/metrics.jsonl").read_text()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "run"], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONWARNINGS": ""}
    )
    assert holder.stdout.readline() == "held\n"
    error, hint = refused("resume", "run", "train.steps=4", capsys=capsys)
    assert f"process {holder.pid} on {socket.gethostname()} is writing into run" in error and "wait" in hint
    assert Path("run/metrics.jsonl").read_text() == before
    holder.kill()
    holder.communicate()
    assert json.loads(Path("run/lock.json").read_text())["pid"] == holder.pid
    with pytest.raises(SystemExit) as end:
        cli.main(["resume", "run", "train.steps=4"])
    assert end.value.code == 0 and not Path("run/lock.json").exists()
    assert f"note: process {holder.pid} was ended while it wrote into run" in capsys.readouterr().err
    assert [one["step"] for one in records(Path("run"), "step")] == [1, 2, 3, 4]


HOLD = """
import sys, time
from pathlib import Path
from unspool.runs.lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_two_trainings_into_one_folder(place):
    first = Experiment.new(recipe(), Path("new"))
    with pytest.raises(CheckpointError, match=f"process {os.getpid()} on"):
        Experiment.new(recipe("seed=1"), Path("new"))
    list(first)
    assert Run.load("new").recipe["seed"] == 0


def test_a_lock_of_another_machine_is_not_broken(place, capsys):
    Path("run/lock.json").write_text('{"pid": 7, "host": "elsewhere"}')
    error, hint = refused("resume", "run", "train.steps=4", capsys=capsys)
    assert "process 7 on elsewhere" in error and f"remove run{os.sep}lock.json" in hint
    Path("run/lock.json").unlink()
    list(Experiment.resume(Path("run"), ["train.steps=4"]))


def test_a_lock_is_given_back_when_a_training_fails(place, monkeypatch):
    with pytest.raises(CheckpointError):
        changed(Path("run"), "trainer.json", lambda d: d.update(overrides=5))
        Experiment.resume(Path("run"))
    assert not Path("run/lock.json").exists()
    with Lock(Path("run")):
        assert Path("run/lock.json").exists()


@pytest.mark.parametrize("left", ["killed", "full"])
def test_a_run_that_was_never_saved_is_begun_again_by_the_same_command(place, left, capsys, monkeypatch):
    words = ["train", "char-lm", *QUICK, "--run", "new"]
    experiment = Experiment.new(recipe(), Path("new"))
    if left == "killed":  # the lock's file stays, the system's own lock on it does not
        experiment.trainer.step()
        held = Path("new/lock.json").read_text()
        experiment.lock.release()
        Path("new/lock.json").write_text(held)
        (Path("new/checkpoints/.draft-abc")).mkdir(parents=True)
    else:
        experiment.lock.release()
    Path("new/metrics.jsonl").write_text('{"kind": "step", "step": 1, "loss": 9.0}\n')
    error, hint = refused("resume", "new", capsys=capsys)
    assert "no finished checkpoint" in error and "the same `unspool train` command" in hint
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0 and "it begins again" in capsys.readouterr().err
    assert [one["step"] for one in records(Path("new"), "step")] == [1, 2]


@pytest.mark.parametrize("name", ["thesis.txt", "checkpoints/step-00000002/manifest.json", "checkpoints/mine"])
def test_what_a_run_did_not_write_is_never_removed(place, name, capsys):
    Experiment.new(recipe(), Path("new")).lock.release()
    file = Path("new") / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("years of work")
    refused("train", "char-lm", *QUICK, "--run", "new", capsys=capsys)
    assert file.read_text() == "years of work"


def test_a_text_of_ones_own_is_no_run_that_was_begun(place, capsys):
    Path("new").mkdir()
    Path("new/data.txt").write_text("years of work")
    assert "other files in it" in refused("train", "char-lm", *QUICK, "--run", "new", capsys=capsys)[0]
    assert Path("new/data.txt").read_text() == "years of work"


def test_a_folder_that_cannot_be_written_gets_a_hint_that_exists(place, monkeypatch, capsys):
    def read_only(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("unspool.runs.lock.os.open", read_only)
    error, hint = refused("resume", "run", "train.steps=4", capsys=capsys)
    assert "Permission denied" in error and "--run" not in hint and "make the folder writable" in hint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_tells_by_the_exit_code(place, number, code):
    words = ["train", "char-lm", *QUICK, "train.steps=1000000", "--run", "new", "--json"]
    process = command(*words, stdout=subprocess.PIPE)
    assert '"TrainingStep"' in process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "everything is saved" in err and "Traceback" not in err
    done = checkpoint.find_checkpoint("new", "last").number
    assert done >= 1 and not Path("new/lock.json").exists()
    list(Experiment.resume(Path("new"), [f"train.steps={done + 1}"]))
    assert [one["step"] for one in records(Path("new"), "step")] == list(range(1, done + 2))


# C16: the version of the folder


def test_a_folder_of_a_later_version_is_refused(place, capsys):
    about = json.loads(Path("run/about.json").read_text())
    assert about["format"] == 1
    Path("run/about.json").write_text(json.dumps(about | {"format": 2}))
    for verb in ("sample", "resume", "eval"):
        error, hint = refused(verb, "run", capsys=capsys)
        assert (
            "its format is 2, and this one reads up to 1" in error
            and f"install unspool {about['unspool']} or later" in hint
        )
