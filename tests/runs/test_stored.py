"""A run folder of an earlier version loads, and goes on with the same text: see tests/helpers/stored/make.py."""

import json
import shutil

import pytest

from helpers.stored.make import HERE, TEXT, make, text_of
from unspool.experiment.experiment import Experiment
from unspool.runs.contents import FORMAT
from unspool.runs.run import Run

RUN, WRITTEN = HERE / "run", HERE / "run.txt"


def test_the_stored_run_writes_the_stored_text():
    assert text_of(Run.load(RUN)) == WRITTEN.read_text(encoding="utf-8")
    assert len(set(WRITTEN.read_text(encoding="utf-8"))) > 6  # and says something


def test_the_stored_run_is_of_this_format_and_small():
    assert json.loads((RUN / "about.json").read_text())["format"] == FORMAT
    assert sum(file.stat().st_size for file in RUN.rglob("*") if file.is_file()) < 32_000


def test_the_stored_run_goes_on(tmp_path):
    """Its weights, its moments and the state that it carries are taken up again."""
    folder = shutil.copytree(RUN, tmp_path / "run")
    text = tmp_path / "text.txt"
    text.write_text(TEXT)
    events = list(Experiment.resume(folder, [f"data.path={text}", "train.steps=152"]))
    assert events[-1].number == 152 and events[-1].results["valid/contiguous/loss"] < 1.0


@pytest.mark.slow
def test_the_script_still_makes_such_a_run(tmp_path):
    make(tmp_path / "run")
    assert {path.relative_to(tmp_path / "run") for path in (tmp_path / "run").rglob("*")} == {
        path.relative_to(RUN) for path in RUN.rglob("*")
    }
