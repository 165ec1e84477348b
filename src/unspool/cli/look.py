"""`unspool look`: what a trained model computes, in sentences, pictures and a page."""

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.evaluate import check_split
from unspool.cli.shared import (
    Device,
    Json,
    OtherRunPath,
    Plugins,
    RunPath,
    app,
    given_text,
    load_plugins,
    print_json,
    say,
)
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unspool.cli.asked import Asked
    from unspool.look.inspection import Inspection
    from unspool.look.record import Progress
    from unspool.look.view import View
    from unspool.runs.run import Run

EVERY = 2.0
"""Seconds between two notes on the progress."""

Views = Annotated[
    str,
    typer.Option(
        help="Views, with commas between: neurons, attention, gates, switches, patches, gradient, surprisal, "
        "hidden, trajectory, embeddings, losses, unrolling, or a plug-in's; or all. analogies and phrases have options "
        "of their own."
    ),
]
Text = Annotated[str | None, typer.Option(help="The text to read, or to answer; else the run's own data.")]
TargetText = Annotated[str, typer.Option(help="The answer to --text that is read; the model's own by default.")]
TextFile = Annotated[str | None, typer.Option(help="A file with the text to read; - is standard input.")]
SplitName = Annotated[str, typer.Option(help="The split of its data, where no text is given.")]
Length = Annotated[int, typer.Option(help="How many tokens are read of its data, and shown of a text.", min=3)]
Folder = Annotated[
    Path | None,
    typer.Option(help="The folder for look.html and the pictures; by default RUN/look, of two runs RUN/look-OTHER."),
]
Temperatures = Annotated[
    bool, typer.Option("--temperatures", help="Instead: draw texts at temperatures from 0.1 to 2, and measure them.")
]
Analogy = Annotated[
    list[str] | None,
    typer.Option(
        help="Instead: ask the embedding of a word model, king:man::queen:? for instance.", metavar="A:B::C:?"
    ),
]
Analogies = Annotated[Path | None, typer.Option(help="Instead: ask a file of analogies, as questions-words.txt.")]
Phrases = Annotated[
    Path | None, typer.Option(help="Instead: the vectors of phrases, one a line, or its group, a tab and the phrase.")
]
Pooling = Annotated[
    str,
    typer.Option(
        help="mean or final: of which outputs a phrase's vector is made. By default the mean of an encoder's, the "
        "final one of a language model."
    ),
]
Top = Annotated[int, typer.Option(help="How many answers, or neighbours of a phrase.", min=1)]
Svg = Annotated[bool, typer.Option("--svg", help="Write every picture as .svg too.")]


@app.command()
def look(
    run: RunPath,
    other: OtherRunPath = None,
    what: Views = "all",
    text: Text = None,
    target_text: TargetText = "",
    file: TextFile = None,
    split: SplitName = "valid",
    length: Length = 2000,
    out: Folder = None,
    temperatures: Temperatures = False,
    analogy: Analogy = None,
    analogies: Analogies = None,
    phrases: Phrases = None,
    pooling: Pooling = "",
    top: Top = 5,
    svg: Svg = False,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """See inside a trained model, or compare two: gates, memory, gradients, attention, single neurons.

    The main findings are printed; look.html and pictures go to a folder.
    """
    from unspool.cli.asked import asked_views, show_asked
    from unspool.cli.temperatures import show_temperatures
    from unspool.look.view import view_names
    from unspool.runs.probes import look_beside
    from unspool.runs.run import Run

    load_plugins(plugin)
    check_split(split)
    asked = asked_views(analogy or [], analogies, phrases, pooling, top)
    names = view_names(",".join(asked) if asked and what == "all" else ",".join([what, *asked]))
    runs = [Run.load(path, device) for path in (run, other) if path]
    folder = out or runs[0].checkpoint.run / ("look" if other is None else f"look-{other.resolve().name}")  # type: ignore[union-attr]
    formats = ("png", "svg") if svg else ("png",)
    if temperatures:
        if other is not None or text is not None or file is not None:
            raise ConfigError("--temperatures draws the texts of one run", hint=f"unspool look {run} --temperatures")
        show_temperatures(runs[0], folder, as_json)
    elif set(names) == set(asked) and other is None:  # nothing has to be read
        show_asked(runs[0], asked, folder, formats, as_json)
    else:
        looks = [runs[0].look(given_text(text, file), split, length, report_progress(), target_text)]
        looks += [look_beside(one, runs[0], looks[0], report_progress()) for one in runs[1:]]
        show_views(runs, looks, names, asked, folder, formats, as_json)


def show_views(
    runs: "Sequence[Run]",
    looks: "Sequence[Inspection]",
    names: "Sequence[str]",
    asked: "Asked",
    folder: Path,
    formats: "Sequence[str]",
    as_json: bool,
) -> None:
    """Compute the views of each run, write the page and the pictures, and print the findings."""
    from unspool.look.report import collect, write
    from unspool.look.view import view_names
    from unspool.runs.run import describe

    absent: list[str] = []
    missing = absent.append if names == view_names("all") else None
    found = [collect(one, names, missing, asked) for one in looks]
    if absent:
        without = dict.fromkeys(sentence.partition(":")[0] for sentence in absent)
        say(f"left out: {', '.join(without)} (`--what NAME` says why)")
    written = write(looks, found, [describe(one) for one in runs], folder, formats)
    show_found(looks, found, as_json)
    say(f"{len(written)} file{'s' * (len(written) > 1)} in {folder}; open {written[0]}")


def show_found(looks: "Sequence[Inspection]", found: "Sequence[Mapping[str, View]]", as_json: bool) -> None:
    """Print what the views of each run say, as sentences or as JSON."""
    from unspool.look.encoding import finite
    from unspool.look.findings import compare_losses, lines

    if as_json:
        print_json(finite([{name: view.data() for name, view in one.items()} for one in found]), indent=None)
    else:
        for sentence in compare_losses(looks) if len(looks) > 1 else ():
            typer.echo(sentence)
        for one, views in zip(looks, found, strict=True):
            for line in (*(("", f"--- {one.name}") if len(looks) > 1 else ()), *lines(views)):
                typer.echo(line)


def report_progress() -> "Progress":
    """A function that prints the progress of a long reading every few seconds."""
    last = monotonic()

    def report(done: int, every: int) -> None:
        nonlocal last
        if monotonic() - last > EVERY:
            last = monotonic()
            say(f"{100 * done // every:3d} %  {done:,} of {every:,}")

    return report
