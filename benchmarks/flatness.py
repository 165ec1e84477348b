"""What a token costs as texts grow: training over the length of a sequence, generation over what was read before.

    python benchmarks/flatness.py [--only mingru,transformer] [--longest 8192] [--batch 2] [--plot FILE.png]

Every core has the 0.8 million weights that it has in cores.py, and random ones. Training is a forward and a backward
pass over that many rows of a length, as fast as the core can; generation reads so many tokens and then writes one at a
time. Medians; the lengths take turns, so that a busy moment of the machine meets them all. A recurrence is flat in
both; attention grows with the length, and its context is as long as the longest text here.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from common import environment, report, say
from cores import CORES

from unspool import build
from unspool.batch import Batch, Tokens
from unspool.models.sequence import SequenceModel
from unspool.recipe import load_recipe
from unspool.training.precision import autocast

SHORTEST, SYMBOLS, WRITTEN = 128, 65, 24


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    lengths = [n for n in (SHORTEST * 2**k for k in range(12)) if n <= options.longest]
    table = {}
    for name in options.only.split(",") if options.only else CORES:
        model = small_model(name, options.longest)
        training = take_turns(lengths, options.rounds, lambda n, m=model: training_seconds(m, options.batch, n))
        writing = take_turns(lengths, options.rounds, lambda n, m=model: writing_seconds(m, n))
        row = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "training_microseconds_per_token": {n: round(1e6 * t / options.batch / n, 2) for n, t in training.items()},
            "writing_microseconds_per_token": {n: round(1e6 * t, 1) for n, t in writing.items()},
        }
        row |= {f"{what}_longest_over_shortest": growth(row[f"{what}_microseconds_per_token"]) for what in WHATS}
        table[name] = row
        say(f"{name:<12} training {line(row, 'training')}")
        say(f"{'':<12} writing  {line(row, 'writing')}")
    if options.plot:
        draw(table, options.plot)
    report(
        {"benchmark": "flatness", **environment(), "batch": options.batch, "threads": options.threads, "table": table}
    )


WHATS = ("training", "writing")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"some of {', '.join(CORES)}")
    parser.add_argument("--longest", type=int, default=8192, help="the longest sequence, in tokens")
    parser.add_argument("--batch", type=int, default=2, help="rows, the same for every length")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="a PNG of both")
    return parser.parse_args()


def small_model(name: str, longest: int) -> SequenceModel:
    """The core as in cores.py; attention sees as far as the longest text."""
    recipe, sizes = CORES[name]
    sizes = [size for size in sizes if size.startswith("core.")]
    sees = [f"core.context={longest}"] if name == "transformer" else []
    torch.manual_seed(0)
    return build.model(load_recipe(recipe, [*sizes, *sees]), Tokens(SYMBOLS), Tokens(SYMBOLS))


def take_turns(lengths: list[int], rounds: int, measure: Callable[[int], float]) -> dict[int, float]:
    """The median seconds for each length, after a round that does not count."""
    seconds: dict[int, list[float]] = {n: [] for n in lengths}
    measure(lengths[0])
    for _ in range(rounds):
        for n in lengths:
            seconds[n].append(measure(n))
    return {n: median(values) for n, values in seconds.items()}


def training_seconds(model: SequenceModel, rows: int, length: int) -> float:
    """A forward and a backward pass, repeated where it is short."""
    ids = torch.randint(SYMBOLS, (rows, length))
    batch = Batch(ids, ids.roll(-1, 1), torch.ones_like(ids, dtype=torch.bool))
    model.train()
    times = []
    for _ in range(max(1, 1024 // length)):
        model.zero_grad()
        began = time.perf_counter()
        with autocast("cpu", "bfloat16"):
            loss, _ = model.loss(batch)
        loss.backward()
        times.append(time.perf_counter() - began)
    return median(times)


@torch.no_grad()
def writing_seconds(model: SequenceModel, length: int) -> float:
    """One token more after that many were read."""
    model.eval()
    ids = torch.randint(SYMBOLS, (1, length - WRITTEN))
    state = model.start(ids)
    for chunk in ids.split(1024, dim=1):
        _, state = model(chunk, state)
    times, token = [], ids[:, :1]
    for _ in range(WRITTEN):
        began = time.perf_counter()
        logits, state = model(token, state)
        token = logits[:, -1:].argmax(dim=-1)
        times.append(time.perf_counter() - began)
    return median(times)


def growth(costs: dict[int, float]) -> float:
    return round(costs[max(costs)] / costs[min(costs)], 2)


def line(row: dict, what: str) -> str:
    costs = row[f"{what}_microseconds_per_token"]
    summary = ", ".join(f"{n:,}: {cost:,.0f}" for n, cost in costs.items())
    return f"microseconds per token: {summary}   (longest over shortest {row[f'{what}_longest_over_shortest']})"


def draw(table: dict, path: Path) -> None:
    """Both costs over the length, a line for each core."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    drawing = Figure(figsize=(11, 4.6), dpi=120, layout="constrained")
    panels = drawing.subplots(1, 2)
    titles = ("training: forward and backward", "generation: one token more")
    axis = ("length of the sequences (tokens)", "tokens read before")
    for what, axes, title, along in zip(WHATS, panels, titles, axis, strict=True):
        for number, (name, row) in enumerate(table.items()):
            costs = row[f"{what}_microseconds_per_token"]
            attention = name == "transformer"
            colour = "#111111" if attention else colormaps["tab10"](number)
            style = {"linewidth": 2.4 if attention else 1.4, "linestyle": "--" if attention else "-"}
            axes.plot(list(costs), list(costs.values()), color=colour, marker="o", markersize=3, label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel=along, ylabel="microseconds per token", title=title)
        axes.set_xticks(list(costs), [f"{n:,}" for n in costs], rotation=30)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    panels[1].legend(frameon=False, fontsize=8, ncols=2)
    drawing.savefig(path)
    say(f"picture: {path}")


if __name__ == "__main__":
    main()
