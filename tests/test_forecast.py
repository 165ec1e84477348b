"""Numbers that go on: the ball, series, roll-outs and what forecasts are worth."""

import json
import math

import numpy as np
import pytest
import torch

from conftest import trained
from unspool import cli
from unspool.batch import Vectors
from unspool.build import dataset
from unspool.build import task as build_task
from unspool.data.series import Series
from unspool.data.synthetic.five_series import five_series
from unspool.data.synthetic.flight import Ball, flight, fly
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.generate.engine import window_start
from unspool.generate.rollout import Roller
from unspool.metrics.forecast import covered, crps, gaussian_crps, mase, naive_error
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.nn.ends import embedding, head
from unspool.recipe import load_recipe
from unspool.runs.run import Run
from unspool.tasks.legacy import tasks

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
        y, _ = net.think(whole, net.start(whole))
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


def test_a_flight_follows_from_seed_and_number_alone():
    one, other = (tasks.build("task", {"kind": "ball", "batch_size": n}, seed=3) for n in (4, 7))
    assert torch.equal(one.places(5, 3, 10), other.places(2, 9, 10)[3:6])
    assert not torch.equal(one.places(5, 1, 10), one.places(6, 1, 10))
    train, valid, test = (one.exams(split)["fresh"][0].inputs for split in ("train", "valid", "test"))
    assert torch.equal(train, one.train_batches()[0].inputs)
    assert not torch.equal(train, valid) and not torch.equal(valid, test)


@pytest.mark.parametrize(("frames", "gravity"), [(0, 0.0), (1, 0.0), (3, 0.01)])
def test_a_ball_is_asked_for_where_it_goes(frames, gravity):
    task = tasks.build("task", {"kind": "ball", "frames": frames, "gravity": gravity, "length": 6})
    batch = task.train_batches()[2]
    length = frames or 6
    places = task.places(64, 32, length + 1)
    torch.testing.assert_close(batch.inputs, 2 * places[:, :-1] - 1)
    torch.testing.assert_close(places[:, :-1] + task.speed * batch.targets, places[:, 1:])
    assert batch.loss_mask[0].tolist() == ([False] + [True] * 5 if not frames else [False] * (frames - 1) + [True])
    assert task.mark(batch.targets, batch)["error"][0] == 0
    amount, over = task.mark(batch.targets + torch.tensor([3.0, 4.0]), batch)["error"]
    assert amount / over == pytest.approx(5 * task.speed)


def rolled(task, split, roller):
    figures, drawn = task.finals(split, trained(roll=roller))
    return figures["rolled"], drawn


def test_a_ball_that_is_told_by_physics_rolls_out_without_an_error():
    """A roller that knows the speed of each ball is right to the end; one that never moves is as wrong as "stay"."""
    task = tasks.build("task", {"kind": "ball", "horizon": 20, "gravity": 0.003})

    class Knows:
        spreads = False

        def __call__(self, inputs, length, feed=None, *, seed=None, window=0):
            places = task.places(0, len(inputs), task.seen + length, task_seed)
            moves = places.diff(dim=1)[:, task.seen - 1 :] / task.speed
            for step in range(length):
                torch.testing.assert_close(feed(step, moves[:, step]), 2 * places[:, task.seen + step] - 1)
            return moves

    from unspool.seeds import mix

    task_seed = mix(0, -1)
    figures, drawn = rolled(task, "valid", Knows())
    assert max(figures[f"error_{h}"] for h in (1, 2, 5, 10, 20)) < 1e-5 < figures["straight_20"]
    assert len(drawn["flights"].true[0]) == task.seen + 20 and len(drawn["flights"].rolled[0]) == 20
    Knows.__call__ = lambda self, inputs, length, feed=None, **_: torch.zeros(len(inputs), length, 2)
    still, _ = rolled(task, "valid", Knows())
    assert all(still[f"error_{h}"] == pytest.approx(still[f"stay_{h}"]) for h in (1, 20))


# What forecasts are worth


def test_mase_is_the_error_by_that_of_the_naive_forecast():
    values = torch.tensor([1.0, 5.0, 2.0, 7.0, 1.0])
    assert naive_error(values) == pytest.approx((4 + 3 + 5 + 6) / 4)
    assert naive_error(values, 2) == pytest.approx((1 + 2 + 1) / 3)
    assert mase(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 5.0]), 4.0) == pytest.approx(0.5)


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
        ("value\n1\n\n,\n", {}, "line 4: 2 fields, and the first line names 1 columns", "quotes"),
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
        made_task(tmp_path, f"data.path={path}")


def test_the_made_series_are_the_same_every_time():
    one, again = five_series(), five_series()
    assert one == again and len(one) == 5
    assert all(len(values) == 1200 and np.isfinite(values).all() for values in one.values())
    sine = np.array(one["sine"])
    assert np.std(sine - np.sin(2 * np.pi * np.arange(1200) / 24)) == pytest.approx(0.2, abs=0.02)


def made_task(tmp_path, *overrides):
    recipe = load_recipe("forecast", overrides)
    return build_task(recipe, dataset(recipe).read())


