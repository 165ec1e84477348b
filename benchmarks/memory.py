"""What a recurrence can remember: the practicum's temporal order and echo, over seeds, and gaps of thousands of steps.

    python benchmarks/memory.py order [--level easy] [--seeds 10] [--cells rnn,lstm,rnn-matched] [section.key=value ...]
    python benchmarks/memory.py echo [--delays 1,2,3,...] [--chunks 20] [--widths 32] [--seeds 3] [--plot FILE.png]
    python benchmarks/memory.py gap [--wait 100] [--waits 10,100,1000,10000] [--seeds 3] [--plot FILE.png]

`order` trains the recipe of that level and tells the accuracy on fresh sequences at ten marks of the budget. The
lecture compares an RNN and an LSTM of as many units; but such an LSTM has four times the weights, so a third row has
an RNN of as many weights. `echo` trains the same number of steps for every cell, width, chunk and delay: the gradient
reaches no further than a chunk, and what is older comes only from the carried state. `gap` trains each core to copy
symbols after a wait of as many steps, and then measures it on shorter and longer waits.

The lines are for people; the last thing printed is JSON, with the processor, the versions, the seeds and the seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

from common import environment, report, say

from unspool.errors import TrainingError
from unspool.experiment.events import Finished
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.tasks.copy import Copy
from unspool.training.evaluate import evaluate_set
from unspool.training.log import records

SLOW = "train.learning_rate=0.001"
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#8c510a")
RNN = 'core.cell={kind="elman", activation="relu", initial="uniform"}'
CELLS = {  # as the lecture's notebook has them: a ReLU RNN begun as torch begins it
    "order": {"rnn": [RNN], "lstm": [], "rnn-matched": [RNN, "core.width=10"]},
    "echo": {"rnn": ["core.cell=elman"], "lstm": ["core.cell=lstm"], "gru": ["core.cell=gru"]},
    "gap": {
        "rnn": ['core={kind="recurrent", cell="elman", width=64}'],
        "irnn": ['core={kind="recurrent", cell={kind="elman", activation="relu", initial="identity"}, width=64}', SLOW],
        "gru": ['core={kind="recurrent", cell="gru", width=64}'],
        "lstm": ['core={kind="recurrent", cell="lstm", width=64}'],
        "lstm-6": ['core={kind="recurrent", cell={kind="lstm", forget_bias=6.0}, width=64}'],
        "mingru": ['core={kind="blocks", cell="mingru", width=32}'],
        "rglru": ['core={kind="blocks", cell="rglru", width=32}'],
        "rglru-1": ['core={kind="blocks", cell={kind="rglru", shortest=0.999, longest=0.99999}, width=32}'],
        "transformer": ['core={kind="transformer", width=32, layers=2, heads=2, context=1024}', "train.clip=1.0"],
    },
}
GAP = ["task.size=8", "task.length=3", "task.epoch=4", "evaluate.times=1", "train.threads=1"]
LIMITS = {"transformer": 1000}
"""The longest wait that a core is measured with: what its context has room for."""
ROWS_AT_ONCE = 40_000
"""So many steps are evaluated in one batch of rows."""
DELAYS = "1,2,3,5,8,12,16,20,25,30,40,50"


def main() -> None:
    options = arguments()
    began = process_time()
    rows = {"order": order, "echo": echo, "gap": gap}[options.task](options)
    settings = {name: str(value) for name, value in vars(options).items() if name != "overrides"}
    asked = {"settings": settings, "overrides": options.overrides, "seeds": [*range(options.seeds)]}
    spent = {"cpu_seconds": round(process_time() - began, 1)}
    report({"benchmark": f"memory: {options.task}", **environment(), **asked, **spent, "rows": rows})
    if options.plot:
        (draw_gaps if options.task == "gap" else draw)(rows, options.plot)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=CELLS)
    parser.add_argument("--level", default="easy", help="of temporal order: easy, moderate, hard, nightmare")
    parser.add_argument("--delays", default=DELAYS, help="of the echo, in steps")
    parser.add_argument("--chunks", default="20", help="of the echo: how many steps a gradient goes back")
    parser.add_argument("--widths", default="32", help="of the echo: units of a cell")
    parser.add_argument("--wait", type=int, default=100, help="of the gap: how many steps to train with")
    parser.add_argument("--waits", default="10,100,1000,10000", help="of the gap: how many steps to measure with")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cells", default="", help="some of the cells; all of them if not given")
    parser.add_argument("--plot", type=Path, help="a PNG of the sweep over delays, or over waits")
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, section.key=value")
    return parser.parse_intermixed_args()


def chosen(options: argparse.Namespace) -> dict[str, list[str]]:
    known = CELLS[options.task]
    return {name: known[name] for name in (options.cells.split(",") if options.cells else known)}


def order(options: argparse.Namespace) -> list[dict]:
    """A row for each cell: the accuracy at each mark, for every seed."""
    recipe = "temporal-order" if options.level == "easy" else f"temporal-order-{options.level}"
    rows = []
    for name, settings in chosen(options).items():
        runs = [trained(recipe, [*settings, *options.overrides], seed) for seed in range(options.seeds)]
        at = [list(values) for values in zip(*(run["accuracy"] for run in runs), strict=True)]
        row = {
            "cell": name,
            "level": options.level,
            "parameters": runs[0]["parameters"],
            "steps": runs[0]["steps"],
            "mean_accuracy": [round(mean(values), 4) for values in at],
            "lowest_accuracy": [round(min(values), 4) for values in at],
            "seeds_at_100_percent": [sum(value == 1 for value in values) for values in at],
        }
        rows.append(row)
        say(f"{options.level} {name:<12} {row['parameters']:>5} weights")
        for label in ("mean_accuracy", "lowest_accuracy"):
            say(f"    {label.replace('_', ' '):<20} " + " ".join(f"{100 * value:6.1f}" for value in row[label]))
        say(f"    {'seeds at 100 %':<20} " + " ".join(f"{value:6d}" for value in row["seeds_at_100_percent"]))
    return rows


def echo(options: argparse.Namespace) -> list[dict]:
    """A row for each cell, width, chunk and delay: the accuracy at the end, for every seed."""
    sides = ([*map(int, text.split(","))] for text in (options.widths, options.chunks, options.delays))
    rows = []
    for (name, settings), width, chunk, delay in product(chosen(options).items(), *sides):
        sizes = [f"core.width={width}", f"task.length={chunk}", f"task.delay={delay}"]
        runs = [trained("echo-10", [*settings, *sizes, *options.overrides], seed) for seed in range(options.seeds)]
        ends = [round(run["accuracy"][-1], 5) for run in runs]
        row = {"cell": name, "width": width, "chunk": chunk, "delay": delay, "accuracy": ends}
        rows.append({**row, "parameters": runs[0]["parameters"], "steps": runs[0]["steps"]})
        say(f"echo {delay:>3} chunk {chunk:>3} {name} {width:<6} " + " ".join(f"{100 * value:.1f}" for value in ends))
    return rows


def gap(options: argparse.Namespace) -> list[dict]:
    """A row for each core: the share of symbols that it still knows after each wait, for every seed."""
    rows = []
    for name, settings in chosen(options).items():
        overrides = [*settings, *GAP, f"task.wait={options.wait}", *options.overrides]
        waits = [wait for wait in map(int, options.waits.split(",")) if wait <= LIMITS.get(name, wait)]
        runs = [trained("copy", overrides, seed, waits) for seed in range(options.seeds)]
        after = {wait: [run["after"][wait] for run in runs] for wait in runs[0]["after"]}
        row = {"core": name, "trained_with": options.wait, "accuracy_after": after}
        rows.append({**row, **{key: runs[0][key] for key in ("parameters", "steps")}})
        rows[-1]["seconds"] = [round(run["seconds"], 1) for run in runs]
        said = (f"{wait}: " + " ".join(f"{100 * value:.1f}" for value in values) for wait, values in after.items())
        say(f"gap {options.wait} {name:<12} {'   '.join(said)}   {max(rows[-1]['seconds']):.0f} s")
    return rows


def trained(recipe: str, overrides: list[str], seed: int, waits: Sequence[int] = ()) -> dict:
    """The accuracy at every evaluation of one run, and that after waits that it was not trained with."""
    with TemporaryDirectory(prefix="memory-") as folder:
        made = Experiment.new(load_recipe(recipe, [*overrides, f"seed={seed}"]), Path(folder) / "run")
        finished = next(event for event in made if isinstance(event, Finished))
        found = [record["accuracy"] for record in records(Path(folder) / "run", "valid")]
        return {
            "accuracy": found,
            "after": {wait: after_waiting(made, wait) for wait in waits},
            "steps": finished.number,
            "seconds": finished.results["train/seconds"],
            "parameters": sum(p.numel() for p in made.model.parameters()),
        }


def after_waiting(made: Experiment, wait: int) -> float:
    """The share of symbols that are right after so many steps of silence, of 64 sequences; 0: the state overflows."""
    task = made.task
    rows = max(1, min(64, ROWS_AT_ONCE // (wait + 2 * task.length)))
    longer = Copy(task.size, task.length, wait, batch_size=rows, epoch=-(-64 // rows), seed=task.seed)
    try:
        values, _ = evaluate_set(made.model, longer.eval_sets("valid")["fresh"])
    except TrainingError:
        return 0.0
    return round(values["accuracy"], 4)


def draw_gaps(rows: list[dict], path: Path) -> None:
    """Accuracy over the wait: the mean of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = drawing.subplots()
    for row, colour in zip(rows, COLOURS, strict=False):
        after = row["accuracy_after"]
        axes.plot([*after], [100 * mean(values) for values in after.values()], color=colour, label=row["core"])
        for wait, values in after.items():
            dots = [100 * value for value in values]
            axes.plot([wait] * len(dots), dots, color=colour, marker=".", linestyle="", alpha=0.6)
    axes.axhline(12.5, color="#333333", linewidth=0.8, linestyle=":")
    axes.annotate("chance", (10, 12.5), xytext=(0, -12), textcoords="offset points", fontsize=9)
    axes.axvline(rows[0]["trained_with"], color="#333333", linewidth=0.8, linestyle="--")
    axes.annotate("trained with", (rows[0]["trained_with"], 103), xytext=(4, 0), textcoords="offset points", fontsize=9)
    axes.set(xscale="log", xlabel="wait (steps)", ylabel="symbols recalled (%)", ylim=(0, 108))
    axes.set_title("Copy: what is remembered after a wait")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    drawing.savefig(path)
    say(f"picture: {path}")


