"""Forecasting: what is fed back, scaled and measured, and a recipe that learns a table of one's own."""

import json
import math

import numpy as np
import pytest
import torch

from helpers.commands import run as printed
from helpers.devices import ROUNDING
from helpers.files import write
from helpers.models import Predicting
from unspool.build import dataset
from unspool.build import task as build_task
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_generation
from unspool.runs.run import Run


@pytest.mark.parametrize("pattern", [[7.0], list(range(1, 13))], ids=["constant", "exactly seasonal"])
@pytest.mark.parametrize("components", [0, 1])
def test_a_series_without_a_naive_error_is_trained_and_measured(tmp_path, pattern, components, capsys):
    path = write(tmp_path, "value\n" + "\n".join(map(str, pattern * (600 // len(pattern)))))
    quick = ["train.steps=2", "core.width=8", "evaluate.times=1", "task.paths=5", f"model.components={components}"]
    made = load_recipe("forecast", [f"data.path={path}", "preprocessor.season=12", *quick])
    results = list(Experiment.new(made, tmp_path / "run"))[-1].results
    assert ("valid/free_running/covered_80" in results) == bool(components)
    ratios = {key for key in results if key.endswith(("mase", "crps", "naive", "as_now")) or "ago" in key}
    assert len(ratios) >= 6 and {key for key, value in results.items() if value is None} == ratios
    assert all(math.isfinite(value) for value in results.values() if value is not None)
    assert json.loads((tmp_path / "run/results.json").read_text())["valid/free_running/mase"] is None
    assert printed("eval", tmp_path / "run") == 0
    assert "mase undefined" in capsys.readouterr().out
    assert Run.load(tmp_path / "run").predict({"values": pattern * (600 // len(pattern))}).values


def made_task(*overrides):
    recipe = load_recipe("forecast", overrides)
    return build_task(recipe, dataset(recipe).read())


@pytest.mark.parametrize("season", [24, 1])
def test_who_knows_the_future_has_no_error_and_who_stays_has_that_of_the_naive_forecast(season):
    task = made_task(f"preprocessor.season={season}")
    for split in ("valid", "test"):
        generated = task.generation_sets(split)["free_running"]
        paths = [moves(task, record) for record in generated.records]
        predictions = [task.preprocessor.decode(*pair) for pair in zip(paths, generated.records, strict=True)]
        figures, drawn = evaluate_generation(Predicting(*predictions), generated)
        assert figures["", "mase"] < 1e-4 and figures["", "crps"] < 1e-4 and ("", "covered_80") not in figures
        assert figures["", "better_than_seasonal_naive"] == 1 and figures[":walk", "mase"] < 1e-4
        outlook = drawn["forecasts"].outlooks[0]
        assert outlook.values[outlook.start :] == pytest.approx(outlook.bands["0.5"], abs=1e-4)
    if season == 1:
        stays = [task.preprocessor.decode(torch.zeros(1, task.horizon), record) for record in generated.records]
        figures, _ = evaluate_generation(Predicting(*stays), generated)
        assert figures["", "mase"] == pytest.approx(figures["", "as_now"])
        assert figures["", "mase"] == pytest.approx(figures["", "as_a_season_ago"])


def moves(task, record):
    """How far the true scaled values (1, H) of a record are from its last known one."""
    origin = record["start"] + len(record["values"])
    read = next(one.read for one in task.series if one.name == record["series"])
    return (read[origin : origin + task.horizon] - read[origin - 1]).unsqueeze(0)


def test_what_is_fed_back_is_what_is_read_in_training(tmp_path):
    """A pipeline whose model knows every move reads at each step what a window of training has there."""
    task = made_task()
    record, (known, origin) = task.generation_sets("valid")["free_running"].records[3], task.windows("valid")[3]
    batch = task.eval_sets("valid")["one_step"].batches[0]
    one = task.preprocessor.collate([task.preprocessor.encode(record)])
    assert record["series"] == known.name and record["start"] + task.season + task.context == origin
    torch.testing.assert_close(one.inputs[0], batch.inputs[3, : task.context])
    paths = one.paths
    for step in range(task.horizon - 1):
        paths = torch.cat([paths, paths[:, -1:] + batch.targets[3, task.context - 1 + step]], dim=1)
        read = task.preprocessor.step(paths, one.starts, task.context + step)
        torch.testing.assert_close(read[0], batch.inputs[3, task.context + step], atol=1e-5, rtol=1e-5)


def test_nothing_of_the_future_is_in_the_scale_or_the_inputs(tmp_path):
    """Change every value from some time on: what is read and asked before that time stays the same."""
    recipe = load_recipe("forecast")
    parts = dataset(recipe).read()
    one = build_task(recipe, parts)
    for record in (*parts.valid, *parts.test):
        record["values"] = [v + 100 for v in record["values"]]
    other = build_task(recipe, parts)
    assert torch.equal(one.train_batches()[3].inputs, other.train_batches()[3].inputs)
    batch, changed = (task.eval_sets("valid")["one_step"].batches[0] for task in (one, other))
    first = one.context - 1  # the first step that is asked; its window lies at the beginning of the part in row 0
    row = next(n for n, (_, origin) in enumerate(one.windows("valid")) if origin - one.series[0].ends["valid"][0] < 24)
    gap = one.windows("valid")[row][1] - one.series[0].ends["valid"][0]
    before = first - gap
    assert torch.equal(batch.inputs[row, :before], changed.inputs[row, :before])
    assert not torch.equal(batch.targets[row], changed.targets[row])
    assert batch.loss_mask[row].tolist() == [False] * first + [True] * one.horizon


def test_windows_of_a_split_end_with_it_and_do_not_overlap(tmp_path):
    task = made_task()
    for one in task.series:
        begin, end = one.ends["valid"]
        origins = [origin for other, origin in task.windows("valid") if other is one]
        assert origins[0] >= begin and origins[-1] + task.horizon == end
        assert set(np.diff(origins)) == {task.horizon}


def test_a_recipe_learns_a_csv_of_yours_and_draws_it(tmp_path, capsys):
    rows = [
        f"{shop},{math.sin(n / 2) + (shop == 'b') * n / 50:.4f}"
        for shop in "ab"
        for n in range(90 + 30 * (shop == "b"))
    ]
    path = write(tmp_path, "\n".join(["shop,value", *rows]))
    quick = [
        "preprocessor.season=6",
        "preprocessor.context=12",
        "task.horizon=6",
        "task.paths=20",
        "train.steps=3",
        "core.width=8",
    ]
    made = load_recipe("forecast", [f"data.path={path}", "data.group=shop", *quick, "evaluate.times=1"])
    results = list(Experiment.new(made, tmp_path / "run"))[-1].results
    assert results["valid/free_running:a/mase"] > 0 and 0 <= results["valid/free_running/covered_80"] <= 1
    drawn = json.loads((tmp_path / "run/forecasts.json").read_text())["outlooks"]
    assert [one["name"] for one in drawn] == ["a", "b"] and len(drawn[0]["bands"]["0.9"]) == 6
    assert (tmp_path / "run/forecasts.png").stat().st_size > 10_000
    again = Run.load(tmp_path / "run").evaluate("valid")
    assert {key: again[key] for key in again} == pytest.approx({key: results[key] for key in again}, rel=ROUNDING)
    assert printed("predict", tmp_path / "run", "--file", path, "--horizon", "4", "--seed", "1", "--json") == 0
    one, other = json.loads(capsys.readouterr().out)
    assert (one["series"], other["series"]) == ("a", "b") and one["step"] == [1, 2, 3, 4]
    assert len(one["samples"]) == 20 and one["quantiles"]["0.5"] == one["values"]
    assert one["quantiles"]["0.05"] <= one["quantiles"]["0.95"] and np.isfinite(one["values"]).all()


def test_a_series_too_short_for_its_windows_is_refused(tmp_path):
    path = write(tmp_path, "value\n" + "\n".join(map(str, range(40))))
    with pytest.raises(DataError, match=r"series.csv, line 2: the series 'value' has 28 values for train, and 121"):
        made_task(f"data.path={path}")
