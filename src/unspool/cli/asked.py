"""`unspool look RUN --analogy, --analogies, --phrases`: views that answer a question, without reading any data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from unspool.cli.shared import aligned, print_json, say
from unspool.errors import ConfigError
from unspool.look.encoding import finite
from unspool.look.panels import Table
from unspool.look.report import collect, pictures_of
from unspool.look.view import View
from unspool.runs.probes import look_at_weights

if TYPE_CHECKING:
    from unspool.runs.run import Run

Asked = Mapping[str, Mapping[str, Any]]
"""Options of views, by name."""


def asked_views(
    analogy: Sequence[str], analogies: Path | None, phrases: Path | None, pooling: str, top: int
) -> dict[str, dict[str, Any]]:
    """The views that these options ask for, with their options.

    Args:
        analogy: questions, king:man::queen:?.
        analogies: a file of questions with their answers.
        phrases: a file of phrases.
        pooling: "mean" or "final"; "": what suits the model.
        top: how many answers or neighbours.

    Returns:
        The options of each view, by its name.

    Raises:
        ConfigError: for another pooling.

    >>> asked_views(["king:man::queen:?"], None, None, "", 3)
    {'analogies': {'question': ['king:man::queen:?'], 'file': '', 'count': 3}}
    """
    if pooling not in ("", "mean", "final"):
        raise ConfigError(f"there is no pooling {pooling!r}", hint="--pooling mean, or --pooling final")
    found: dict[str, dict[str, Any]] = {}
    if analogy or analogies:
        found["analogies"] = {"question": analogy, "file": analogies or "", "count": top}
    if phrases:
        found["phrases"] = {"file": phrases, "count": top, "pooling": pooling}
    return found


def show_asked(run: "Run", asked: Asked, folder: Path, formats: Sequence[str], as_json: bool) -> None:
    """Print sentences and tables, or JSON, and draw the pictures into the folder.

    Args:
        run: a trained model.
        asked: the views and their options.
        folder: for the pictures.
        formats: of the pictures.
        as_json: whether JSON is printed instead.
    """
    found = collect(look_at_weights(run), list(asked), options=asked)
    if as_json:
        print_json(finite([{name: view.data() for name, view in found.items()}]), indent=None)
    else:
        for view in found.values():
            show(view)
    folder.mkdir(parents=True, exist_ok=True)
    written = [
        picture.save(folder / f"{name}.{kind}") for name, picture in pictures_of(found).items() for kind in formats
    ]
    say(f"{len(written)} picture{'s' * (len(written) > 1)} in {folder}: {', '.join(path.name for path in written)}")


def show(view: View) -> None:
    """Print the sentences of a view, and its tables."""
    for sentence in view.summary():
        typer.echo(sentence)
    for panel in view.panels():
        if isinstance(panel, Table):
            typer.echo()
            for line in aligned([panel.columns, *panel.rows]):
                typer.echo(line)
