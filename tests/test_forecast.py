"""Numbers that go on: the ball, series, roll-outs and what forecasts are worth."""

import json
import math

import numpy as np
import pytest
import torch

from conftest import run as printed
from unspool.batch import Vectors
from unspool.build import dataset
from unspool.build import task as build_task
from unspool.data.clock import Clock
from unspool.data.predictions import Failure, Flight
from unspool.data.predictions import Series as Prediction
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.data.scaling import naive_error
from unspool.data.series import Series
from unspool.data.splits import Splits
from unspool.data.synthetic.five_series import five_series
from unspool.data.synthetic.flight import Ball, flight, fly
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.engine import window_start
from unspool.generate.rollout import Roller
from unspool.metrics.flights import DistanceAhead
from unspool.metrics.forecast import (
    BetterThanSeasonalNaive,
    Coverage,
    OfSeasonalNaive,
    ScaledCrps,
    ScaledError,
    covered,
    crps,
    gaussian_crps,
    mase,
    seasonal_naive,
)
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_generation
from unspool.runs.run import Run

CORES = [
    {"kind": "recurrent", "cell": "gru", "layers": 2, "residual": True},
    {"kind": "recurrent", "cell": "lstm"},
    {"kind": "transformer", "layers": 1, "heads": 2, "context": 32},
    {"kind": "convolutional", "layers": 2},
    {"kind": "window-mlp", "window": 3},
]


def model(options, inputs=2, targets=2, components=0):
    core = cores.build("core", options, width=8)
    ends = embedding(Vectors(inputs), core.input_width), core, head(Vectors(targets), core.width, components)
    return SequenceModel(*ends).eval()


# Roll-outs


@pytest.mark.parametrize("options", CORES, ids=lambda o: o["kind"])
@pytest.mark.parametrize("components", [0, 1, 3])
def test_going_on_step_by_step_is_one_pass_over_ones_own_outputs(options, components):
    """The autoregressive network of the practicum: its outputs are its inputs."""
    net, prompt = model(options, components=components), torch.randn(3, 6, 2)
    said = Roller(net)(prompt, 12)
    whole = torch.cat([prompt, said[:, :-1]], dim=1)
    with torch.no_grad():
        again, _ = net(whole, net.start(whole))
    torch.testing.assert_close(said, again[:, 5:], atol=1e-6, rtol=0)


