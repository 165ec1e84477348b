"""Verbs that train."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from unspool.cli.own_data import is_data, recipe_for
from unspool.cli.shared import (
    Json,
    Overrides,
    Plugins,
    RecipeOrData,
    RunPath,
    app,
    follow,
    load_plugins,
    print_json,
    say,
)
from unspool.cli.sweeps import follow_sweep
from unspool.errors import ConfigError


@app.command()
def train(
    recipe: RecipeOrData,
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option(help="The folder to write; runs/RECIPE by default.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for that long, whatever the recipe's budget.")] = None,
    seeds: Annotated[int, typer.Option(help="Train with so many seeds, from the recipe's on.", min=1, max=100)] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Given data, train on it without a question.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the recipe with every default, and stop.")] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a model: a named recipe or a .toml file, on data.path=FILE for your own data.

    Several values, such as train.learning_rate=0.1,0.01, or --seeds 3, train a run for each combination.
    Given a file or folder of data instead, say what is in it and which command fits; --yes runs it.
    """
    from unspool.experiment.experiment import Experiment
    from unspool.experiment.sweep import varied
    from unspool.experiment.training import free_folder
    from unspool.recipe import dump_recipe, load_recipe

    load_plugins(plugin)
    if is_data(recipe):
        recipe, overrides = recipe_for(recipe, overrides or (), yes or show)
    single, several = varied(overrides or ())
    made = load_recipe(recipe, single)
    if minutes is not None:
        if not 0 < minutes < float("inf"):
            raise ConfigError(f"--minutes should be above zero, received {minutes}", hint="for example --minutes 3")
        made.setdefault("train", {}).update(minutes=minutes, steps=0, epochs=0)
    if plugin:
        made["plugin"] = [str(path.resolve()) for path in plugin]
    if show:
        from unspool.sections import Sections

        resolved = Sections.of(made).recipe
        print_json(resolved) if as_json else typer.echo(dump_recipe(resolved), nl=False)
        return
    if several or seeds > 1:
        follow_sweep(made, several, seeds, run, Path(recipe).stem, as_json)
        return
    follow(Experiment.new(made, run or free_folder(Path("runs") / Path(recipe).stem)), as_json)


@app.command()
def resume(run: RunPath, overrides: Overrides = None, plugin: Plugins = None, as_json: Json = False) -> None:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped."""
    from unspool.experiment.experiment import Experiment

    load_plugins(plugin)
    experiment = Experiment.resume(run, overrides or ())
    if experiment.trainer.finished:
        budget = " and ".join(f"train.{k}" for k in ("steps", "epochs", "minutes") if experiment.recipe["train"].get(k))
        say(f"{run} is finished. Go on with a larger budget: unspool resume {quote(str(run))} {budget}=N")
    follow(experiment, as_json)
