"""Every recipe explains itself, reads back the same, and claims only what is checked."""

import json
from pathlib import Path

import pytest

from helpers.commands import run
from helpers.recipes import QUICK
from unspool.checks.resume import verify_resume
from unspool.cli.explain import COLUMNS, explain
from unspool.experiment.claims import Verdict, verify
from unspool.recipe import LECTURES, SHAPES, dump_recipe, load_recipe, parse_recipe, read_recipe, recipe_names
from unspool.sections import complete


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
    assert "# Predict the next token of a text" in said and 'default "lstm"' in said
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