def test_what_is_drawn_is_fed_back_and_follows_from_the_seed():
    net, prompt = model(CORES[0], components=2), torch.randn(2, 4, 2)
    one, same, other = (Roller(net)(prompt, 9, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    whole = torch.cat([prompt, one[:, :-1]], dim=1)
    with torch.no_grad():
        y, _ = net.hidden_states(whole, net.start(whole))
        density = net.head.density(y[:, 3:])
    off = (one - density.means.mean(dim=-2)).abs() / density.scales.amax(dim=-2)
    assert float(off.max()) < 6, "each was drawn where the model sees it after those before"


@pytest.mark.parametrize(
    "options", [CORES[0], {**CORES[2], "positions": "learned", "context": 8}], ids=lambda o: o["kind"]
)
def test_a_window_is_read_anew_at_each_step(options):
    net, prompt = model(options), torch.randn(2, 5, 2)
    window = 3 if options["kind"] == "recurrent" else 8
    said = Roller(net)(prompt, 9, window=window if options["kind"] == "recurrent" else 0)
    every = torch.cat([prompt, said], dim=1)
    for step in range(9):
        begin = 5 + step - window if options["kind"] == "recurrent" else window_start(5 + step, window)
        seen = every[:, max(0, begin) : 5 + step]
        with torch.no_grad():
            torch.testing.assert_close(said[:, step], net(seen, net.start(seen))[0][:, -1], atol=1e-6, rtol=0)


# The ball


def test_a_ball_keeps_its_energy_and_stays_in_its_box():
    place = 0.05 + 0.9 * torch.rand(50, 2, dtype=torch.float64)
    ball, pull = Ball(place, 0.4 * torch.rand(50, 2, dtype=torch.float64) - 0.2), torch.tensor([0.0, 0.01]).double()
    energy = ball.speed.square() / 2 + pull * ball.place
    for _ in range(100):
        ball = fly(ball, pull)
        assert float(ball.place.min()) >= 0 and float(ball.place.max()) <= 1
        torch.testing.assert_close(ball.speed.square() / 2 + pull * ball.place, energy, atol=1e-12, rtol=0)


def test_a_frame_at_once_is_a_frame_in_many_small_steps():
    ball = Ball(torch.rand(50, 2).double(), 0.6 * torch.rand(50, 2).double() - 0.3)
    pull = torch.tensor([0.0, 0.02]).double()
    small = ball
    for _ in range(1000):
        small = fly(small, pull, 0.001)
    torch.testing.assert_close(fly(ball, pull).place, small.place, atol=1e-9, rtol=0)


def test_without_gravity_a_flight_is_a_folded_line():
    ball, still = Ball(torch.rand(20, 2).double(), torch.rand(20, 2).double() - 0.5), torch.zeros(2).double()
    places = flight(ball, still, 30)
    for frame in range(30):
        torch.testing.assert_close(places[:, frame], ball.place, atol=1e-12, rtol=0)
        ball = fly(ball, still)


def ball(seed=0, **options):
    return build_task({"task": {"kind": "ball", **options}, "seed": seed}, Splits(""))


def test_a_flight_follows_from_seed_and_number_alone():
    one, other = (ball(seed=3, batch_size=n) for n in (4, 7))
    assert torch.equal(one.places(5, 3, 10), other.places(2, 9, 10)[3:6])
    assert not torch.equal(one.places(5, 1, 10), one.places(6, 1, 10))
    train, valid, test = (one.eval_sets(split)["fresh"].batches[0].inputs for split in ("train", "valid", "test"))
    assert torch.equal(train, one.train_batches()[0].inputs)
    assert not torch.equal(train, valid) and not torch.equal(valid, test)


@pytest.mark.parametrize(("frames", "gravity"), [(0, 0.0), (1, 0.0), (3, 0.01)])
def test_a_ball_is_asked_for_where_it_goes(frames, gravity):
    task = ball(frames=frames, gravity=gravity, length=6)
    batch = task.train_batches()[2]
    length = frames or 6
    places = task.places(64, 32, length + 1)
    torch.testing.assert_close(batch.inputs, 2 * places[:, :-1] - 1)
    torch.testing.assert_close(places[:, :-1] + task.speed * batch.targets, places[:, 1:])
    assert batch.loss_mask[0].tolist() == ([False] + [True] * 5 if not frames else [False] * (frames - 1) + [True])
    for off, error in ((torch.zeros(2), 0.0), (torch.tensor([3.0, 4.0]), 5 * task.speed)):
        (metric,) = (make() for make in task.eval_sets("valid")["fresh"].metrics)
        metric.update(batch.targets + off, batch)
        assert metric.compute()["error"] == pytest.approx(error)


class Same:
    """A pipeline that says what it was given."""

    def __init__(self, *predictions):
        self.predictions = predictions

    def predict(self, records, batch_size):
        return iter(self.predictions)


def test_a_ball_that_is_told_by_physics_rolls_out_without_an_error():
    """Who knows the future is right to the end; who never moves is as wrong as "stay"."""
    task = ball(horizon=20, gravity=0.003)
    generated = task.generation_sets("valid")["free_running"]
    steps = list(range(1, 21))
    knows = [Flight("", steps, *map(list, zip(*record["future"], strict=True))) for record in generated.records]
    figures, drawn = evaluate_generation(Same(*knows), generated)
    assert max(figures["", f"error_{h}"] for h in (1, 2, 5, 10, 20)) < 1e-5 < figures["", "straight_20"]
    assert len(drawn["flights"].true[0]) == task.seen + 20 and len(drawn["flights"].rolled[0]) == 20
    stays = [Flight("", steps, record["across"][-1:] * 20, record["up"][-1:] * 20) for record in generated.records]
    still, _ = evaluate_generation(Same(*stays), generated)
    assert all(still["", f"error_{h}"] == pytest.approx(still["", f"stay_{h}"]) for h in (1, 20))


def test_distances_are_means_over_flights_for_each_horizon():
    metric = DistanceAhead("error", [1, 3])
    assert metric.compute() == {}
    flight = {"across": [0.0, 0.0], "up": [0.0, 0.0], "future": [[0.0, 0.0]] * 3}
    metric.update(Flight("", [1, 2, 3], [3.0, 9.0, 0.0], [4.0, 9.0, 1.0]), flight)
    metric.update(Flight("", [1, 2, 3], [0.0, 9.0, 0.0], [1.0, 9.0, 0.0]), flight)
    assert metric.compute() == {"error_1": 3.0, "error_3": 0.5}


@pytest.mark.parametrize("frames", [0, 2])
def test_a_flight_goes_on_from_where_the_model_says_that_it_is(tmp_path, frames):
    """One by one and in a batch of several lengths alike; a flight with a bad row is an error and the others go on."""
    quick = ["train.steps=2", "core.width=8", "task.batch_size=2", "evaluate.times=0"]
    made = load_recipe("ball", [*quick, f"task.frames={frames}", "task.horizon=3"])
    list(Experiment.new(made, tmp_path / "run"))
    run = Run.load(tmp_path / "run")
    pipeline = run.pipeline()
    places = torch.rand(3, 9, 2).double()
    flights = [
        {"flight": f"{n}", "across": one[: 6 + n, 0].tolist(), "up": one[: 6 + n, 1].tolist()}
        for n, one in enumerate(places)
    ]
    together = list(pipeline.predict(flights))
    for given, one in zip(flights, together, strict=True):
        alone = run.predict(given)
        assert alone.flight == one.flight == given["flight"] and alone.steps == [1, 2, 3]
        assert alone.across == pytest.approx(one.across, abs=1e-6) and alone.up == pytest.approx(one.up, abs=1e-6)
        longer = {**given, "across": given["across"] + alone.across[:1], "up": given["up"] + alone.up[:1]}
        assert run.predict(longer).across[:2] == pytest.approx(alone.across[1:], abs=1e-5)
    rows = [("flight", "across", "up"), ("a", 0.1, 0.2), ("b", 0.5, "x"), ("a", 0.2, 0.2), ("b", 0.5, 0.1)]
    table = write(tmp_path, "\n".join(",".join(map(str, row)) for row in rows), "flights.csv")
    assert printed("predict", tmp_path / "run", "--file", table, "--out", tmp_path / "out.csv") == 0
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[0] == "flight,step,across,up,error" and [line[:4] for line in lines[1:4]] == ["a,1,", "a,2,", "a,3,"]
    assert len(lines) == 5 and lines[4].startswith("b,,,,") and "numbers" in lines[4]
    short = next(pipeline.predict([{"flight": "c", "across": [0.1], "up": [0.1]}]))
    assert isinstance(short, Failure) == bool(frames)


# What forecasts are worth


def test_mase_is_the_error_by_that_of_the_naive_forecast():
    values = torch.tensor([1.0, 5.0, 2.0, 7.0, 1.0])
    assert naive_error(values) == pytest.approx((4 + 3 + 5 + 6) / 4)
    assert naive_error(values, 2) == pytest.approx((1 + 2 + 1) / 3)
    assert mase(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 5.0]), 4.0) == pytest.approx(0.5)


