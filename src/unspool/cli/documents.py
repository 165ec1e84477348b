"""Whole documents that a model writes, as files."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from unspool.errors import ConfigError
from unspool.files import writing
from unspool.generate.sampling import Sampling
from unspool.look.plots import draw_notes
from unspool.pipelines.writing import Writer
from unspool.runs.run import Run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

SHOWN = 4
"""How many documents are drawn as piano rolls."""
ELSEWHERE = "choose another --to FOLDER"


def write_documents(
    run: Run, folder: Path, count: int, max_length: int, sampling: Sampling, seed: int | None = None, prompt: str = ""
) -> dict[str, float]:
    """Write documents into a new folder, each as soon as it has ended, and measure them.

    The first ones are drawn in pieces.png, and a bar on stderr shows how many there are. Ctrl-C ends it early: what is
    written stays, and is what is measured.

    Args:
        run: a run whose model writes whole documents.
        folder: where to; it may exist if it is empty.
        count: how many.
        max_length: how many tokens each has at most.
        sampling: how to draw.
        seed: the same seed writes the same documents.
        prompt: what each begins with.

    Returns:
        The values of the pipeline's metrics: how many documents there are, and which share of them is as it should be.

    Raises:
        ConfigError: the folder has something in it, or the model writes no whole documents.
    """
    from rich.console import Console

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder", hint=f"{ELSEWHERE}: nothing is overwritten")
    writer = run.pipeline()
    if not isinstance(writer, Writer):
        raise ConfigError(f"{run.name} writes no documents", hint=f"unspool predict {quote(run.name)}")
    documents = writer.generate_documents(count, max_length, sampling, seed, prompt)
    with writing(folder, ELSEWHERE):
        folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True, highlight=False)
    metrics = [make() for make in writer.metrics]
    rolls: dict[int, tuple[str, list[tuple[float, float, int]]]] = {}
    written, stopped = 0, False
    with progress_bar(console) as progress:
        line = progress.add_task("writing", total=count)
        try:
            for document in documents:
                name = f"{document.kind}-{document.number + 1:0{len(str(count))}}"
                for ending, data in document.files().items():
                    with writing(folder / f"{name}{ending}", ELSEWHERE):
                        (folder / f"{name}{ending}").write_bytes(data)
                score = document.score()
                if score is not None:
                    notes = [(float(note.start), float(note.length), note.pitch) for note in score.notes]
                    rolls[document.number] = f"{document.number + 1}. {score.title}", notes
                for metric in metrics:
                    metric.update(document, None)
                written += 1
                progress.advance(line)
        except KeyboardInterrupt:
            stopped = True
    if stopped:
        console.print(f"stopped: {written} of {count} documents are in {folder}")
    draw_notes(dict(rolls[number] for number in sorted(rolls)[:SHOWN]), folder / "pieces.png")
    return {name: value for metric in metrics for name, value in metric.compute().items() if value is not None}


def progress_bar(console: "Console") -> "Progress":
    """A bar that shows how many of how many there are, on a terminal alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
