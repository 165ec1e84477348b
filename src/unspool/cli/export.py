"""The verb that writes a trained model for another library."""

from pathlib import Path
from typing import Annotated

import typer

from unspool.cli.shared import Json, Plugins, RunPath, app, load_plugins, print_json, say


@app.command()
def export(
    run: RunPath,
    folder: Annotated[Path, typer.Argument(help="The folder to make.", metavar="DIR")],
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a trained encoder as a BERT folder that Hugging Face's transformers loads."""
    load_plugins(plugin)
    from unspool.formats.export import write_folder
    from unspool.runs.run import Run

    name = write_folder(Run.load(run), folder)
    if as_json:
        print_json({"folder": str(folder), "class": name})
        return
    say(f"wrote {folder}; in Python: transformers.{name}.from_pretrained({str(folder)!r})")