def record(series="a", naive=2.0, values=(1.0, 5.0), future=(2.0, 8.0)):
    return {"series": series, "naive": naive, "values": list(values), "future": list(future)}


def said(*values, samples=()):
    return Prediction("", [1, 2], list(values), samples=list(samples))


def test_errors_are_means_over_windows_and_then_over_series():
    metric = ScaledError()
    assert metric.compute() == {}
    metric.update(said(2.0, 8.0), record())
    metric.update(said(4.0, 8.0), record())  # 1 / 2 in the mean, by a naive error of 2
    metric.update(said(3.0, 9.0), record("b", naive=0.5))
    metric.update(said(3.0, 9.0), record("constant", naive=0.0))
    assert metric.compute() == {"mase": ((0.0 + 0.5) / 2 + 2.0) / 2}
    for season, error in ((1, (3 + 3) / 2 / 2), (2, (1 + 3) / 2 / 2)):
        naive = ScaledError("naive", seasonal_naive(season))
        naive.update(said(0.0, 0.0), record())
        assert naive.compute() == {"naive": error}


def test_scores_of_paths_are_those_of_their_values():
    paths = torch.randn(9, 2, dtype=torch.float64)
    metric, single = ScaledCrps(), ScaledCrps()
    metric.update(said(0.0, 0.0, samples=paths.tolist()), record())
    assert metric.compute()["crps"] == pytest.approx(float(crps(paths, torch.tensor([2.0, 8.0])).mean()) / 2)
    single.update(said(3.0, 8.0), record())
    single.update(said(3.0, 8.0), record("constant", naive=0.0))
    assert single.compute() == {"crps": 0.25}
    cover = Coverage(80)
    cover.update(said(3.0, 8.0), record())
    assert cover.compute() == {}
    cover.update(said(0.0, 0.0, samples=[[float(n), float(n)] for n in range(9)]), record())
    assert cover.compute() == {"covered_80": 0.5}  # from 0.8 to 7.2


