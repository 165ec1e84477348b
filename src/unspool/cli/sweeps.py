"""How a sweep is shown: each member as a training, and one table at the end."""

import sys
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import typer

from unspool.cli.shared import aligned, print_json, say

if TYPE_CHECKING:
    from unspool.experiment.experiment import Experiment
    from unspool.experiment.sweep import Sweep
    from unspool.recipe import Recipe
    from unspool.runs.evaluation import Results


def follow_sweep(
    recipe: "Recipe", vary: dict[str, list[Any]], seeds: int, run: Path | None, name: str, as_json: bool
) -> None:
    """Train a sweep; exit with 1 where a member failed, with 130 or 143 where a signal ended it."""
    from unspool.experiment.progress import asked_to_stop, show
    from unspool.experiment.sweep import planned
    from unspool.look.plots import draw_curves
    from unspool.runs.listing import curves_of

    plan = planned(recipe, vary, seeds, run, name)
    asked: list[int] = []

    def follow(experiment: "Experiment") -> "Results":
        with asked_to_stop(experiment.stop) as signals:
            results = show(experiment, as_json)
        asked.extend(signals)
        return results

    size = len(plan.members)
    done = sum(bool(member.results) for member in plan.members)
    say(f"{plan.folder}: {size} runs" + (f", {done} finished before" if done else ""))
    for number, member in enumerate(plan.run(follow), start=1):
        if member.error:
            say(f"run {number} of {size} failed, {member.run.name}: {member.error}")
    show_table(plan, as_json)
    if curves := curves_of(plan.folder):
        draw_curves(curves, plan.folder / "curves.png")
    say(f"runs, sweep.csv, sweep.json{' and curves.png' * bool(curves)}: {quote(str(plan.folder))}/")
    if asked and not all(member.results or member.error for member in plan.members):
        say("stopped; the same command goes on")
        sys.exit(128 + asked[0])
    if any(member.error for member in plan.members):
        sys.exit(1)


def show_table(plan: "Sweep", as_json: bool) -> None:
    """Print a line for each combination of settings."""
    rows = plan.table()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    header = (*keys, "seeds", rows[0].metric, "seconds")
    for line in aligned([header, *((*(str(row.settings[key]) for key in keys), *row.cells()) for row in rows)]):
        typer.echo(line)
