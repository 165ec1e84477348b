"""The verb that looks inside."""

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.evaluate import check_split
from unspool.cli.shared import Device, Json, OtherRunPath, Plugins, RunPath, app, load_plugins, print_json, say
from unspool.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unspool.look.record import Progress
    from unspool.look.views import View
    from unspool.runs.run import Run

EVERY = 2.0
"""Seconds between two words about how far it is."""


@app.command()
def look(
    run: RunPath,
    other: OtherRunPath = None,
    what: Annotated[
        str,
        typer.Option(
            help="neurons, surprise, gates, hidden, path, gradient, attention, embeddings, losses, unrolled; or all."
        ),
    ] = "all",
    text: Annotated[str | None, typer.Option(help="What is to be read, or answered; else the run's own data.")] = None,
    target_text: Annotated[
        str, typer.Option(help="The answer to --text that is read; the model's own by default.")
    ] = "",
    file: Annotated[str | None, typer.Option(help="A file with what is to be read; - is standard input.")] = None,
    split: Annotated[str, typer.Option(help="Which part of its data, where no text is given.")] = "valid",
    length: Annotated[
        int, typer.Option(help="So many tokens are read of its data, and shown of a text.", min=3)
    ] = 2000,
    out: Annotated[Path | None, typer.Option(help="The folder for look.html and the pictures; RUN/look.")] = None,
    svg: Annotated[bool, typer.Option("--svg", help="Write every picture as .svg too.")] = False,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """See inside a trained model, or two side by side: gates, memory, gradients, attention, single neurons.

    What matters is told in words; look.html and pictures go to a folder.
    """
    from unspool.look.page import finite
    from unspool.look.report import chosen, compared, seen, words, write
    from unspool.runs.probes import look_beside
    from unspool.runs.run import Run, describe

    load_plugins(plugin)
    names = chosen(what)
    check_split(split)
    runs = [Run.load(path, device) for path in (run, other) if path]
    looks = [runs[0].look(given(text, file), split, length, told_progress(), target_text)]
    looks += [look_beside(one, runs[0], looks[0], told_progress()) for one in runs[1:]]
    lacks = say if names == chosen("all") else None
    found = [seen(one, names, lacks) for one in looks]
    for name, views in history(runs, names, lacks).items():
        for one, view in zip(found, views, strict=False):
            one[name] = [view]
    folder = out or runs[0].checkpoint.run / "look"  # type: ignore[union-attr]
    say(f"drawing into {folder}")
    written = write(looks, found, [describe(one) for one in runs], folder, ("png", "svg") if svg else ("png",))
    if as_json:
        print_json(
            finite([{name: [view.data() for view in views] for name, views in one.items()} for one in found]),
            indent=None,
        )
    else:
        summary = [word for one, views in zip(looks, found, strict=True) for word in (f"--- {one.name}", *words(views))]
        for word in summary[1:] if other is None else [*compared(looks), *summary]:
            typer.echo(word)
    say(f"{len(written)} file{'s' * (len(written) > 1)} in {folder}; open {written[0]}")


def history(
    runs: "Sequence[Run]", names: "Sequence[str]", lacks: "Callable[[str], None] | None"
) -> "dict[str, list[View]]":
    """How the runs were trained: one view of the losses of all, and how each was unrolled, as far as that is known."""
    from unspool.runs.probes import loss_history, unrolling

    found: dict[str, list[View]] = {}
    made: dict[str, Callable[[], list[View]]] = {
        "losses": lambda: [loss_history(*runs)],
        "unrolled": lambda: [unrolling(run) for run in runs],
    }
    for name in filter(made.__contains__, names):
        try:
            found[name] = made[name]()
        except (CheckpointError, DataError) as error:  # the data is gone, say
            if lacks is None:
                raise
            lacks(f"{name}: {error}")
    return found


def given(text: str | None, file: str | None) -> str | None:
    """The text that is to be read: typed, of a file, or of standard input; None for the run's own data."""
    if text is not None and file is not None:
        raise ConfigError("both --text and --file are given", hint="leave one of them out")
    if file is None:
        return text
    from unspool.data.readers.decoding import decode
    from unspool.data.readers.text import read_bytes

    if file != "-" and not Path(file).is_file():
        raise DataError(f"there is no file {file!r}", hint="--file NAME, or - for standard input")
    text, note = decode(read_bytes(file), "standard input" if file == "-" else file)
    if note:
        say(note)
    return text


def told_progress() -> "Progress":
    """Tells how far a long reading is, every few seconds."""
    last = monotonic()

    def tell(done: int, every: int) -> None:
        nonlocal last
        if monotonic() - last > EVERY:
            last = monotonic()
            say(f"{100 * done // every:3d} %  {done:,} of {every:,}")

    return tell
