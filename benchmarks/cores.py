"""Every core on tinyshakespeare: as many weights, as much wall-clock time as nanoGPT's CPU command takes.

    python benchmarks/cores.py --data input.txt --nanogpt CHECKOUT [--minutes 1.95] [--seeds 3]
        [--only lstm,transformer] [--steps lstm=980,...] [--plot FILE.png] [section.key=value ...]

Every core gets the steps that fit in the minutes at the speed that it has on a quiet machine: that speed is measured
first, in turns, or known from before (--steps). So a busy moment during the training itself changes no result. Each run
is `unspool train` in a process of its own. Two figures for each: carried (a recurrence remembers the whole text,
attention as much as its context) and windowed (an empty state every 64 characters, which is all that nanoGPT has).
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean, median, stdev
from tempfile import TemporaryDirectory

import torch
from common import environment, report, say
from nanogpt import run_nanogpt
from time_to_loss import run_ours

from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

CORES = {  # the recipe, and what else it takes for 0.8 million weights, within five hundredths
    "lstm": ("shakespeare-lstm", ["core.width=408"]),
    "gru": ("shakespeare-lstm", ["core.cell=gru", "core.width=472"]),
    "mingru": ("shakespeare-mingru", []),
    "minlstm": ("shakespeare-minlstm", []),
    "rglru": ("shakespeare-rglru", []),
    "mlstm": ("shakespeare-mlstm", []),
    "ssd": ("shakespeare-ssd", []),
    "gla": ("shakespeare-gla", []),
    "transformer": ("shakespeare-transformer", ["task.window=64"]),
}
PEER, WEIGHTS, TOLERANCE = "nanoGPT", 804_000, 0.05


def main() -> None:
    options = arguments()
    names = [*CORES, PEER] if not options.only else options.only.split(",")
    runs: dict[str, list[dict]] = {name: [] for name in names if name != PEER or options.nanogpt}
    options.steps = fitting(options, [name for name in runs if name != PEER])
    with ThreadPoolExecutor(options.together) as pool:
        train_one = partial(one_run, options=options, runs=runs)
        list(pool.map(train_one, [(name, seed) for seed in range(options.seeds) for name in runs]))
    table = {name: summarise(made) for name, made in runs.items()}
    for name, row in sorted(table.items(), key=lambda item: item[1]["carried"]["mean"]):
        say(f"{name:<12} {row['parameters']:>9,}  carried {figure(row['carried'])}  windowed {figure(row['windowed'])}")
    if options.plot:
        draw(table, options.plot)
    report(
        {
            "benchmark": "cores",
            **environment(),
            "data": f"{options.data.name}, the last tenth for validation",
            "unit_of_losses": "nats per character",
            "minutes_of_training": options.minutes,
            "steps": options.steps,
            "threads_of_each_run": options.threads,
            "runs_at_a_time": options.together,
            "overrides": options.overrides,
            "table": table,
            "runs": runs,
        }
    )


def one_run(which: tuple[str, int], options: argparse.Namespace, runs: dict[str, list[dict]]) -> None:
    """Train, and tell and keep what came of it."""
    name, seed = which
    made = peer(options, seed) if name == PEER else ours(name, options, seed)
    runs[name].append(made)
    say(f"{name}, seed {seed}: {summary(made)}")
    if options.keep:
        options.keep.write_text(json.dumps(runs))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="tinyshakespeare's input.txt")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT; without it ours run alone")
    parser.add_argument("--minutes", type=float, default=1.95, help="how long each of ours trains, wall-clock")
    parser.add_argument("--steps", default="", help="how many steps fit, where that is known, as lstm=980,gru=660")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of each run; two wait for each other on a busy machine")
    parser.add_argument("--together", type=int, default=1, help="how many runs at a time, nanoGPT's too")
    parser.add_argument("--only", default="", help=f"some of {', '.join([*CORES, PEER])}")
    parser.add_argument("--keep", type=Path, help="a file for the runs so far, as JSON, after each of them")
    parser.add_argument("--plot", type=Path, help="a PNG of the table")
    parser.add_argument("overrides", nargs="*", help="settings of all recipes, section.key=value")
    return parser.parse_intermixed_args()


def fitting(options: argparse.Namespace, names: list[str]) -> dict[str, int]:
    """How many steps of each core fit in the minutes: the median of a few, in three rounds."""
    steps = {
        name: int(number) for name, _, number in (pair.partition("=") for pair in options.steps.split(",") if pair)
    }
    seconds: dict[str, list[float]] = {name: [] for name in names if name not in steps}
    torch.set_num_threads(options.threads)
    with TemporaryDirectory(prefix="cores-") as folder:
        data = [f"data.path={options.data.resolve()}", f"train.threads={options.threads}"]
        made = {}
        for name in seconds:
            recipe = load_recipe(CORES[name][0], [*data, *CORES[name][1], "train.steps=1000", *options.overrides])
            made[name] = Experiment.new(recipe, Path(folder) / name).trainer
            made[name].step()
        for _ in range(3):
            for name, trainer in made.items():
                seconds[name] += [trainer.step().seconds for _ in range(6)]
    steps |= {name: round(60 * options.minutes / median(taken)) for name, taken in seconds.items()}
    say(f"steps that fit in {options.minutes} minutes: {steps}")
    return steps


def ours(name: str, options: argparse.Namespace, seed: int) -> dict:
    """One training run, and its figures under the names that the table uses."""
    recipe, sizes = CORES[name]
    budget = ["train.minutes=0", f"train.steps={options.steps[name]}", f"train.threads={options.threads}"]
    overrides = [*sizes, *budget, "evaluate.times=1", "sample.times=0", *options.overrides]
    given = argparse.Namespace(data=options.data, recipe=recipe, overrides=overrides)
    run = run_ours(given, seed)
    if abs(run["parameters"] / WEIGHTS - 1) > TOLERANCE:
        sys.exit(f"{name} has {run['parameters']:,} weights, which is not within 5 % of {WEIGHTS:,}")
    losses = {way: run[f"best_{way}_validation_loss_nats"] for way in ("carried", "windowed")}
    return {**run, **losses}


def peer(options: argparse.Namespace, seed: int) -> dict:
    """nanoGPT has no state to carry: its one figure stands for both."""
    run = run_nanogpt(options.nanogpt, options.data, options.threads, seed)
    loss = run["final"]["loss"]
    return {**run, "seed": seed, "parameters": WEIGHTS, "carried": loss, "windowed": loss}


def summary(run: dict) -> str:
    wall, cpu = run["wall_seconds"], run["cpu_seconds"]
    return f"carried {run['carried']:.4f}, windowed {run['windowed']:.4f}, {wall:.0f} s wall, {cpu:.0f} CPU s in all"


def summarise(made: list[dict]) -> dict:
    """Mean and spread over the seeds."""
    return {
        "parameters": made[0]["parameters"],
        "wall_seconds": round(mean(run["wall_seconds"] for run in made), 1),
        "cpu_seconds": round(mean(run["cpu_seconds"] for run in made), 1),
        **{way: spread([run[way] for run in made]) for way in ("carried", "windowed")},
    }


def spread(values: list[float]) -> dict:
    return {
        "mean": round(mean(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
        "deviation": round(stdev(values), 4) if len(values) > 1 else None,
    }


def figure(row: dict) -> str:
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def draw(table: dict, path: Path) -> None:
    """A row for each core: the mean of its seeds, and how far they lie apart."""
    from matplotlib.figure import Figure

    names = sorted(table, key=lambda name: -table[name]["carried"]["mean"])
    drawing = Figure(figsize=(8, 0.6 + 0.42 * len(names)), dpi=120, layout="constrained")
    axes = drawing.subplots()
    for way, colour, marker in (("carried", "#0072b2", "o"), ("windowed", "#d55e00", "s")):
        shown = [name for name in names if way == "windowed" or name != PEER]  # nanoGPT carries nothing
        rows = [table[name][way] for name in shown]
        means = [row["mean"] for row in rows]
        reach = [[row["mean"] - row["low"] for row in rows], [row["high"] - row["mean"] for row in rows]]
        label = "state carried" if way == "carried" else "windows of 64"
        axes.errorbar(means, shown, xerr=reach, color=colour, marker=marker, linestyle="", capsize=3, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="validation loss (nats per character), mean and range of the seeds")
    axes.set(title="tinyshakespeare: 0.8 million weights, equal wall-clock time")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.25)
    axes.legend(frameon=False)
    drawing.savefig(path)
    say(f"picture: {path}")


if __name__ == "__main__":
    main()
