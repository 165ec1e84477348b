"""What every verb of the command line needs: the options that they share, and how they talk."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.experiment.experiment import Experiment
    from unspool.runs.evaluation import Results

app = typer.Typer(
    name="unspool",
    help="Train, sample and inspect sequence models, from a character RNN to a transformer.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

SETTING = "KEY=VALUE"
"""How --help calls a setting of a recipe."""
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as section.key=value, for instance data.path=my.txt.", metavar=SETTING),
]


def run_path(text: str) -> Path:
    """The run that an argument names: a folder, or `latest` for the one under ./runs that was trained last."""
    if text != LATEST:
        return Path(text)
    from unspool.runs.checkpoint import latest

    found = latest(Path("runs"))
    say(f"latest is {found}")
    return found


LATEST = "latest"
"""The name that stands for the newest run; a folder of that name is ./latest."""
RunPath = Annotated[
    Path,
    typer.Argument(
        help="A run folder, one of its checkpoints/step-N, or `latest`: the newest in ./runs.",
        metavar="RUN",
        parser=run_path,
    ),
]
OtherRunPath = Annotated[
    Path | None, typer.Argument(help="Another run, beside it, on the same text.", metavar="RUN", parser=run_path)
]
RecipeName = Annotated[
    str, typer.Argument(help="A named recipe (see `unspool recipes`) or a .toml file.", metavar="RECIPE")
]
RecipeOrData = Annotated[
    str, typer.Argument(help="A named recipe (see `unspool recipes`), a .toml file, or your data.", metavar="RECIPE")
]
Json = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="A Python file that registers cells, cores, tasks.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]


def tell_version(wanted: bool) -> bool:
    """Print the version and stop, where that is wanted."""
    if wanted:
        from importlib.metadata import version

        typer.echo(version("unspool"))
        raise typer.Exit
    return wanted


@app.callback()
def everything(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=tell_version, is_eager=True)
    ] = False,
) -> None:
    """Train, sample and inspect sequence models, from a character RNN to a transformer."""


def follow(experiment: "Experiment", as_json: bool = False, quiet: bool = False) -> "Results":
    """Show an experiment as it goes on. Ctrl-C and SIGTERM end it with everything saved, and exit with 130 and 143."""
    from unspool.experiment.progress import asked_to_stop, show

    with asked_to_stop(experiment.stop) as asked:
        results = show(experiment, as_json, quiet)
    if asked and not results:
        sys.exit(128 + asked[0])
    return results


def load_plugins(paths: list[Path] | None) -> None:
    """Import the files that the user names, and what installed packages offer."""
    from unspool.plugins import load_entry_points, load_plugin

    load_entry_points()
    for path in paths or ():
        load_plugin(path)


def print_json(data: Any, indent: int | None = 1) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(data, indent=indent, ensure_ascii=False))


def given_text(text: str | None, file: str | None) -> str | None:
    """The text to read: of the option, of a file, or of standard input ("-"); None where neither is given."""
    if text is not None and file is not None:
        raise ConfigError("both --text and --file are given", hint="leave one of them out")
    if file is None:
        return text
    from unspool.data.readers.text import read_option

    text, note = read_option(file)
    if note:
        say(note)
    return text


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines with columns of one width.

    >>> aligned([("run", "loss"), ("a", "1.5")])
    ['run  loss', 'a    1.5']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


@contextmanager
def notes() -> Iterator[None]:
    """Warnings inside the block, such as that of unknown words, are lines on stderr."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in found:
        say(f"note: {warning.message}")


def say(text: str, end: str = "\n") -> None:
    """Talk: to stderr."""
    typer.echo(text + end, err=True, nl=False)
