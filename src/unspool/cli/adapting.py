"""The options of adapting while reading, which eval and sample share, and what they do."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.cli.shared import print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.runs.run import Run
    from unspool.training.adapting import Adapting

Adapt = Annotated[
    str | None, typer.Option(help="Adapt to what is read: dynamic (the weights move), cache, or both.", metavar="WAY")
]
AdaptRule = Annotated[str | None, typer.Option(help="Of the weights' steps: rms (the default) or sgd.")]
AdaptRate = Annotated[float | None, typer.Option(help="Step size of the weights; 0.0003, or 0.05 with sgd.")]
AdaptDecay = Annotated[
    float | None, typer.Option(help="Share of the way back to the trained weights at each step; 0.005.")
]
AdaptChunk = Annotated[int | None, typer.Option(help="Tokens that are scored, then learnt from; 32.")]
CacheSize = Annotated[int | None, typer.Option(help="Tokens that the cache holds; 5000.")]
CacheTheta = Annotated[float | None, typer.Option(help="How much likeness counts in the cache; 20.")]
CacheLambda = Annotated[float | None, typer.Option(help="Share of the cache in the mixture; 0.2.")]

PLACES = {
    "rule": "--adapt-rule",
    "rate": "--adapt-rate",
    "decay": "--adapt-decay",
    "chunk": "--adapt-chunk",
    "cache_size": "--cache-size",
    "cache_theta": "--cache-theta",
    "cache_lambda": "--cache-lambda",
}
"""How the fields of `Adapting` are typed."""


def adapting_of(way: str | None, **values: Any) -> "Adapting | None":
    """How a model should adapt; None where it should not. Raises: ConfigError for options that mean nothing then."""
    given = {name: value for name, value in values.items() if value is not None}
    if way is None:
        refuse_given(given, "is an option of --adapt", "--adapt dynamic")
        return None
    from unspool.training.adapting import Adapting

    made = Adapting(way, **given)
    if way == "dynamic":
        cached = {name: value for name, value in given.items() if name.startswith("cache")}
        refuse_given(cached, "is an option of the cache", "--adapt both")
    if way == "cache":
        moved = {name: value for name, value in given.items() if name in ("rule", "rate", "decay")}
        refuse_given(moved, "is an option of the weights' steps", "--adapt both")
    return made


def refuse_given(given: Mapping[str, Any], why: str, hint: str) -> None:
    """Raise a ConfigError that names the first option that was given."""
    for name in given:
        raise ConfigError(f"{PLACES[name]} {why}", hint=f"{hint}, or leave {PLACES[name]} out")


def show_adapting(run: "Run", adapting: "Adapting", split: str, file: Path | None, as_json: bool) -> None:
    """The values of a text that a run reads as it is, and adapting."""
    from unspool.cli.evaluate import how_to_have
    from unspool.data.readers.text import read_text
    from unspool.runs.adapting import evaluate_adapting
    from unspool.runs.evaluation import by_set
    from unspool.runs.run import format_values

    name, text = (split, None) if file is None else ("file", read_text(str(file)).text)
    results = evaluate_adapting(run, adapting, name, text, show_reading)
    if not results:
        raise ConfigError(f"{run.name} has no {split} split", hint=how_to_have(split, run.recipe))
    if as_json:
        print_json(results)
        return
    for one, values in by_set(results, name).items():
        typer.echo(f"{name}, {one}:   {format_values(values, between='   ')}")


def adapted(run: "Run", adapting: "Adapting", prompt: str, file: Path | None) -> "Run":
    """The run after reading a file, and then the prompt."""
    from unspool.cli.sample import notes
    from unspool.data.readers.text import read_text
    from unspool.runs.adapting import adapt_run

    text = ("" if file is None else read_text(str(file)).text) + prompt
    with notes():
        return adapt_run(run, text, adapting, show_reading)


def show_reading(done: int, of: int) -> None:
    """How far the reading is, on a terminal."""
    if sys.stderr.isatty():
        say(f"\rread {done:,} of {of:,} tokens", end="\n" if done == of else "")