def draw(rows: list[dict], path: Path) -> None:
    """Accuracy over delay, a panel for each width and chunk: the mean of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    widths, chunks = ([*dict.fromkeys(row[key] for row in rows)] for key in ("width", "chunk"))
    size = (8, 4.5) if len(widths) * len(chunks) == 1 else (1 + 4 * len(chunks), 3.2 * len(widths))
    drawing = Figure(figsize=size, dpi=120, layout="constrained")
    panels = drawing.subplots(len(widths), len(chunks), squeeze=False, sharex=True, sharey=True)
    for (width, chunk), axes in zip(product(widths, chunks), panels.flat, strict=True):
        draw_echo([row for row in rows if (row["width"], row["chunk"]) == (width, chunk)], axes)
        axes.set_title(f"{width} units, chunks of {chunk} steps", fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("delay (steps)")
    for axes in panels[:, 0]:
        axes.set_ylabel("bits echoed rightly (%)")
    panels[0, -1].legend(frameon=False, loc="center right")
    drawing.savefig(path)
    say(f"picture: {path}")


def draw_echo(rows: list[dict], axes: Any) -> None:
    """One panel: a line and dots for each cell."""
    for name, colour in zip(dict.fromkeys(row["cell"] for row in rows), COLOURS, strict=False):
        of = [row for row in rows if row["cell"] == name]
        means = [100 * mean(row["accuracy"]) for row in of]
        axes.plot([row["delay"] for row in of], means, color=colour, marker="o", markersize=4, label=name.upper())
        for row in of:
            dots = [100 * value for value in row["accuracy"]]
            axes.plot([row["delay"]] * len(dots), dots, color=colour, marker=".", linestyle="", alpha=0.5)
    axes.axhline(50, color="#333333", linewidth=0.8, linestyle=":")
    axes.axvline(rows[0]["chunk"], color="#333333", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (0, 50), xytext=(0, 4), textcoords="offset points", fontsize=8)
    axes.annotate(
        "the gradient ends here", (rows[0]["chunk"], 102), xytext=(4, 0), textcoords="offset points", fontsize=8
    )
    axes.set(ylim=(45, 106))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


if __name__ == "__main__":
    main()
