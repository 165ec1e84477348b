"""Every recipe runs, and says only what is checked."""

import json
import wave
from pathlib import Path

import pytest

from conftest import run
from unspool.build import task_class
from unspool.checks.resume import verify_resume
from unspool.cli.explain import COLUMNS, explain
from unspool.data.labelled import Labelled
from unspool.data.parallel import Parallel
from unspool.data.sounds import Sounds
from unspool.data.source import Source
from unspool.experiment.claims import Verdict, claimed, verify
from unspool.experiment.events import Finished
from unspool.experiment.experiment import Experiment
from unspool.recipe import LECTURES, SHAPES, dump_recipe, load_recipe, parse_recipe, read_recipe, recipe_names
from unspool.schema import defaults
from unspool.sections import complete
from unspool.training.trainer import TrainingStep

QUICK = [
    "train.steps=2", "train.minutes=0", "train.epochs=0", "train.precision=float32", "train.threads=1",
    "evaluate.times=1", "sample.times=1", "sample.length=5",
]  # fmt: skip
TEXT = "It was the best of times, it was the worst of times,\n" * 400


def text(folder):
    """A text."""
    (folder / "text.txt").write_text(TEXT + "Things")
    return folder / "text.txt"


def reviews(folder):
    """Texts of several lengths with one of two labels."""
    lines = [f"{'good ' * (1 + n % 5)}words,{n % 2}" for n in range(60)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *lines]))
    return folder / "reviews.csv"


def tagged(folder):
    """Words with a label each, some of them in a span."""
    words = [f"{'AB'[n % 2]} {'B-x' if n % 3 == 0 else 'O'}\n" + ("\n" if n % 5 == 4 else "") for n in range(200)]
    (folder / "tagged.conll").write_text("".join(words))
    return folder / "tagged.conll"


def noises(folder):
    """A folder of sounds, some for the test."""
    for number in range(60):
        with wave.open(str(folder / f"{number % 3}_someone_{number // 3}.wav"), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(range(256)) * (3 + number % 4))
    return folder


def two_languages(folder):
    """Three pairs of files."""
    for part in ("train", "val", "test"):
        (folder / f"{part}.de").write_text("Es war die beste Zeit.\nEs war die schlechteste Zeit!\n" * 8)
        (folder / f"{part}.en").write_text("It was the best of times.\nIt was the worst of times!\n" * 8)
    return folder


MADE = {Source: text, Labelled: reviews, Sounds: noises, Parallel: two_languages}
"""What makes the data for a recipe that wants some of the user's, by what reads it."""


def quick(name, tmp_path):
    """The recipe with two steps, on data made here where it wants the user's, from a run made here if it wants one."""
    recipe = load_recipe(name)
    made = tagged if recipe["task"]["kind"] == "tag" else MADE.get(task_class(recipe).dataset)
    fewer = ["task.documents=1"] if "documents" in defaults(task_class(recipe)) else []
    fewer += ["task.batch_size=8"] if recipe["task"]["kind"] == "execute" else []  # every kind of program times five
    if made is None or recipe["data"].get("corpus"):
        fewer += [f"data.{key}=400" for key in ("scenes", "students") if key in recipe.get("data", {})]
        return load_recipe(name, [*QUICK, *fewer])
    folder = tmp_path / "data"
    folder.mkdir()
    start = []
    if "start" in recipe.get("model", {}):
        first = load_recipe("char-lm", [*QUICK, "core.width=16", "data.limit=3000"])
        list(Experiment.new(first, tmp_path / "start"))
        start = [f"model.start={tmp_path}/start"]
    return load_recipe(name, [*QUICK, *start, f"data.path={made(folder)}"])


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_runs_two_steps(name, tmp_path):
    events = list(Experiment.new(quick(name, tmp_path), tmp_path / "run"))
    assert [e.number for e in events if isinstance(e, TrainingStep)] == [1, 2]
    assert isinstance(events[-1], Finished)
    if "expect" in load_recipe(name):
        claims = set(claimed(load_recipe(name)))
        printed = {name.replace("valid/", "test/") for name in events[-1].results} | set(events[-1].results)
        assert claims <= printed, "a claim that is never measured"


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_what_it_is(name):
    assert len(recipe_names()[name]) > 20


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_has_a_shape_and_a_lecture(name):
    about = load_recipe(name)["about"]
    assert set(about) == {"shape", "lecture"}
    assert about["shape"] in SHAPES and about["lecture"].partition(",")[0] in LECTURES
    assert "lecture" not in load_recipe(name).get("expect", {})


