"""Series in, forecasts out: alone and together, and one with a bad row."""

import io
import json
import math

import numpy as np
import pytest
import torch

from helpers.commands import run as printed
from helpers.files import write
from unspool.data.clock import Clock
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.runs.run import Run


@pytest.fixture(scope="module")
def daily(tmp_path_factory):
    """A table of three daily series, and a model that has learned a little of them."""
    folder = tmp_path_factory.mktemp("daily")
    days = Clock("2024-02-01", 86_400.0).times(0, 130)
    rows = [
        f"{day},{shop},{5 + number + math.sin(2 * math.pi * n / 7) + n % 3 / 5:.4f}"
        for n, day in enumerate(days)
        for number, shop in enumerate(("north", "south", "west"))
    ]
    write(folder, "\n".join(["day,shop,sales", *rows]))
    options = ["data.group=shop", "data.column=sales", "data.time=day", "preprocessor.season=7", "task.horizon=5"]
    quick = ["preprocessor.context=14", "task.paths=30", "train.steps=20", "core.width=8", "evaluate.times=0"]
    made = load_recipe("forecast", [f"data.path={folder / 'series.csv'}", *options, *quick])
    list(Experiment.new(made, folder / "run"))
    return folder


def rows_of(folder):
    return [line.split(",") for line in (folder / "series.csv").read_text().splitlines()[1:]]


def record_of(folder, shop):
    mine = [row for row in rows_of(folder) if row[1] == shop]
    return {"series": shop, "values": [float(row[2]) for row in mine], "times": [row[0] for row in mine]}


def test_a_csv_of_daily_series_is_forecast(daily, tmp_path):
    assert printed("predict", daily / "run", "--file", daily / "series.csv", "--out", tmp_path / "out.csv") == 0
    header, *rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert header[:4] == ["series", "time", "value", "q0.05"] and header[-2:] == ["q0.95", "error"]
    assert [row[0] for row in rows] == [shop for shop in ("north", "south", "west") for _ in range(5)]
    assert [row[1] for row in rows[:5]] == Clock("2024-02-01", 86_400.0).times(130, 5)
    assert all(float(row[3]) <= float(row[2]) <= float(row[-2]) for row in rows)


def test_the_terminal_shows_no_sampled_paths(daily, tmp_path, capsys):
    for options, shown in (([], False), (["--json"], True), (["--out", tmp_path / "out.jsonl"], True)):
        assert printed("predict", daily / "run", "--file", daily / "series.csv", *options) == 0
        out = (tmp_path / "out.jsonl").read_text() if "--out" in options else capsys.readouterr().out
        found = json.loads(out) if options == ["--json"] else [json.loads(line) for line in out.splitlines()]
        assert len(found) == 3 and all(len(one["values"]) == len(one["quantiles"]["0.05"]) == 5 for one in found)
        assert all(("samples" in one) == shown for one in found)


def test_a_series_with_a_bad_row_is_an_error_and_the_others_are_forecast(daily, tmp_path, capsys):
    lines = (daily / "series.csv").read_text().splitlines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ",many"  # south
    lines[9] += ",more"  # west
    path = write(tmp_path, "\n".join(lines))
    assert printed("predict", daily / "run", "--file", path, "--out", tmp_path / "out.csv") == 0
    assert "2 of 3 rows have an error" in capsys.readouterr().err
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert {row[0]: row[-1] for row in rows}["north"] == "" and len(rows) == 5 + 2
    assert "'many' in the column 'sales' is not a number" in {row[0]: row[-1] for row in rows}["south"]
    assert printed("predict", daily / "run", "--file", write(tmp_path, "day,shop,sales\n1,a,2", "short.csv")) == 2
    assert "the series has 1 values, and 21 are needed" in capsys.readouterr().err


def test_series_are_forecast_alike_alone_and_together(daily):
    run = Run.load(daily / "run")
    records = [record_of(daily, shop) for shop in ("north", "south", "west")]
    together, two = (list(run.predict(records, batch_size=size)) for size in (64, 2))
    for n, record in enumerate(records):
        alone = run.predict(record)
        for other in (together[n], two[n]):
            assert alone.values == pytest.approx(other.values, rel=1e-5) and alone.steps == other.steps
            assert np.allclose(alone.samples, other.samples, rtol=1e-5)
    again = run.predict(records[0], seed=7)
    assert again.values != together[0].values and np.allclose(again.values, together[0].values, rtol=0.2)


