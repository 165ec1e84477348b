"""A run is a folder of data: TOML, JSON, safetensors. Nothing in it is ever executed.

    recipe.toml              what was asked for, resolved
    tokenizer.json           text to ids and back; also source_tokenizer.json and labels.json, where there are any
    preprocessor.json        its options and what it learned from the training data: scales, say
    about.json               kinds, versions, data fingerprint, size of the model
    metrics.jsonl            one line for each step, each evaluation and each sample of its writing
    results.json             the figures of the best model, at the end
    loss.png                 the curve
    confusion.json, .png     how often each label was predicted as each, where there are labels
    data.txt                 the text, where it came through a pipe
    checkpoints/step-N/      model.safetensors, trainer.safetensors, trainer.json, manifest.json
    lock.json                who writes into it, while somebody does

A checkpoint is written beside its place, flushed to the disk and renamed, so it is there whole or not at all. Its
manifest has the digest of every file that the state depends on; whatever does not match is refused.
"""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any

from torch import Tensor

from unspool.errors import CheckpointError
from unspool.files import (
    ANOTHER_RUN,
    RESTORE,
    digest,
    flush_folder,
    read_json,
    read_tensors,
    regular,
    write_through,
    writing,
)
from unspool.recipe import TOKENIZERS
from unspool.runs import lock
from unspool.runs.contents import FORMAT, Manifest, Progress, Version
from unspool.schema import brief

SHARED = ("recipe.toml", "about.json", "preprocessor.json", *(f"{name}.json" for name in TOKENIZERS))
"""Files of a run that every checkpoint depends on."""
OWN = ("model.safetensors", "trainer.safetensors", "trainer.json")
"""Files of one checkpoint that it depends on."""
BEGINNING = {*SHARED, lock.NAME, "metrics.jsonl", "loss.png", "data.txt", "checkpoints", "tensorboard"}
"""What a run writes before its first checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of a run, checked against its manifest."""

    path: Path

    @property
    def run(self) -> Path:
        """The run's own folder."""
        return self.path.parent.parent

    @property
    def number(self) -> int:
        """How many steps were done."""
        return int(self.path.name.removeprefix("step-"))

    def plain(self) -> Progress:
        """How far the training was."""
        return read_json(self.path / "trainer.json", Progress)

    def weights(self) -> dict[str, Tensor]:
        """The model's weights, averaged if an average was kept."""
        return read_tensors(self.path / "model.safetensors")

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the trainer's state."""
        return read_tensors(self.path / "trainer.safetensors")


def find_checkpoint(path: str | Path, which: str = "best") -> Checkpoint:
    """The best or the last checkpoint of a run folder, or the one whose folder is given; damaged ones are refused."""
    path = Path(path)
    refuse_newer(folder_of(path))
    if is_step(path):
        return check(Checkpoint(path.resolve()))
    found = checkpoints(path)
    last = check(found[-1])
    if which == "last":
        return last
    best = last.plain().best_number or last.number
    return check(next((c for c in found if c.number == best), last))


def latest(folder: Path) -> Path:
    """The run of a folder of runs that was trained last."""
    found = newest_runs(folder)
    if not found:
        raise CheckpointError(f"there is no run in {folder.absolute()}", hint="`unspool train RECIPE` writes one")
    return found[0]


def newest_runs(folder: Path) -> list[Path]:
    """Every run of a folder of runs that has a finished checkpoint, the one that saved last before the others."""
    found = [place.parent for place in folder.glob("*/checkpoints") if checkpoints(place.parent)]
    return sorted(found, key=lambda run: (run / "checkpoints").stat().st_mtime_ns, reverse=True)


def other_runs(missing: Path) -> str:
    """What to type instead of a run that is not there: the one of the nearest name, or those that were trained last."""
    found = newest_runs(missing.parent) or newest_runs(Path("runs"))
    names = {run.name: quote(str(run)) for run in found}
    if close := get_close_matches(missing.name, names, n=1):
        return f"did you mean {names[close[0]]}?"
    there = f"the newest runs are {', '.join(list(names.values())[:5])}; " if found else ""
    return there + "`unspool train RECIPE --run DIR` writes one"


def folder_of(path: Path) -> Path:
    """The run folder that a path means, itself or one of its checkpoints. Raises: CheckpointError where there is none.

    >>> folder_of(Path("nowhere"))
    Traceback (most recent call last):
    ...
    unspool.errors.CheckpointError: the run folder nowhere does not exist
    """
    if is_step(path):
        return path.resolve().parent.parent
    if checkpoints(path):
        return path
    if path.exists() and not path.is_dir():
        raise CheckpointError(f"{path} is a file, not a run folder", hint="give the folder that `unspool train` wrote")
    if abandoned(path):
        raise CheckpointError(
            f"the run folder {path} holds no finished checkpoint: it was ended before its first one",
            hint="the same `unspool train` command, with --run and this folder, begins it again",
        )
    why = "holds no finished checkpoint" if path.is_dir() else "does not exist"
    raise CheckpointError(f"the run folder {path} {why}", hint=other_runs(path))


def is_step(path: Path) -> bool:
    """Whether it is the folder of a checkpoint."""
    return bool(re.fullmatch(r"step-\d{1,18}", path.name)) and path.is_dir()


def refuse_newer(run: Path) -> None:
    """Raise a CheckpointError for a run folder of a later version, before anything else of it is read."""
    try:
        found = read_json(run / "about.json", Version)
    except CheckpointError:  # missing or damaged: the manifest tells
        return
    if found.format > FORMAT:
        raise CheckpointError(
            f"{run} was written by a later unspool: its format is {found.format}, and this one reads up to {FORMAT}",
            hint=f"install unspool {found.unspool[:40]} or later" if found.unspool else "install a later one",
        )


