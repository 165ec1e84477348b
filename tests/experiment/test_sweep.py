"""A sweep trains every combination once, goes on where it stopped, and tells what came of it in one table."""

import csv
import json
import os
import signal
from pathlib import Path
from statistics import mean

import pytest

from helpers.commands import TEXT, TINY, run
from unspool import sweep
from unspool.errors import ConfigError
from unspool.experiment.experiment import Experiment

SMALL = ["train", "char-lm", *TINY]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "good.txt").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def losses(folder):
    results = (json.loads(file.read_text()) for file in sorted(Path(folder).glob("*/results.json")))
    return [result["valid/contiguous/loss"] for result in results]


def test_every_combination_and_seed_is_a_run_and_one_table_tells_of_them(here, capsys):
    assert run(*SMALL, "train.learning_rate=0.1,0.001", "train.betas=[0.9,0.99]", "--seeds", "2") == 0
    folder = Path("runs/char-lm-sweep")
    names = [f"learning_rate={rate},seed={seed}" for rate in (0.001, 0.1) for seed in (0, 1)]
    assert sorted(place.name for place in folder.iterdir() if place.is_dir()) == names
    header, fast, slow = capsys.readouterr().out.splitlines()
    assert header.split() == ["train.learning_rate", "seeds", "valid/contiguous/loss", "seconds"]
    low = losses(folder)[2:]
    assert fast.split()[:5] == ["0.1", "2", f"{mean(low):.4f}", f"({min(low):.4f}", "to"]
    assert slow.startswith("0.001") and ("best" in fast) != ("best" in slow)
    assert f"{max(low):.4f})" in fast and (folder / "curves.png").stat().st_size > 5000
    lines = list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))
    assert [(line["train.learning_rate"], line["seed"]) for line in lines] == [
        ("0.1", "0"), ("0.1", "1"), ("0.001", "0"), ("0.001", "1"),
    ]  # fmt: skip
    assert sorted(float(line["valid/contiguous/loss"]) for line in lines) == sorted(losses(folder))
    table = json.loads((folder / "sweep.json").read_text())["table"]
    assert table[0]["mean"] == pytest.approx(mean(low)) and table[0]["seeds"] == 2


def test_finished_runs_are_skipped_and_an_interrupted_one_goes_on(here, monkeypatch, capsys):
    words = [*SMALL, "core.width=4,8", "train.steps=4"]
    events = Experiment._events

    def interrupted(self):
        for event in events(self):
            yield event
            if self.folder.name.startswith("width=8") and getattr(event, "number", 0) == 2 and hasattr(event, "loss"):
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Experiment, "_events", interrupted)
        assert run(*words) == 130
    assert "the same command goes on" in capsys.readouterr().err
    folder = Path("runs/char-lm-sweep")
    (first,) = folder.glob("*/results.json")
    before = first.stat().st_mtime_ns
    assert run(*words) == 0
    assert first.stat().st_mtime_ns == before and len(losses(folder)) == 2
    steps = [json.loads(line) for line in (folder / "width=8,seed=0/metrics.jsonl").read_text().splitlines()]
    assert [one["step"] for one in steps if one["kind"] == "step"] == [1, 2, 3, 4]
    assert not Path("runs/char-lm-sweep-2").exists()


def test_a_failure_is_told_and_the_others_are_trained(here, capsys):
    words = [*SMALL, "core.input_width=3,8", "model.tied=true"]  # tied weights need one width
    assert run(*words, "--run", "mine") == 1
    out, err = capsys.readouterr()
    assert "run 1 of 2 failed, input_width=3,seed=0: " in err
    assert out.splitlines()[1].split()[:2] == ["3", "0"] and len(losses("mine")) == 1
    lines = list(csv.DictReader(Path("mine/sweep.csv").read_text().splitlines()))
    assert "model.tied" in lines[0]["error"] and not lines[1]["error"]


def test_what_no_run_could_have_is_refused_before_the_first(here, capsys):
    assert run(*SMALL, "core.width=4,x") == 2
    assert "core.width" in capsys.readouterr().err and not Path("runs").exists()
    assert run(*SMALL, f"core.width={','.join(map(str, range(1, 1002)))}") == 2
    assert "1 to 1,000 runs" in capsys.readouterr().err


def test_another_sweep_gets_a_folder_of_its_own_and_no_folder_is_mixed(here, capsys):
    for widths in ("4,8", "4,6"):
        assert run(*SMALL, f"core.width={widths}") == 0
    assert sorted(os.listdir("runs")) == ["char-lm-sweep", "char-lm-sweep-2"]
    assert run(*SMALL, "core.width=4,5", "--run", "runs/char-lm-sweep") == 2
    assert "something else than this sweep" in capsys.readouterr().err


def test_the_runs_of_a_sweep_are_listed_and_drawn(here, capsys):
    assert run(*SMALL, "--seeds", "2", "--run", "two") == 0
    capsys.readouterr()
    assert run("runs", "two", "--curves", "both.png") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3 and Path("both.png").stat().st_size > 5000
    assert run("runs", "two", "--curves", "both.png") == 2
    assert "nothing is overwritten" in capsys.readouterr().err


def test_in_python_it_is_one_call(here):
    small = {"core.width": 8, "train.threads": 1, "train.precision": "float32", "train.steps": 1, "train.minutes": 0}
    done = sweep("copy", {"core.cell": ["lstm", "gru"]}, seeds=2, run="mine", quiet=True, **small)
    assert [row.settings for row in done.table()] == [{"core.cell": "lstm"}, {"core.cell": "gru"}]
    assert all(row.seeds == 2 and row.low <= row.mean <= row.high for row in done.table())
    with pytest.raises(ConfigError, match=r"'core\.cels'"):
        sweep("copy", {"core.cels": ["lstm", "gru"]}, run="other", quiet=True, **small)
