"""What `make reproduce` does: notes what recipes reach; and the main job's minutes-long promise."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from unspool import build
from unspool.data.corpora import corpus
from unspool.errors import ConfigError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe, read_recipe, recipe_names
from unspool.runs.run import Run
from unspool.sections import complete
from unspool.training.log import records
from unspool.training.trainer import TrainingStep

spec = importlib.util.spec_from_file_location("reproduce", Path(__file__).parents[2] / "docs/reproduce.py")
reproduce = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reproduce)
CLAIMING = [name for name in recipe_names() if "expect" in load_recipe(name)]
NOTES = json.loads(reproduce.NOTES.read_text())


def wants_data(name):
    try:
        build.dataset(complete(load_recipe(name)))
    except ConfigError:
        return True
    return False


def test_every_recipe_that_wants_data_has_a_place_for_it():
    wanting = {name for name in CLAIMING if wants_data(name)}
    assert {"char-rnn-stat453", "sentiment", "translate-attention", "word-lm"} <= wanting <= set(reproduce.DATA)
    assert not wanting & {"captions", "char-lm", "echo", "forecast"}


@pytest.mark.parametrize("name", sorted(NOTES))
def test_what_is_noted_is_what_the_recipe_claims_today(name):
    claims = {claim: text["claim"] for claim, text in NOTES[name]["claims"].items()}
    assert claims == reproduce.claimed(load_recipe(name)), f"run docs/reproduce.py {name} again"


def test_a_finished_run_is_noted_and_another_recipe_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "NOTES", tmp_path / "lectures.json")
    file = tmp_path / "mine.toml"
    text = read_recipe("reverse").replace("steps = 1000", "steps = 2").replace("seeds = 3", "")
    file.write_text(text.replace(">= 0.99", "> -1"))
    runs = [tmp_path / "run", tmp_path / "other"]
    for run, overrides in zip(runs, ([], ["core.width=32", "encoder.width=32"]), strict=True):
        list(Experiment.new(load_recipe(file, overrides), run))
    found, seconds = reproduce.of_runs(str(file), runs[:1])
    assert all(verdict.holds for verdict in found) and len(seconds) == 1
    reproduce.note("mine", found, seconds)
    assert json.loads(reproduce.NOTES.read_text())["mine"]["claims"]["valid/fresh/solved"]["claim"] == "> -1"
    with pytest.raises(SystemExit, match=r"core\.width is 32, not 64"):
        reproduce.of_runs(str(file), runs[1:])


def small_recipe(tmp_path):
    file = tmp_path / "mine.toml"
    text = read_recipe("reverse").replace("steps = 1000", "steps = 4").replace("seeds = 3", "seeds = 2")
    file.write_text(text.replace(">= 0.99", "> -1"))
    return str(file)


def test_reproduce_trains_only_what_is_not_finished(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce, "NOTES", tmp_path / "lectures.json")
    monkeypatch.setattr(reproduce, "RUNS", tmp_path / "runs")
    name = small_recipe(tmp_path)
    recipe = load_recipe(name)
    interrupted = Experiment.new(recipe, reproduce.folder_of(name, recipe) / "seed-0")
    for event in interrupted:
        if isinstance(event, TrainingStep) and event.number == 2:
            interrupted.stop()
    assert reproduce.plan([name])[1].split() == [name, "2", "0", "unknown"]
    found, seconds = reproduce.trained(name, [])
    assert len(seconds) == 2 and all(verdict.holds for verdict in found)
    for run in reproduce.folder_of(name, recipe).iterdir():
        assert [record["step"] for record in records(run, "step")] == [1, 2, 3, 4]
    reproduce.note(name, found, seconds)
    assert reproduce.plan([name])[1].split() == [name, "2", "2", "0.0"]
    monkeypatch.setattr(Experiment, "__iter__", lambda self: pytest.fail("it trains again"))
    assert [verdict.values for verdict in reproduce.trained(name, [])[0]] == [verdict.values for verdict in found]


def test_a_recipe_whose_data_is_not_here_is_left_out_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("UNSPOOL_DATA", str(tmp_path))
    assert "left out: no wikitext-2" in reproduce.plan(["word-lm"])[1]


def test_other_settings_are_kept_in_another_folder_and_other_places_of_the_data_are_not(tmp_path):
    plain, wider, moved = (load_recipe("word-lm", extra) for extra in ([], ["core.width=8"], ["data.path=elsewhere"]))
    folders = [reproduce.folder_of("word-lm", recipe) for recipe in (plain, wider, moved)]
    assert folders[0] == folders[2] != folders[1]


@pytest.mark.slow
def test_the_main_job_writes_mostly_real_words(tmp_path):
    list(Experiment.new(load_recipe("char-lm"), tmp_path / "run"))
    known = set(re.findall(r"[A-Za-z]+", corpus("python-docs").text))
    text = "".join(Run.load(tmp_path / "run").stream("The ", length=3000, seed=1))
    words = [word for word in re.findall(r"[A-Za-z]+", text)[1:-1] if len(word) > 2]
    share = sum(word in known for word in words) / len(words)
    print(f"\n{share:.1%} of {len(words)} words of three letters or more are words of the corpus")
    assert share > 0.8