def refuse_taken(run: Path) -> None:
    """Raise where a new run would overwrite what is there, and where another process is about to write there."""
    with writing(run, ANOTHER_RUN):
        if not run.exists() or (run.is_dir() and not any(run.iterdir())):
            return
    if checkpoints(run):
        raise CheckpointError(
            f"{run} already holds a run", hint=f"`unspool resume {quote(str(run))}`, or choose another --run DIR"
        )
    if abandoned(run):
        with lock.Lock(run):
            return
    what = "a folder with other files in it" if run.is_dir() else "a file"
    raise CheckpointError(f"{run} is {what}", hint="choose another --run DIR: nothing is ever overwritten")


def abandoned(run: Path) -> bool:
    """Whether it is a run that was ended before its first checkpoint, and nothing else: it can begin again."""
    if not run.is_dir():
        return False
    names = {path.name for path in run.iterdir() if not path.name.startswith(".draft-")}
    begun = lock.NAME in names or {"recipe.toml", "about.json"} <= names
    saved = [path for path in run.glob("checkpoints/*") if not path.name.startswith(".draft-")]
    return begun and names <= BEGINNING and not saved


@contextmanager
def begun(run: Path) -> Iterator[lock.Lock]:
    """A new folder, filled inside the block and locked; where that fails, it is as if it had never been."""
    with writing(run, ANOTHER_RUN):
        run.mkdir(parents=True, exist_ok=True)
    held = lock.Lock(run)
    held.acquire()
    left = [path for path in run.iterdir() if path.name != lock.NAME]
    if left and not abandoned(run):  # since `refuse_taken` somebody else has written there
        held.release()
        refuse_taken(run)
    if left:
        held.note = f"{run} was ended before its first checkpoint: it begins again"
    try:
        for path in left:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield held
    except BaseException:
        held.release()
        shutil.rmtree(run, ignore_errors=True)
        raise


def checkpoints(run: Path) -> list[Checkpoint]:
    """Every finished checkpoint of a run, oldest first."""
    folders = (run / "checkpoints").glob("step-*") if run.is_dir() else ()
    found = [Checkpoint(folder.resolve()) for folder in folders if is_step(folder)]
    own = [checkpoint for checkpoint in found if checkpoint.run == run.resolve()]  # and not a link out of it
    return sorted(own, key=lambda checkpoint: checkpoint.number)


def check(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint itself, when every file is exactly what was written; else an error that names a whole one."""
    found = damage(checkpoint)
    if not found:
        return checkpoint
    others = (c for c in reversed(checkpoints(checkpoint.run)) if c.path != checkpoint.path)
    whole = next((other for other in others if not damage(other)), None)
    if whole is None:
        raise CheckpointError(found, hint=f"{RESTORE}, or train anew")
    raise CheckpointError(
        found, hint=f"the state of step {whole.number} is whole: give {quote(str(whole.path))} instead of the run"
    )


def damage(checkpoint: Checkpoint) -> str:
    """What is wrong with a checkpoint's files, in words; empty when nothing is."""
    manifest = checkpoint.path / "manifest.json"
    try:
        digests = read_json(manifest, Manifest).sha256
        if not digests.keys() >= set(OWN):
            return f"{manifest} does not name every file"
        for name, wanted in digests.items():
            if name not in (*OWN, *SHARED):
                return f"{manifest} names {brief(name)}, which is no file of a checkpoint"
            file = (checkpoint.run if name in SHARED else checkpoint.path) / name
            if not file.resolve().is_relative_to(checkpoint.run):
                return f"{file} is a link out of the run folder"
            if digest(regular(file)) != wanted:
                return f"{file} was truncated or edited after it was written"
    except (OSError, ValueError, CheckpointError) as error:
        return f"the checkpoint {checkpoint.path} is damaged: {error}"
    return ""


def save_checkpoint(
    run: Path, number: int, weights: Mapping[str, Tensor], tensors: Mapping[str, Tensor], plain: Mapping[str, Any]
) -> Checkpoint:
    """Write the checkpoint of that many steps, whole or not at all; what was saved before stays."""
    from safetensors.torch import save as encode

    place = run / "checkpoints" / f"step-{number:08d}"
    with writing(place):
        place.parent.mkdir(exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=place.parent))
        try:
            contents = {
                "model.safetensors": encode(_storable(weights)),
                "trainer.safetensors": encode(_storable(tensors)),
                "trainer.json": json.dumps(plain).encode(),
            }
            digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
            digests |= {name: digest(run / name) for name in SHARED if (run / name).exists()}
            contents["manifest.json"] = json.dumps({"sha256": digests}, indent=1).encode()
            for name, content in contents.items():
                write_through(draft / name, content)
            if place.exists():
                shutil.rmtree(place)
            draft.chmod(0o755)
            draft.rename(place)
            flush_folder(place.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return Checkpoint(place)


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Safetensors wants whole tensors that share nothing; tied weights are stored twice and tied again by the model."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def prune(run: Path, keep: set[int]) -> None:
    """Remove every checkpoint but those of these numbers, and drafts that a crash left behind."""
    for checkpoint in checkpoints(run):
        if checkpoint.number not in keep:
            shutil.rmtree(checkpoint.path, ignore_errors=True)
    for draft in (run / "checkpoints").glob(".draft-*"):
        shutil.rmtree(draft, ignore_errors=True)
