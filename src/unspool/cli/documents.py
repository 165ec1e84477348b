"""Whole pieces that a model writes, as files."""

from pathlib import Path

from unspool.errors import ConfigError
from unspool.files import writing
from unspool.generate.sampling import Sampling
from unspool.look.plots import draw_notes
from unspool.runs.run import Run
from unspool.tasks.legacy import tally

SHOWN = 4
"""How many pieces are drawn as piano rolls."""


def compose(
    run: Run, folder: Path, count: int, length: int, sampling: Sampling, seed: int | None = None, prompt: str = ""
) -> dict[str, float]:
    """Write so many pieces into a new folder, each as soon as it is ended, and tell the share of them that is right.

    The first ones are drawn in pieces.png. A bar on stderr shows how many there are. Ctrl-C ends it early: what is
    written stays, and the shares are of that. Errors: ConfigError when the folder has something in it, CheckpointError
    when the run writes no pieces.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder", hint="choose another --to FOLDER: nothing is overwritten")
    form = run.form
    with writing(folder, "choose another --to FOLDER"):
        folder.mkdir(parents=True, exist_ok=True)
    pieces = run.pieces(count, length, sampling, seed, prompt)
    console = Console(stderr=True, highlight=False)
    marks: list[dict[str, bool]] = []
    rolls: dict[int, list[tuple[float, float, int]]] = {}
    titles: dict[int, str] = {}
    columns = TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()
    stopped = False
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        line = progress.add_task("writing", total=count)
        try:
            for piece in pieces:
                for ending, data in form.files(piece.ids).items():
                    file = folder / f"{form.name}-{piece.number + 1:0{len(str(count))}}{ending}"
                    with writing(file, "choose another --to FOLDER"):
                        file.write_bytes(data)
                notes = form.piece(piece.ids)
                if notes is not None:
                    titles[piece.number] = f"{piece.number + 1}. {notes.title}"
                    rolls[piece.number] = [(float(n.start), float(n.length), n.pitch) for n in notes.notes]
                marks.append({"ended": piece.ended, **form.marks(piece.ids)})
                progress.advance(line)
        except KeyboardInterrupt:
            stopped = True
    if stopped:
        console.print(f"stopped: {len(marks)} of {count} pieces are in {folder}")
    draw_notes({titles[number]: rolls[number] for number in sorted(rolls)[:SHOWN]}, folder / "pieces.png")
    return {"pieces": float(len(marks)), **tally(marks)}