class Answers:
    """A roller that knows what follows, or says that nothing moves."""

    spreads = False

    def __init__(self, task, split, right):
        self.task, self.split, self.right = task, split, right

    def __call__(self, inputs, length, feed=None, *, seed=None, window=0):
        if not self.right:
            return torch.zeros(len(inputs), length, 1)
        windows = self.task.origins(self.split)
        series, starts = [one for one, _ in windows], [origin - self.task.context for _, origin in windows]
        whole = self.task.window(series, starts, self.task.context + length - 1)
        torch.testing.assert_close(inputs, whole.inputs[:, : self.task.context])
        moves = whole.targets[:, self.task.context - 1 :]
        for step in range(length - 1):
            read = feed(step, moves[:, step])
            torch.testing.assert_close(read, whole.inputs[:, self.task.context + step], atol=1e-5, rtol=1e-5)
        return moves


@pytest.mark.parametrize("season", [24, 1])
def test_who_knows_the_future_has_no_error_and_who_stays_has_that_of_the_naive_forecast(tmp_path, season):
    task = made_task(tmp_path, f"task.season={season}")
    for split in ("valid", "test"):
        figures, drawn = rolled(task, split, Answers(task, split, True))
        assert figures["mase"] < 1e-4 and figures["crps"] < 1e-4 and "covered_80" not in figures
        assert figures["better_than_seasonal_naive"] == 1
        outlook = drawn["forecasts"].outlooks[0]
        assert outlook.values[outlook.start :] == pytest.approx(outlook.bands["0.5"], abs=1e-4)
    if season == 1:
        figures, _ = rolled(task, "valid", Answers(task, "valid", False))
        assert figures["mase"] == pytest.approx(figures["as_now"]) == pytest.approx(figures["as_a_season_ago"])


def test_nothing_of_the_future_is_in_the_scale_or_the_inputs(tmp_path):
    """Change every value from some time on: what is read and asked before that time stays the same."""
    recipe = load_recipe("forecast")
    parts = dataset(recipe).read()
    one = build_task(recipe, parts)
    for record in (*parts.valid, *parts.test):
        record["values"] = [v + 100 for v in record["values"]]
    other = build_task(recipe, parts)
    assert torch.equal(one.train_batches()[3].inputs, other.train_batches()[3].inputs)
    batch, changed = (task.exams("valid")["ahead"][0] for task in (one, other))
    first = one.context - 1  # the first step that is asked; its window lies at the beginning of the part in row 0
    row = next(n for n, (_, origin) in enumerate(one.origins("valid")) if origin - one.series[0].ends["valid"][0] < 24)
    gap = one.origins("valid")[row][1] - one.series[0].ends["valid"][0]
    before = first - gap
    assert torch.equal(batch.inputs[row, :before], changed.inputs[row, :before])
    assert not torch.equal(batch.targets[row], changed.targets[row])
    assert batch.loss_mask[row].tolist() == [False] * first + [True] * one.horizon


def test_windows_of_a_split_end_with_it_and_do_not_overlap(tmp_path):
    task = made_task(tmp_path)
    for one in task.series:
        begin, end = one.ends["valid"]
        origins = [origin for other, origin in task.origins("valid") if other is one]
        assert origins[0] >= begin and origins[-1] + task.horizon == end
        assert set(np.diff(origins)) == {task.horizon}


def test_a_recipe_learns_a_csv_of_yours_and_draws_it(tmp_path, capsys):
    rows = [
        f"{shop},{math.sin(n / 2) + (shop == 'b') * n / 50:.4f}"
        for shop in "ab"
        for n in range(90 + 30 * (shop == "b"))
    ]
    path = write(tmp_path, "\n".join(["shop,value", *rows]))
    quick = ["task.season=6", "task.context=12", "task.horizon=6", "task.paths=20", "train.steps=3", "core.width=8"]
    made = load_recipe("forecast", [f"data.path={path}", "data.group=shop", *quick, "evaluate.times=1"])
    results = list(Experiment.new(made, tmp_path / "run"))[-1].results
    assert results["valid_rolled_a_mase"] > 0 and 0 <= results["valid_rolled_covered_80"] <= 1
    drawn = json.loads((tmp_path / "run/forecasts.json").read_text())["outlooks"]
    assert [one["name"] for one in drawn] == ["a", "b"] and len(drawn[0]["bands"]["0.9"]) == 6
    assert (tmp_path / "run/forecasts.png").stat().st_size > 10_000
    again = Run.load(tmp_path / "run").evaluate("valid")
    assert again["rolled"]["a_mase"] == pytest.approx(results["valid_rolled_a_mase"])
    with pytest.raises(SystemExit) as end:
        cli.main(["sample", str(tmp_path / "run"), "--length", "4", "--count", "2", "--seed", "1"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "series,path,step,value" and len(lines) == 1 + 2 * 2 * 4
    assert lines[1].startswith("a,1,1,") and np.isfinite(float(lines[-1].split(",")[-1]))


def test_a_model_of_a_ball_has_nothing_to_write(tmp_path, capsys):
    made = load_recipe("ball", ["train.steps=2", "core.width=8", "task.batch_size=2", "task.horizon=3"])
    list(Experiment.new(made, tmp_path / "run"))
    assert (tmp_path / "run/flights.png").stat().st_size > 10_000
    with pytest.raises(SystemExit) as end:
        cli.main(["sample", str(tmp_path / "run")])
    assert end.value.code == 2 and "is not a model of text" in capsys.readouterr().err