def test_a_ratio_to_the_seasonal_naive_forecast_is_left_out_where_that_has_no_error():
    of, better = OfSeasonalNaive(2), BetterThanSeasonalNaive(2)
    for metric in (of, better):
        metric.update(said(2.0, 8.0), record("exact", values=(2.0, 8.0)))
        assert metric.compute() == {}
        metric.update(said(2.0, 7.0), record("a"))  # 0.5 of 2
        metric.update(said(9.0, 8.0), record("b"))  # 3.5 of 2
    assert of.compute() == {"of_seasonal_naive": (0.25 + 1.75) / 2}
    assert better.compute() == {"better_than_seasonal_naive": 0.5}


@pytest.mark.parametrize("pattern", [[7.0], list(range(1, 13))], ids=["constant", "exactly seasonal"])
@pytest.mark.parametrize("components", [0, 1])
def test_a_series_without_a_naive_error_is_trained_and_measured(tmp_path, pattern, components):
    path = write(tmp_path, "value\n" + "\n".join(map(str, pattern * (600 // len(pattern)))))
    quick = ["train.steps=2", "core.width=8", "evaluate.times=1", "task.paths=5", f"model.components={components}"]
    made = load_recipe("forecast", [f"data.path={path}", "preprocessor.season=12", *quick])
    results = list(Experiment.new(made, tmp_path / "run"))[-1].results
    assert ("valid/free_running/covered_80" in results) == bool(components)
    assert not [key for key in results if key.endswith(("mase", "crps", "naive")) or "ago" in key]
    assert all(math.isfinite(value) for value in results.values())
    assert Run.load(tmp_path / "run").predict({"values": pattern * (600 // len(pattern))}).values


def test_crps_of_drawn_values_is_its_definition_and_tends_to_the_closed_form():
    paths, true = torch.randn(7, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    pairs = (paths.unsqueeze(0) - paths.unsqueeze(1)).abs().mean(dim=(0, 1))
    torch.testing.assert_close(crps(paths, true), (paths - true).abs().mean(dim=0) - pairs / 2)
    torch.testing.assert_close(crps(paths[:1], true), (paths[0] - true).abs())
    mean, scale, true = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([1.7, -2.5])
    many = mean + scale * torch.randn(40_000, 2)
    torch.testing.assert_close(crps(many, true), gaussian_crps(mean, scale, true), atol=2e-2, rtol=0)


def test_the_closed_form_is_the_integral():
    x = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    below = torch.distributions.Normal(0.3, 1.2).cdf(x)
    integral = float(torch.trapezoid((below - (x >= 1.1).double()).square(), x))
    assert integral == pytest.approx(float(gaussian_crps(*map(torch.tensor, (0.3, 1.2, 1.1)))), abs=1e-4)


def test_the_middle_80_percent_cover_80_percent_of_what_is_so_distributed():
    assert covered(torch.randn(1000, 4000), torch.randn(4000), 0.8) == pytest.approx(0.8, abs=0.03)
    assert covered(torch.randn(1000, 4000), 3 * torch.randn(4000), 0.8) < 0.5


# Series


def write(folder, text, name="series.csv"):
    (folder / name).write_text(text)
    return str(folder / name)


def test_series_are_columns_and_groups_cut_in_time(tmp_path):
    rows = [f"{shop},{n},{10 * n}" for n in range(10) for shop in ("b", "a") if n < 8 or shop == "a"]
    path = write(tmp_path, "\n".join(["shop,sales,visits", *rows]))
    parts = Series(path, column=("sales", "visits"), group="shop", valid=0.25, test=0.25).read()
    train, valid, test = ({r["series"]: r["values"] for r in p} for p in (parts.train, parts.valid, parts.test))
    assert list(train) == ["b sales", "b visits", "a sales", "a visits"]
    assert train["b sales"] == [0, 1, 2, 3] and valid["b sales"] == [4, 5] and test["b sales"] == [6, 7]
    assert train["a visits"] + valid["a visits"] + test["a visits"] == [10 * n for n in range(10)]
    assert parts.places["b visits"] == f"{path}, line 2"
    assert parts.fingerprint != Series(path, column="sales", group="shop").read().fingerprint


@pytest.mark.parametrize(
    ("text", "options", "error", "hint"),
    [
        ("value\n1\n\n,\n", {}, "line 4: there is no number in the column 'value'", "fill it"),
        ("a,value\n1,2\n1,\n", {}, "line 3: there is no number in the column 'value'", "fill it"),
        ("value\n1\nx1\n", {}, "line 3: 'x1' in the column 'value' is not a number", "with a point"),
        ("value\n1\n1,5\n", {}, "line 3", ""),
        ("value\n1\nNaN\n", {}, "line 3: 'NaN' in the column 'value' is no finite", "fill it"),
        ("value\n1e39\n1\n", {}, "line 2: '1e39'", "fill it"),
        ("valeu\n1\n", {}, "line 2: there is no column 'value'", "data.column=valeu"),
        ("id,value\n,1\n", {"group": "id"}, "line 2: the column 'id' names no series", "fill it"),
        (
            "id,value\na,1\na,2\na,3\nb,7\n",
            {"group": "id", "valid": 0.0, "test": 0.5},
            "line 5: the series 'b' has 1",
            "longer",
        ),
        ("value\n", {}, "empty", "one record"),
    ],
)
def test_a_table_that_is_no_series_is_refused_by_file_and_line(tmp_path, text, options, error, hint):
    with pytest.raises(DataError) as caught:
        Series(write(tmp_path, text), **options).read()
    assert "series.csv" in str(caught.value) and error in str(caught.value) and hint in caught.value.hint


def test_a_series_too_short_for_its_windows_is_refused(tmp_path):
    path = write(tmp_path, "value\n" + "\n".join(map(str, range(40))))
    with pytest.raises(DataError, match=r"series.csv, line 2: the series 'value' has 28 values for train, and 121"):
        made_task(f"data.path={path}")


def test_the_made_series_are_the_same_every_time():
    one, again = five_series(), five_series()
    assert one == again and len(one) == 5
    assert all(len(values) == 1200 and np.isfinite(values).all() for values in one.values())
    sine = np.array(one["sine"])
    assert np.std(sine - np.sin(2 * np.pi * np.arange(1200) / 24)) == pytest.approx(0.2, abs=0.02)


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
        figures, drawn = evaluate_generation(Same(*predictions), generated)
        assert figures["", "mase"] < 1e-4 and figures["", "crps"] < 1e-4 and ("", "covered_80") not in figures
        assert figures["", "better_than_seasonal_naive"] == 1 and figures[":walk", "mase"] < 1e-4
        outlook = drawn["forecasts"].outlooks[0]
        assert outlook.values[outlook.start :] == pytest.approx(outlook.bands["0.5"], abs=1e-4)
    if season == 1:
        stays = [task.preprocessor.decode(torch.zeros(1, task.horizon), record) for record in generated.records]
        figures, _ = evaluate_generation(Same(*stays), generated)
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
    assert {key: again[key] for key in again} == pytest.approx({key: results[key] for key in again})
    assert printed("predict", tmp_path / "run", "--file", path, "--horizon", "4", "--seed", "1", "--json") == 0
    one, other = json.loads(capsys.readouterr().out)
    assert (one["series"], other["series"]) == ("a", "b") and one["step"] == [1, 2, 3, 4]
    assert len(one["samples"]) == 20 and one["quantiles"]["0.5"] == one["values"]
    assert one["quantiles"]["0.05"] <= one["quantiles"]["0.95"] and np.isfinite(one["values"]).all()


def test_a_model_of_a_ball_writes_no_text(tmp_path, capsys):
    made = load_recipe("ball", ["train.steps=2", "core.width=8", "task.batch_size=2", "task.horizon=3"])
    list(Experiment.new(made, tmp_path / "run"))
    assert (tmp_path / "run/flights.png").stat().st_size > 10_000
    assert printed("sample", tmp_path / "run") == 2 and "predict" in capsys.readouterr().err


# Predictions


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


@pytest.mark.parametrize(
    ("times", "following"),
    [
        (["1", "2", "3"], [4, 5]),
        ([0, 0.5, 1.0], [1.5, 2]),
        (["2024-01-31 22:00", "2024-01-31 23:00"], ["2024-02-01 00:00:00", "2024-02-01 01:00:00"]),
        (["2023-11-01", "2023-12-01"], ["2023-12-31", "2024-01-30"]),
        (["2023-11-01", "2023-12-01", "2024-01-01"], ["2024-02-01", "2024-03-01"]),
        (["2023-12-31", "2024-01-02", "2024-01-04"], ["2024-01-06", "2024-01-08"]),
    ],
)
def test_times_go_on_as_they_began(times, following):
    assert Clock.of(times).times(len(times), 2) == following


@pytest.mark.parametrize("times", [[], ["1"], ["a", "b"], ["1", "2", "4"], ["2", "1"], ["1", "2024-01-01"], ["", ""]])
def test_times_that_are_not_equally_far_apart_have_no_clock(times):
    assert Clock.of(times) is None


def test_rows_are_sorted_by_the_time_that_is_found(tmp_path):
    days = Clock("2024-01-01", 86_400.0).times(0, 10)
    path = write(tmp_path, "\n".join(["Date,value", *(f"{day},{n}" for n, day in reversed([*enumerate(days)]))]))
    found = Series(path, valid=0.0, test=0.2).read()
    assert found.train == [{"series": "value", "values": [*range(8)], "times": days[:8]}]
    assert found.test[0]["values"] == [8, 9], "the latest are the test"
    assert found.notes[1:] == ("times are in the column 'Date'", "the rows of 'value' were sorted by time")
    named = write(tmp_path, "\n".join(["weekday,value", "Monday,1", "Sunday,2"]))
    assert Series(named, time="weekday", valid=0.0, test=0.5).read().train[0]["values"] == [1.0]


def test_two_series_without_a_group_are_refused_with_the_group(tmp_path):
    rows = [f"2024-01-{day:02},{shop},{day}" for day in range(1, 9) for shop in ("north", "south")]
    path = write(tmp_path, "\n".join(["day,shop,value", *rows]))
    with pytest.raises(DataError, match=r"line 3: the time 2024-01-01 comes twice in .*line 2") as refused:
        Series(path).read()
    assert refused.value.hint == "tell the series apart with data.group=shop"
    assert [r["series"] for r in Series(path, group="shop", valid=0.0).read().train] == ["north", "south"]
    path = write(tmp_path, "day,value\n2024-01-01,1\n2024-01-02,2\n2024-01-02,3\n")
    with pytest.raises(DataError, match="line 4: the time 2024-01-02 comes twice") as refused:
        Series(path).read()
    assert refused.value.hint == "leave one of the rows out"


@pytest.mark.parametrize(
    ("times", "previous", "linear", "filled"),
    [
        (["1", "2", "5"], [0, 1, 1, 1, 2], [0, 1, 4 / 3, 5 / 3, 2], ["1", "2", "3", "4", "5"]),
        (["2024-01-31", "2024-02-01", "2024-02-03"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-02-02"]),
        (["2024-01-01", "2024-02-01", "2024-04-01"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-03-01"]),
        (["2024-05-02", "2024-05-03", "2024-05-07"], [0, 1, 1, 2], [0, 1, 1.5, 2], ["2024-05-06"]),
    ],
    ids=["numbers", "days", "months", "weekdays"],
)
def test_holes_are_refused_or_filled(tmp_path, times, previous, linear, filled):
    path = write(tmp_path, "\n".join(["time,value", *(f"{time},{n}" for n, time in enumerate(times))]))
    with pytest.raises(DataError, match=f"line 4: between {times[1]} and {times[2]} there is a hole") as refused:
        Series(path, valid=0.0, test=0.0).read()
    assert "data.holes=previous" in refused.value.hint
    for holes, values in (("previous", previous), ("linear", linear), ("keep", [0, 1, 2])):
        (record,) = Series(path, valid=0.0, test=0.0, holes=holes).read().train
        assert record["values"] == pytest.approx(values)
        assert holes == "keep" or set(filled) <= set(record["times"])


def test_weekends_are_no_holes_and_unequal_steps_are_refused(tmp_path):
    path = write(tmp_path, "date,value\n2024-05-02,1\n2024-05-03,2\n2024-05-06,3\n2024-05-07,4\n")
    found = Series(path, valid=0.0, test=0.0).read()
    assert found.train[0]["values"] == [1, 2, 3, 4] and "weekdays" in found.notes[-1]
    path = write(tmp_path, "time,value\n1,1\n2,2\n3.5,3\n")
    with pytest.raises(DataError, match="there are no equal steps in") as refused:
        Series(path, valid=0.0, test=0.0, holes="linear").read()
    assert "data.holes=keep" in refused.value.hint


def test_newest_first_is_forecast_from_its_last_date(daily, capsys):
    lines = (daily / "series.csv").read_text().splitlines()
    turned = daily / "turned.csv"
    turned.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    told = []
    for file in (daily / "series.csv", turned):
        assert printed("predict", daily / "run", "--file", file, "--json") == 0
        told.append({one["series"]: one for one in json.loads(capsys.readouterr().out)})
    assert told[0] == told[1]
