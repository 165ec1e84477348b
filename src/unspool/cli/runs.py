"""The verb that lists runs, and removes one."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Json, aligned, app, print_json, say
from unspool.errors import ConfigError
from unspool.files import writing

if TYPE_CHECKING:
    from unspool.runs.listing import RunSummary

HEADER = ("run", "task", "core", "steps", "best loss", "saved", "size")


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.", metavar="DIR")] = Path("runs"),
    remove: Annotated[Path | None, typer.Option(help="Delete this run folder instead.", metavar="RUN")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
    curves: Annotated[
        Path | None, typer.Option(help="Draw the validation losses of all into this picture.", metavar="PNG")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs of a folder, the newest first: what each trained, how far, how good, how large."""
    from unspool.runs.listing import list_runs, remove_run

    if remove is not None:
        if not yes and not sys.stdin.isatty():
            raise ConfigError("nobody can be asked whether to delete", hint="--yes deletes without asking")
        if not yes:
            typer.confirm(f"delete {remove} and everything in it?", abort=True, err=True)
        remove_run(remove)
        say(f"deleted {remove}")
        return
    found = list(list_runs(folder))
    if curves is not None:
        draw_all(folder, curves)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [HEADER, *map(row, found)]
    for line in aligned(rows) if found else ():
        typer.echo(line)
    for one in filter(lambda one: one.error, found):
        say(one.error)
    say(f"{len(found)} run{'s' * (len(found) != 1)} in {folder}; --curves PNG draws their losses into one picture")


def draw_all(folder: Path, picture: Path) -> None:
    """Draw the validation losses of the runs of a folder; nothing is overwritten."""
    from unspool.look.plots import draw_curves
    from unspool.runs.listing import curves_of

    if picture.suffix != ".png":
        raise ConfigError(f"--curves writes a .png, received {picture}", hint="--curves curves.png")
    if picture.exists():
        raise ConfigError(f"{picture} exists", hint="choose another --curves PNG: nothing is overwritten")
    if not (curves := curves_of(folder)):
        raise ConfigError(f"no run in {folder} has a loss to draw", hint="`unspool train RECIPE` trains one")
    with writing(picture, "choose another --curves PNG"):
        draw_curves(curves, picture)
    say(f"wrote {picture}")


def row(one: "RunSummary") -> tuple[str, ...]:
    """A run as cells of the table."""
    if one.error:
        return one.run, "cannot be read", "", "", "", "", ""
    best = "" if one.best is None else f"{one.best:.4f} at {one.best_step:,}"
    return one.run, one.task, one.core, f"{one.steps:,}", best, one.saved, f"{one.bytes / 1e6:.1f} MB"
