"""The verb that lists runs, and removes one."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Json, app, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.runs.listing import RunSummary

HEADER = ("run", "task", "core", "steps", "best loss", "saved", "size")


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the runs.", metavar="DIR")] = Path("runs"),
    remove: Annotated[Path | None, typer.Option(help="Delete this run folder instead.", metavar="RUN")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.")] = False,
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
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [HEADER, *map(row, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for cells in rows if found else ():
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for one in filter(lambda one: one.error, found):
        say(one.error)
    say(f"{len(found)} run{'s' * (len(found) != 1)} in {folder}; unspool look A B --what losses compares their curves")


def row(one: "RunSummary") -> tuple[str, ...]:
    """A run as cells of the table."""
    if one.error:
        return one.run, "cannot be read", "", "", "", "", ""
    best = "" if one.best is None else f"{one.best:.4f} at {one.best_step:,}"
    return one.run, one.task, one.core, f"{one.steps:,}", best, one.saved, f"{one.bytes / 1e6:.1f} MB"
