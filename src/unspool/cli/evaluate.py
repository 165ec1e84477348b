"""Verbs that measure a trained run: eval, and suggest with the keystrokes that it saves."""

import sys
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.recipe import Recipe


@app.command("eval")
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Evaluate a trained model on a whole split: its loss, every metric of its task, and baselines."""
    from unspool.runs.evaluation import by_set
    from unspool.runs.run import Run, format_values

    load_plugins(plugin)
    check_split(split)
    loaded = Run.load(run, device)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        results = loaded.evaluate(split)
    for note in notes:
        say(f"note: {note.message}")
    if not results:
        raise ConfigError(f"{run} has no {split} split", hint=how_to_have(split, loaded.recipe))
    if as_json:
        print_json(results)
        return
    for name, values in by_set(results, split).items():
        typer.echo(f"{split}, {name}:   {format_values(values, between='   ')}")


@app.command()
def suggest(
    run: RunPath,
    text: Annotated[str, typer.Argument(help="What was typed so far.")] = "",
    count: Annotated[int, typer.Option(help="How many words to suggest.", min=1, max=16)] = 3,
    measure: Annotated[
        int, typer.Option(help="Type that many held-out words instead; 0 is off.", min=0, max=10**9)
    ] = 0,
    split: Annotated[str, typer.Option(help="What to measure on: train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Suggest how the word that a text ends with goes on, or the next word; or measure the keystrokes that it saves."""
    from unspool.generate.suggest import keystrokes_saved
    from unspool.generate.suggest import suggest as suggest_words
    from unspool.runs.loading import load_data
    from unspool.runs.run import Run, format_values

    load_plugins(plugin)
    loaded = Run.load(run, device)
    if not measure:
        found = suggest_words(loaded.model, loaded.tokenizer, [text], count)[0]
        if as_json:
            print_json([suggestion.__dict__ for suggestion in found])
        for suggestion in () if as_json else found:
            typer.echo(suggestion.word)
        return
    if text:
        raise ConfigError("--measure types held-out words, and a text is given", hint="leave one of them out")
    check_split(split)
    held_out = getattr(load_data(loaded.recipe, loaded.checkpoint.run), split)  # type: ignore[union-attr]
    for savings in keystrokes_saved(loaded.model, loaded.tokenizer, held_out, count, measure):
        if sys.stderr.isatty():
            say(f"\r{savings.words:,} of {measure:,} words", end="")
    say("" if sys.stderr.isatty() else f"{savings.words:,} words")
    if as_json:
        print_json(savings.figures())
    else:
        typer.echo(format_values(savings.figures()))


def how_to_have(split: str, recipe: "Recipe") -> str:
    """What makes a run of the recipe have a split: the options that its dataset has."""
    from unspool.build import task_class
    from unspool.schema import defaults

    options = defaults(task_class(recipe).dataset)
    ways = {split: f"data.{split}=0.1", f"{split}_path": f"data.{split}_path=FILE"}
    known = [way for name, way in ways.items() if name in options]
    return f"train with {' or '.join(known)}" if known else f"train on data that has a {split} part"


def check_split(split: str) -> None:
    """Refuse a split that there never is."""
    if split not in ("train", "valid", "test"):
        raise ConfigError(
            f"--split should be train, valid or test, received {split!r}", hint="for example --split valid"
        )
