"""The runs of a folder: what each trained, how far it is, how good, and how large; and the removal of one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from unspool.errors import CheckpointError, UnspoolError
from unspool.files import read_text
from unspool.recipe import parse_recipe
from unspool.runs.checkpoint import checkpoints, find_checkpoint, newest_runs
from unspool.runs.lock import Lock
from unspool.training.log import records


@dataclass(frozen=True)
class RunSummary:
    """One line on a run.

    Args:
        run: its folder.
        task: the kind of its task.
        core: the kind of its core, and of its cell.
        steps: after how many steps it was saved last.
        best: the lowest validation loss; None without a validation.
        best_step: after how many steps that was.
        saved: when it was saved last, as an ISO time of this place.
        bytes: how much its folder takes.
        error: why it cannot be read; "" where it can.
    """

    run: str
    task: str = ""
    core: str = ""
    steps: int = 0
    best: float | None = None
    best_step: int = 0
    saved: str = ""
    bytes: int = 0
    error: str = ""


def list_runs(folder: Path) -> Iterator[RunSummary]:
    """A summary of every run of a folder, the one that was saved last before the others.

    Args:
        folder: holds the run folders.

    Raises:
        CheckpointError: where there is no such folder.

    >>> import tempfile
    >>> list(list_runs(Path(tempfile.mkdtemp())))
    []
    """
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder}", hint="`unspool train RECIPE` writes into runs/")
    for run in newest_runs(folder):
        try:
            yield summary_of(run)
        except UnspoolError as error:
            yield RunSummary(str(run), error=str(error))


def summary_of(run: Path) -> RunSummary:
    """One line on a run, from its recipe and its last checkpoint. Raises: CheckpointError where it is damaged."""
    last = find_checkpoint(run, "last")
    recipe, progress = parse_recipe(read_text(run / "recipe.toml"), str(run / "recipe.toml")), last.plain()
    core = recipe.get("core", {})
    cell = core.get("cell", "")
    kinds = (str(core.get("kind", "")), str(cell["kind"] if isinstance(cell, dict) else cell))
    return RunSummary(
        str(run),
        str(recipe.get("task", {}).get("kind", "")),
        " ".join(filter(None, kinds)),
        last.number,
        progress.best if isfinite(progress.best) else None,
        progress.best_number,
        datetime.fromtimestamp((run / "checkpoints").stat().st_mtime).isoformat(" ", "minutes"),
        size_of(run),
    )


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder; what goes away meanwhile, as in a run that is training, has none."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                size += os.stat(os.path.join(place, name)).st_size
    return size


def curves_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The validation losses of the runs of a folder by step, the oldest first; of one without, the training losses."""
    found = {}
    for run in reversed(newest_runs(folder)):
        known = records(run, "valid")
        evaluated = [record for record in known if record["set"] == known[0]["set"]] or records(run, "step")
        if evaluated:
            found[run.name] = [(record["step"], record["loss"]) for record in evaluated]
    return found


def remove_run(run: Path) -> None:
    """Delete a run folder with all that is in it.

    Raises:
        CheckpointError: where it is no run folder, or a process writes into it.
    """
    if run.is_symlink() or not checkpoints(run):
        raise CheckpointError(f"{run} is no run folder, and is left as it is", hint="`unspool runs` lists the runs")
    with Lock(run):
        shutil.rmtree(run)
