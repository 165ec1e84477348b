"""`unspool train my.csv`: what the data is, which command fits, and that command run."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from unspool.cli.shared import say

if TYPE_CHECKING:
    from unspool.data.recognize import Recognized


def is_data(recipe: str) -> bool:
    """Whether what stands where a recipe is named is a file or folder of data.

    A recipe that comes with the package goes before a folder of its name.

    >>> is_data("char-lm"), is_data("my.toml")
    (False, False)
    """
    from unspool.recipe import recipe_names

    return not recipe.endswith(".toml") and recipe not in recipe_names() and os.path.exists(os.path.expanduser(recipe))


def recipe_for(path: str, overrides: Sequence[str], yes: bool) -> tuple[str, list[str]]:
    """Say what the data is and which command trains on it; the recipe and its settings where it is to be run.

    Args:
        path: of the data.
        overrides: settings of the user, which go before those that are found.
        yes: run it without a question.

    Raises:
        typer.Exit: where it is not to be run.
    """
    from unspool.data.recognize import recognize

    found = recognize(path)
    say(f"{path}: {found.kind}")
    for line in found.seen:
        say(f"  {line}")
    typer.echo(found.command(path, overrides))
    if not (yes or wanted(found)):
        raise typer.Exit
    return found.recipe, [*found.overrides(path), *overrides]


def wanted(found: "Recognized") -> bool:
    """Whether the user, asked in a terminal, wants to train now."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        return typer.confirm(f"train {found.recipe} now?", default=True, err=True)
    say("type this command to train, or add --yes to run it now")
    return False
