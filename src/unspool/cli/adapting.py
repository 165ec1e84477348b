"""The options of adapting while reading, which eval and sample share, and what they do."""

import sys
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.cli.shared import notes, print_json, say
from unspool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from unspool.runs.run import Run
    from unspool.training.adapting import Adapting

OPTIONS: dict[str, Any] = {
    "adapt": Annotated[
        str | None,
        typer.Option(help="Adapt to what is read: dynamic (the weights move), cache, or both.", metavar="WAY"),
    ],
    "adapt_rule": Annotated[str | None, typer.Option(help="Of the weights' steps: rms (the default) or sgd.")],
    "adapt_rate": Annotated[float | None, typer.Option(help="Step size of the weights; 0.0003, or 0.05 with sgd.")],
    "adapt_decay": Annotated[
        float | None, typer.Option(help="Share of the way back to the trained weights at each step; 0.005.")
    ],
    "adapt_chunk": Annotated[int | None, typer.Option(help="Tokens that are scored, then learnt from; 32.")],
    "cache_size": Annotated[int | None, typer.Option(help="Tokens that the cache holds; 5000.")],
    "cache_theta": Annotated[float | None, typer.Option(help="How much likeness counts in the cache; 20.")],
    "cache_lambda": Annotated[float | None, typer.Option(help="Share of the cache in the mixture; 0.2.")],
}
"""The options of adapting, by their parameters."""
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


def takes_adapting(command: Callable[..., None]) -> Callable[..., None]:
    """A verb with the options of adapting in place of its parameter `adapting`, which gets what they ask for.

    Typer reads the signature of a verb, so the options are written into it once for every verb that has them.
    """
    parameters: list[Parameter] = []
    for one in signature(command).parameters.values():
        options = [Parameter(name, one.kind, default=None, annotation=OPTIONS[name]) for name in OPTIONS]
        parameters += options if one.name == "adapting" else [one]

    def verb(**given: Any) -> None:
        values = {name: given.pop(option.lstrip("-").replace("-", "_")) for name, option in PLACES.items()}
        adapting = adapting_of(given.pop("adapt"), **values)
        command(**given, adapting=adapting)

    verb.__name__, verb.__doc__ = command.__name__, command.__doc__
    verb.__annotations__ = {one.name: one.annotation for one in parameters}
    verb.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return verb


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
    from unspool.runs.adapting import evaluate_adapting
    from unspool.runs.evaluation import by_set
    from unspool.runs.run import format_values

    name, text = (split, None) if file is None else ("file", text_of(file))
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
    from unspool.runs.adapting import adapt_run

    text = ("" if file is None else text_of(file)) + prompt
    with notes():
        return adapt_run(run, text, adapting, show_reading)


def show_reading(done: int, of: int) -> None:
    """How far the reading is, on a terminal."""
    if sys.stderr.isatty():
        say(f"\rread {done:,} of {of:,} tokens", end="\n" if done == of else "")


def text_of(file: Path) -> str:
    """The text of a file. Raises: DataError where it cannot be read or is empty."""
    from unspool.data.readers.text import read_option

    text, _ = read_option(str(file))
    if not text:
        raise DataError(f"there is no text in {file}: it is empty", hint="name a file with text in it")
    return text