@pytest.mark.parametrize("name", recipe_names())
def test_every_setting_of_a_recipe_is_explained(name):
    text, settings = explain(name)
    assert parse_recipe(text, name) == load_recipe(name)
    assert not [place for place, setting in settings.items() if not setting.meaning]
    assert all(len(line) <= COLUMNS for line in text.splitlines() if line not in read_recipe(name) and line[:1] == "#")


def test_recipes_are_listed_in_groups_the_main_one_first(capsys):
    assert run("recipes") == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert listed[0] == "char-lm" and sorted(listed) == sorted(recipe_names())
    assert run("recipes", "--by", "lecture") == 0
    assert capsys.readouterr().out.startswith("STAT453: Raschka")
    assert run("recipes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["captions"]["shape"] == "one-to-many" and set(found) == set(recipe_names())
    assert run("recipes", "--by", "colour") == run("recipes", "--write", "x.toml") == run("recipes", "char") == 2


def test_a_recipe_is_explained_and_copied_to_edit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("recipes", "char-lm") == 0
    said = capsys.readouterr().out
    assert "# Which token comes next in a text." in said and 'default "lstm"' in said
    assert run("recipes", "char-lm", "--json") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["task.batch_size"]["default"] == "`16`"
    assert run("recipes", "char-lm", "--write", "mine.toml") == 0
    assert (tmp_path / "mine.toml").read_text() == said and load_recipe("mine.toml") == load_recipe("char-lm")
    assert run("recipes", "copy", "--write", "mine.toml") == run("recipes", "copy", "--write", "mine.txt") == 2
    assert (tmp_path / "mine.toml").read_text() == said


def test_train_shows_the_resolved_recipe_and_stops(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("train", "char-lm", "core.width=24", "--minutes", 2, "--show") == 0
    found = parse_recipe(capsys.readouterr().out, "shown")
    assert found == complete(found) and found["core"]["width"] == 24 and found["train"]["minutes"] == 2
    assert found["train"]["clip"] == 1.0  # a default
    assert run("train", "char-lm", "--show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["core"]["layers"] == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_reads_back_the_same(name):
    full = complete(load_recipe(name))
    assert parse_recipe(dump_recipe(full), name) == full
    assert complete(full) == full


def test_odd_values_are_written_so_that_they_read_back():
    cell = {"kind": "lstm", "deep": {"list": [1, {"z": 2.5}]}}
    data = {"path": 'C:\\x"y\n\t\x7fé字😀', "columns": [], "big": 10**12, "small": 1e-05, "yes": True}
    recipe = {"seed": 3, "plugin": ["a b.py"], "data": data, "core": {"cell": cell}, "train": {}}
    recipe["expect"] = {"valid/generated:unseen/attributes": ">= 0.95", "seeds": 3}
    assert parse_recipe(dump_recipe(recipe), "odd") == recipe
    assert parse_recipe(dump_recipe({"data": {"path": Path("a"), "limit": None}}), "odd") == {"data": {"path": "a"}}


def test_a_claim_is_judged(tmp_path):
    recipe = load_recipe("char-lm", [*QUICK, "data.limit=3000", "core.width=8", "task.batch_size=2"])
    recipe["expect"] = {"valid/contiguous/loss": "<= 5.0", "train/loss": "< 1.0", "seeds": 2}

    def follow(experiment):
        return list(experiment)[-1].results

    good, bad = verify(recipe, 0, follow)
    assert good.holds and not bad.holds and len(good.values) == 2
    assert good.values[0] != good.values[1]
    assert good.summary().startswith("holds") and bad.summary().startswith("FAILS")
    assert isinstance(good, Verdict)


def test_a_claim_about_the_test_split_is_judged_on_it():
    recipe = load_recipe("char-lm", [*QUICK, "data.limit=6000", "data.test=0.2", "core.width=8", "task.batch_size=2"])
    recipe["expect"] = {"test/contiguous/loss": "<= 5.0", "valid/contiguous/loss": "<= 5.0"}
    tested, validated = verify(recipe, 0, lambda experiment: list(experiment)[-1].results)
    assert tested.holds and validated.holds and tested.values != validated.values


def test_killed_and_resumed_ends_in_the_same_bits():
    recipe = load_recipe(
        "char-lm", [*QUICK, "data.limit=3000", "core.width=8", "core.input_width=0", "task.batch_size=2"]
    )
    proof = verify_resume(recipe, steps=60, kills=2, seed=1, plugins=[], say=lambda text: None)
    assert proof.different == [] and len(proof.same) > 15 and len(proof.killed_after) == 2
