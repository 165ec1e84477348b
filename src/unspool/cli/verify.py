"""Verbs that check what there is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from unspool.cli.shared import Device, Json, Overrides, Plugins, RecipeName, app, follow, load_plugins, print_json, say


@app.command()
def verify(
    recipe: RecipeName,
    overrides: Overrides = None,
    seeds: Annotated[
        int, typer.Option(help="How many seeds; the recipe's own number by default.", min=0, max=1000)
    ] = 0,
    run: Annotated[
        Path | None,
        typer.Option(help="Keep the run of each seed in this folder, and continue what was interrupted there."),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and check every claim in its [expect] section."""
    from unspool.experiment.claims import verify as check
    from unspool.recipe import load_recipe

    load_plugins(plugin)
    made = load_recipe(recipe, overrides or ())
    verdicts = check(made, seeds, lambda experiment: follow(experiment, quiet=True), run)
    if as_json:
        print_json([verdict.__dict__ for verdict in verdicts])
    else:
        for verdict in verdicts:
            typer.echo(verdict.summary())
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


@app.command("verify-resume")
def verify_resume(
    recipe: RecipeName,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(help="How many steps to train.", min=2, max=10**6)] = 40,
    kills: Annotated[int, typer.Option(help="How many times to kill the training.", min=1, max=1000)] = 5,
    seed: Annotated[int, typer.Option(help="Where the kills fall.")] = 0,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Prove that a run killed at random steps and resumed ends in the same bits as one that was not."""
    from unspool.checks.resume import verify_resume as check
    from unspool.recipe import load_recipe

    load_plugins(plugin)
    made = load_recipe(recipe, overrides or ())
    proof = check(made, steps, kills, seed, [str(path.resolve()) for path in plugin or ()], say)
    if as_json:
        print_json(proof.__dict__)
    else:
        typer.echo(proof.summary())
    if proof.different:
        raise typer.Exit(1)


@app.command()
def selftest(
    cell: Annotated[str | None, typer.Option(help="Test one cell: its name, or FILE.py:Class.")] = None,
    core: Annotated[str | None, typer.Option(help="Test one core by name.")] = None,
    device: Device = "cpu",
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Check the promises on this machine, for everything registered or for your own cell."""
    import torch

    from unspool.checks.selftest import run_all

    torch.set_num_threads(1)  # the models are tiny, and threads would wait for each other
    load_plugins(plugin)
    failed = 0
    summary = []
    for result in run_all(cell, core, device):
        failed += not result.passed
        summary.append(result.__dict__)
        if not as_json:
            typer.echo(result.summary())
    if as_json:
        print_json(summary)
    else:
        say(f"{len(summary) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell what this machine has, and what will be used."""
    from unspool.checks.doctor import examine

    show_table(examine(), as_json)


def show_table(rows: Mapping[str, Any], as_json: bool) -> None:
    """Names, and behind each what there is to say of it."""
    if as_json:
        print_json(rows)
        return
    width = max(map(len, rows))
    for name, value in rows.items():
        typer.echo(f"{name:<{width}}  {value}")
