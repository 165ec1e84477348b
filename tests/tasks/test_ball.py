"""The ball: flights by number, what is asked of them, and where they go."""

import pytest
import torch

from helpers.commands import run as printed
from helpers.files import write
from helpers.models import Predicting
from unspool.build import task as build_task
from unspool.data.predictions import Failure, Flight
from unspool.data.splits import Splits
from unspool.experiment.experiment import Experiment
from unspool.metrics.flights import DistanceAhead
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_generation
from unspool.runs.run import Run


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


def test_a_ball_that_is_told_by_physics_rolls_out_without_an_error():
    """Who knows the future is right to the end; who never moves is as wrong as "stay"."""
    task = ball(horizon=20, gravity=0.003)
    generated = task.generation_sets("valid")["free_running"]
    steps = list(range(1, 21))
    knows = [Flight("", steps, *map(list, zip(*record["future"], strict=True))) for record in generated.records]
    figures, drawn = evaluate_generation(Predicting(*knows), generated)
    assert max(figures["", f"error_{h}"] for h in (1, 2, 5, 10, 20)) < 1e-5 < figures["", "straight_20"]
    assert len(drawn["flights"].true[0]) == task.seen + 20 and len(drawn["flights"].predicted[0]) == 20
    stays = [Flight("", steps, record["across"][-1:] * 20, record["up"][-1:] * 20) for record in generated.records]
    still, _ = evaluate_generation(Predicting(*stays), generated)
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


def test_a_model_of_a_ball_writes_no_text(tmp_path, capsys):
    made = load_recipe("ball", ["train.steps=2", "core.width=8", "task.batch_size=2", "task.horizon=3"])
    list(Experiment.new(made, tmp_path / "run"))
    assert (tmp_path / "run/flights.png").stat().st_size > 10_000
    assert printed("sample", tmp_path / "run") == 2 and "predict" in capsys.readouterr().err