def test_a_known_series_keeps_its_scaling_and_its_place_in_the_season(daily):
    run, whole = Run.load(daily / "run"), record_of(daily, "west")
    part = {name: values[-40:] for name, values in whole.items() if name != "series"}
    known, late = run.predict(whole), run.predict({"series": "west", **part})
    assert late.values == pytest.approx(known.values, rel=1e-5) and late.steps == known.steps, "by its times"
    started = {"series": "west", "values": part["values"], "start": 90}
    assert run.predict(started).values == pytest.approx(known.values, rel=1e-5)
    unknown = run.predict({"series": "east", **part})
    assert unknown.values != pytest.approx(known.values, rel=1e-5)
    shifted = run.predict({"series": "east", "values": [value + 1000 for value in part["values"]]})
    assert np.allclose(np.array(shifted.values) - 1000, unknown.values, atol=0.05), "scaled by what is handed in"


def test_what_was_fitted_is_saved_and_restored(daily):
    preprocessor = Run.load(daily / "run").preprocessor
    again = load_preprocessor(save_preprocessor(preprocessor), {})
    assert again.scalings == preprocessor.scalings and set(again.scalings) == {"north", "south", "west"}
    assert again.options() == preprocessor.options() == {"season": 7, "context": 14}
    record = record_of(daily, "north")
    for one, other in zip(again.encode(record)[:1], preprocessor.encode(record)[:1], strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0] * 20, "the series has 20 values, and 21 are needed"),
        ([1.0] * 30 + [float("nan")], "value 31 of the series is not finite"),
        (["x"] * 30, "the values are not all numbers"),
        (3.0, "the values are not all numbers"),
        (None, "missing"),
    ],
)
def test_values_that_are_no_series_are_one_sentence(daily, values, sentence):
    with pytest.raises(DataError, match=sentence):
        Run.load(daily / "run").predict({"series": "north", "values": values})


def test_without_an_input_the_training_data_goes_on(daily, tmp_path, capsys, monkeypatch):
    """All of the data, its test part included; and where it cannot be read again a command that does it."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    path = daily / "series.csv"
    assert printed("predict", daily / "run", "--file", path, "--out", tmp_path / "file.csv") == 0
    capsys.readouterr()
    assert printed("predict", daily / "run", "--out", tmp_path / "none.csv") == 0
    assert f"forecasts go on behind the last row of {path}" in capsys.readouterr().err
    assert (tmp_path / "none.csv").read_text() == (tmp_path / "file.csv").read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO("1\n2\n"))
    assert printed("predict", daily / "run") == 2
    assert "standard input has no column 'shop'" in capsys.readouterr().err


@pytest.mark.parametrize("gone", [False, True])
def test_without_an_input_and_without_the_training_data_the_hint_says_what_to_give(daily, gone, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    path = daily / "series.csv"
    content = path.read_text()
    try:
        path.unlink() if gone else path.write_text(content + "\n2024-06-10,north,5")
        assert printed("predict", daily / "run") == 2
        out, err = capsys.readouterr()
        assert out == "" and "no input is given" in err and ("no file" if gone else "is not what") in err
        command = ["predict", daily / "run", "--file", "TABLE.csv" if gone else path]
        assert f"hint: unspool {' '.join(map(str, command))}\n" in err
        assert gone or printed(*command) == 0
    finally:
        path.write_text(content)


def test_newest_first_is_forecast_from_its_last_date(daily, capsys):
    lines = (daily / "series.csv").read_text().splitlines()
    turned = daily / "turned.csv"
    turned.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    found = []
    for file in (daily / "series.csv", turned):
        assert printed("predict", daily / "run", "--file", file, "--batch-size", 1, "--json") == 0
        found.append({one["series"]: one for one in json.loads(capsys.readouterr().out)})
    assert {*found[0]} == {*found[1]} == {"north", "south", "west"}
    for name, one in found[0].items():  # one at a time: a product rounds by the place in its batch
        assert one["time"] == found[1][name]["time"] and one["samples"] == found[1][name]["samples"]
