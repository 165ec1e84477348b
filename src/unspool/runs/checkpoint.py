"""A run is a folder of data: TOML, JSON, safetensors. Nothing in it is ever executed.

    recipe.toml              what was asked for, resolved
    tokenizer.json           text to ids and back; also source_tokenizer.json and labels.json, where there are any
    preprocessor.json        its options and what it learned from the training data: scales, say
    about.json               kinds, versions, data fingerprint, size of the model
    metrics.jsonl            one line for each step, each evaluation and each sample of its writing
    results.json             the figures of the best model, at the end
    loss.png                 the curve
    confusion.json, .png     what was taken for what, where there are labels
    data.txt                 the text, where it came through a pipe
    checkpoints/step-N/      model.safetensors, trainer.safetensors, trainer.json, manifest.json

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
from unspool.files import digest, flush_folder, read_json, read_tensors, write_through, writing
from unspool.recipe import TOKENIZERS

SHARED = ("recipe.toml", "about.json", "preprocessor.json", *(f"{name}.json" for name in TOKENIZERS))
"""Files of a run that every checkpoint depends on."""


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

    def plain(self) -> dict[str, Any]:
        """The plain part of the trainer's state."""
        return read_json(self.path / "trainer.json")

    def weights(self) -> dict[str, Tensor]:
        """The model's weights, averaged if an average was kept."""
        return read_tensors(self.path / "model.safetensors")

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the trainer's state."""
        return read_tensors(self.path / "trainer.safetensors")


def find_checkpoint(path: str | Path, which: str = "best") -> Checkpoint:
    """The best or the last checkpoint of a run folder, or the one whose folder is given; damaged ones are refused."""
    path = Path(path)
    if re.fullmatch(r"step-\d+", path.name) and path.is_dir():
        return check(Checkpoint(path.resolve()))
    found = checkpoints(path)
    if not found:
        if path.exists() and not path.is_dir():
            raise CheckpointError(
                f"{path} is a file, not a run folder", hint="give the folder that `unspool train` wrote"
            )
        why = "holds no finished checkpoint" if path.is_dir() else "does not exist"
        raise CheckpointError(f"the run folder {path} {why}", hint=other_runs(path))
    last = check(found[-1])
    if which == "last":
        return last
    best = last.plain().get("best_number", last.number)
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


def refuse_taken(run: Path) -> None:
    """Raise where a new run would overwrite what is there."""
    with writing(run):
        if not run.exists() or (run.is_dir() and not any(run.iterdir())):
            return
    if checkpoints(run):
        raise CheckpointError(f"{run} already holds a run", hint=f"`unspool resume {run}`, or choose another --run DIR")
    what = "a folder with other files in it" if run.is_dir() else "a file"
    raise CheckpointError(f"{run} is {what}", hint="choose another --run DIR: nothing is ever overwritten")


@contextmanager
def begun(run: Path) -> Iterator[None]:
    """A new folder, filled inside the block; where that fails, it is as if it had never been."""
    with writing(run):
        run.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        shutil.rmtree(run, ignore_errors=True)
        raise


def checkpoints(run: Path) -> list[Checkpoint]:
    """Every finished checkpoint of a run, oldest first."""
    folders = (run / "checkpoints").glob("step-*") if run.is_dir() else ()
    found = [Checkpoint(folder.resolve()) for folder in folders if re.fullmatch(r"step-\d+", folder.name)]
    return sorted(found, key=lambda checkpoint: checkpoint.number)


def check(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint itself, when every file is exactly what was written; else an error that names a whole one."""
    found = damage(checkpoint)
    if not found:
        return checkpoint
    others = (c for c in reversed(checkpoints(checkpoint.run)) if c.path != checkpoint.path)
    whole = next((other for other in others if not damage(other)), None)
    if whole is None:
        raise CheckpointError(found, hint="restore the file from a copy, or train anew")
    raise CheckpointError(
        found, hint=f"the state of step {whole.number} is whole: give {whole.path} instead of the run"
    )


def damage(checkpoint: Checkpoint) -> str:
    """What is wrong with a checkpoint's files, in words; empty when nothing is."""
    try:
        digests = read_json(checkpoint.path / "manifest.json")["sha256"]
        if not digests.keys() >= {"model.safetensors", "trainer.safetensors", "trainer.json"}:
            return f"{checkpoint.path / 'manifest.json'} does not name every file"
        for name, wanted in digests.items():
            file = (checkpoint.run if name in SHARED else checkpoint.path) / name
            if digest(file) != wanted:
                return f"{file} was truncated or edited after it was written"
    except FileNotFoundError as error:
        return f"{error.filename} is missing"
    except (OSError, KeyError, AttributeError, ValueError, CheckpointError) as error:
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
