"""What a recurrence can remember: the practicum's temporal order and echo, over seeds, and as a sweep over delays.

    python benchmarks/memory.py order [--level easy] [--seeds 10] [--cells rnn,lstm,rnn-matched] [section.key=value ...]
    python benchmarks/memory.py echo [--delays 1,2,3,5,...] [--seeds 3] [--plot FILE.png] [section.key=value ...]

`order` trains the recipe of that level and tells the accuracy on fresh sequences at ten marks of the budget. The
lecture compares an RNN and an LSTM of as many units; but such an LSTM has four times the weights, so a third row has
an RNN of as many weights. `echo` trains the same number of steps for every delay: chunks are 20 ticks long, so that the
gradient reaches no further, and what is older comes only from the carried state.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from common import environment, report, say

from unspool.experiment.events import Finished
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.training.log import records

RNN = 'core.cell={kind="elman", activation="relu", initial="uniform"}'
CELLS = {  # as the lecture's notebook has them: a ReLU RNN begun as torch begins it
    "order": {"rnn": [RNN], "lstm": [], "rnn-matched": [RNN, "core.width=10"]},
    "echo": {"rnn": ["core.cell=elman"], "lstm": ["core.cell=lstm"], "gru": ["core.cell=gru"]},
}
DELAYS = "1,2,3,5,8,12,16,20,25,30,40,50"


def main() -> None:
    options = arguments()
    rows = order(options) if options.task == "order" else echo(options)
    if options.plot:
        draw(rows, options.plot)
    report({"benchmark": f"memory: {options.task}", **environment(), "overrides": options.overrides, "rows": rows})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=CELLS)
    parser.add_argument("--level", default="easy", help="of temporal order: easy, moderate, hard, nightmare")
    parser.add_argument("--delays", default=DELAYS, help="of the echo, in ticks")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cells", default="", help="some of the cells; all of them if not given")
    parser.add_argument("--plot", type=Path, help="a PNG of the sweep over delays")
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
    """A row for each cell and delay: the accuracy at the end, for every seed."""
    rows = []
    for name, settings in chosen(options).items():
        for delay in map(int, options.delays.split(",")):
            overrides = [*settings, f"task.delay={delay}", *options.overrides]
            runs = [trained("echo-10", overrides, seed) for seed in range(options.seeds)]
            ends = [run["accuracy"][-1] for run in runs]
            rows.append({"cell": name, "delay": delay, "parameters": runs[0]["parameters"], "accuracy": ends})
            say(f"echo {delay:>3} {name:<6} " + " ".join(f"{100 * value:.1f}" for value in ends))
    return rows


def trained(recipe: str, overrides: list[str], seed: int) -> dict:
    """The accuracy at every evaluation of one run."""
    with TemporaryDirectory(prefix="memory-") as folder:
        made = Experiment.new(load_recipe(recipe, [*overrides, f"seed={seed}"]), Path(folder) / "run")
        steps = next(event.number for event in made if isinstance(event, Finished))
        found = [record["accuracy"] for record in records(Path(folder) / "run", "valid")]
        return {"accuracy": found, "steps": steps, "parameters": sum(p.numel() for p in made.model.parameters())}


def draw(rows: list[dict], path: Path) -> None:
    """Accuracy over delay: the mean of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = drawing.subplots()
    names = list(dict.fromkeys(row["cell"] for row in rows))
    for name, colour in zip(names, ("#d55e00", "#0072b2", "#009e73", "#cc79a7"), strict=False):
        of = [row for row in rows if row["cell"] == name]
        delays = [row["delay"] for row in of]
        axes.plot(delays, [100 * mean(row["accuracy"]) for row in of], color=colour, marker="o", label=name.upper())
        for row in of:
            dots = [100 * value for value in row["accuracy"]]
            axes.plot([row["delay"]] * len(dots), dots, color=colour, marker=".", linestyle="", alpha=0.5)
    axes.axhline(50, color="#333333", linewidth=0.8, linestyle=":")
    axes.axvline(20, color="#333333", linewidth=0.8, linestyle="--")
    axes.annotate("chance", (0, 50), xytext=(0, 4), textcoords="offset points", fontsize=9)
    axes.annotate("the gradient ends here", (20, 101), xytext=(4, 0), textcoords="offset points", fontsize=9)
    axes.set(xlabel="delay (ticks)", ylabel="bits echoed rightly (%)", ylim=(45, 104), title="Echo: what is remembered")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="center right")
    drawing.savefig(path)
    say(f"picture: {path}")


if __name__ == "__main__":
    main()
