"""A verb of one's own: `unspool parameters RUN --plugin tests/plugged/count_verb.py`."""

import typer

from unspool.cli.shared import Plugins, RunPath, app


@app.command()
def parameters(run: RunPath, plugin: Plugins = None) -> None:
    """Print how many parameters a run's model has."""
    from unspool import load

    typer.echo(sum(weight.numel() for weight in load(run).model.parameters()))
