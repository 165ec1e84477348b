"""The verb that lists recipes, explains one, and copies it."""

from pathlib import Path
from typing import Annotated

import typer

from unspool.cli.shared import Json, app, print_json, say
from unspool.errors import ConfigError


@app.command()
def recipes(
    name: Annotated[str, typer.Argument(help="A recipe to print with every setting explained.", metavar="NAME")] = "",
    by: Annotated[str, typer.Option(help="List them by shape or by lecture.", metavar="shape|lecture")] = "shape",
    write: Annotated[Path | None, typer.Option(help="Copy it to a new file, to edit it.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """List the recipes that come with Unspool, or explain one."""
    if name:
        explain_recipe(name, write, as_json)
        return
    if write is not None:
        raise ConfigError("--write copies a recipe, and none is named", hint="unspool recipes char-lm --write my.toml")
    if by not in ("shape", "lecture"):
        raise ConfigError(f"--by should be shape or lecture, received {by!r}", hint="--by lecture")
    list_recipes(by, as_json)


def list_recipes(by: str, as_json: bool) -> None:
    """The named recipes in groups, each with one line."""
    from unspool.recipe import LECTURES, SHAPES, load_recipe, recipe_groups, recipe_names

    groups, lines = recipe_groups(by), recipe_names()
    if as_json:
        names = [name for group in groups.values() for name in group]
        print_json({name: {"description": lines[name], **load_recipe(name)["about"]} for name in names})
        return
    width = max(map(len, lines))
    for group, names in groups.items():
        typer.echo(f"{group}: {(SHAPES | LECTURES)[group]}")
        for name in names:
            typer.echo(f"  {name:<{width}}  {lines[name]}")
        typer.echo("")
    say("unspool recipes NAME explains one, unspool train NAME trains it")


def explain_recipe(name: str, write: Path | None, as_json: bool) -> None:
    """Print one recipe with its settings explained, or copy it so to a file that is not there yet."""
    from unspool.cli.explain import explain
    from unspool.files import write_bytes
    from unspool.recipe import load_recipe

    text, settings = explain(name)
    if write is not None:
        if write.suffix != ".toml":
            raise ConfigError(f"{write} is not a .toml file", hint=f"--write {write}.toml")
        if write.exists():
            raise ConfigError(f"{write} exists, and nothing is overwritten", hint="choose another --write FILE")
        write_bytes(write, text.encode(), "choose another --write FILE")
        say(f"wrote {write}: edit it, and unspool train {write}")
    elif as_json:
        explained = {place: setting.__dict__ for place, setting in settings.items()}
        print_json({"name": name, "recipe": load_recipe(name), "settings": explained})
    else:
        typer.echo(text, nl=False)
