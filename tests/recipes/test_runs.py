"""Every recipe runs; it prints and stores a unit that fits, and a preprocessor that encodes the same again."""

import json
import re
from itertools import islice

import pytest
import torch

from helpers.recipes import quick
from unspool.build import task_class
from unspool.data.preprocessors.preprocessor import preprocessors, save_preprocessor
from unspool.data.splits import NoData
from unspool.experiment.claims import claimed
from unspool.experiment.experiment import Experiment
from unspool.experiment.progress import show
from unspool.recipe import load_recipe, recipe_names
from unspool.runs.loading import load_saved_preprocessor

WITHOUT_A_RECIPE = {"labelled-numbers"}
OF_TOKENS = re.compile(r"perplexity|bits|\btokens?\b")


def all_keys(value):
    """Every key in a JSON value, at any depth."""
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in all_keys(inner))]
    return [key for inner in value for key in all_keys(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_runs_two_steps_and_has_a_unit_that_fits(name, tmp_path, capsys, draws_losses):
    recipe = load_recipe(name)
    unit = task_class(recipe).unit
    experiment = Experiment.new(quick(name, tmp_path), tmp_path / "run")
    show(experiment, as_json=True)
    events, printed = capsys.readouterr()
    has_run(recipe, [json.loads(line) for line in events.splitlines()])
    assert (tmp_path / "run/loss.png").read_bytes().startswith(b"\x89PNG")
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
        shown_text = "\n".join(
            line for line in printed.replace(str(tmp_path), "").splitlines() if "parameters" not in line
        )
        assert not OF_TOKENS.search(shown_text), shown_text
        assert not [key for key in all_keys([results, metrics]) if OF_TOKENS.search(key.replace("_", " "))]
    encodes_the_same(experiment, tmp_path / "run")


def has_run(recipe, events):
    """Two steps, to the end; what the recipe claims is among what was measured."""
    assert [event["number"] for event in events if event["event"] == "TrainingStep"] == [1, 2]
    assert events[-1]["event"] == "Finished"
    if "expect" in recipe:
        measured = set(events[-1]["results"])
        measured |= {name.replace("valid/", "test/") for name in measured}
        assert set(claimed(recipe)) <= measured, "a claim that is never measured"


def encodes_the_same(experiment, folder):
    """The preprocessor of a run is what it was when it is loaded, for a record with and without its answer."""
    preprocessor, again = experiment.task.preprocessor, load_saved_preprocessor(folder)
    if preprocessor is None:
        assert again is None
        return
    assert type(again) is type(preprocessor) and save_preprocessor(again) == save_preprocessor(preprocessor)
    assert again.options() == preprocessor.options() and again.fitted() == preprocessor.fitted()
    records = experiment.sections.dataset.read().train
    if experiment.task.dataset is NoData:  # it draws its own
        records = next(iter(experiment.task.generation_sets("valid").values())).records
    some = ([records] if records else []) if isinstance(records, str) else list(islice(records, 20))
    for record in some:
        for one, other in zip(preprocessor.encode(record), again.encode(record), strict=True):
            assert type(one) is type(other) and (one is None or torch.equal(one, other))


def test_every_preprocessor_belongs_to_a_recipe():
    used = {task_class(load_recipe(name)).preprocessing for name in recipe_names()} - {None}
    known = {kind: preprocessors.find(kind) for kind in preprocessors.kinds()}
    ours = {kind: one for kind, one in known.items() if one.__module__.startswith("unspool.")}  # no test's plug-in
    rest = {kind for kind, one in ours.items() if one not in used}
    assert rest <= WITHOUT_A_RECIPE
