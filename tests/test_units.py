"""What `unspool train` prints and stores has a unit that fits the task: only tokens have perplexity and bits."""

import json
import re

import pytest

from test_recipes import quick
from unspool.build import task_class
from unspool.experiment.experiment import Experiment
from unspool.experiment.progress import show
from unspool.recipe import load_recipe, recipe_names

OF_TOKENS = re.compile(r"perplexity|bits|\btokens?\b")


def all_keys(value):
    """Every key in a JSON value, at any depth."""
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in all_keys(inner))]
    return [key for inner in value for key in all_keys(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", recipe_names())
def test_what_a_training_prints_and_stores_has_a_unit_that_fits(name, tmp_path, capsys):
    unit = task_class(load_recipe(name)).unit
    show(Experiment.new(quick(name, tmp_path), tmp_path / "run"))
    printed = capsys.readouterr().err
    about = json.loads((tmp_path / "run/about.json").read_text())
    results = json.loads((tmp_path / "run/results.json").read_text())
    metrics = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert about["unit"]["name"] == unit.name and about["unit"]["measure"]
    shown = f"{about['unit']['measure']} per {unit.name}"
    assert re.search(rf"loss [-.0-9e]+ {re.escape(shown)}", printed), printed
    assert re.search(rf"[0-9,]+ {unit.name}s/s", printed), printed
    assert (" bits)" in printed) == unit.is_token
    if not unit.is_token:
        # how many tokens a text has is a fact of the data, and the folder's name may hold anything
        told = "\n".join(line for line in printed.replace(str(tmp_path), "").splitlines() if "parameters" not in line)
        assert not OF_TOKENS.search(told), told
        assert not [key for key in all_keys([results, metrics]) if OF_TOKENS.search(key.replace("_", " "))]
