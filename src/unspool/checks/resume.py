"""Checks that a run that is killed and resumed ends in the same bits as one that is not."""

import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

from unspool import files
from unspool.errors import ConfigError
from unspool.experiment.experiment import Experiment
from unspool.recipe import TOKENIZERS, Recipe, dump_recipe
from unspool.runs import checkpoint
from unspool.training.log import records


@dataclass(frozen=True)
class Proof:
    """The comparison of an uninterrupted run with one that was killed and resumed, file by file."""

    steps: int
    killed_after: list[int]  # the last step that was seen before each kill
    same: list[str]
    different: list[str]

    def summary(self) -> str:
        """The comparison as text."""
        kills = ", ".join(map(str, self.killed_after))
        lines = [f"{self.steps} steps straight, and killed (-9) after steps {kills} and resumed:"]
        lines += [f"  same bits       {name}" for name in self.same]
        lines += [f"  DIFFERENT bits  {name}" for name in self.different]
        return "\n".join(lines)


def verify_resume(
    recipe: Recipe, steps: int, kills: int, seed: int, plugins: list[str], say: Callable[[str], None]
) -> Proof:
    """Train without interruption, again with kill -9 at random steps, and compare everything that was saved.

    Args:
        recipe: what to train.
        steps: how many optimizer steps.
        kills: how many times the second run is killed.
        seed: of the steps at which it is killed.
        plugins: paths of plug-ins to load.
        say: is called with lines of progress.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        straight, broken = Path(folder) / "straight", Path(folder) / "broken"
        recipe = _by_steps(recipe, steps, Path(folder))
        file = Path(folder) / "recipe.toml"
        file.write_text(dump_recipe(recipe), encoding="utf-8")
        extra = [word for path in plugins for word in ("--plugin", path)]
        say(f"training {steps} steps straight")
        _child(["train", str(file), "--run", str(straight), *extra])
        killed: list[int] = []
        for number in range(kills):
            target = rng.randint(1, max(1, steps - 2))
            killed.append(_child([*_next(file, broken), *extra], kill_at=target, linger=rng.random() * 0.05))
            say(f"kill {number + 1} of {kills}: after step {killed[-1]}")
        _child([*_next(file, broken), *extra])
        ours, theirs = dict(_digests(straight)), dict(_digests(broken))
        names = sorted(ours.keys() | theirs.keys())
        same = [name for name in names if ours.get(name) == theirs.get(name)]
        return Proof(steps, killed, same, [name for name in names if name not in same])


def _by_steps(recipe: Recipe, steps: int, folder: Path) -> Recipe:
    """The recipe with a budget in steps, many checkpoints, and the precision and threads of this machine fixed."""
    recipe = deepcopy(recipe)
    recipe["train"] = recipe.get("train", {}) | {"steps": steps, "minutes": 0.0, "epochs": 0.0}
    recipe["save"] = recipe.get("save", {}) | {"every": max(1, steps // 13)}
    recipe["evaluate"] = recipe.get("evaluate", {}) | {"times": 2}
    recipe["sample"] = recipe.get("sample", {}) | {"times": 2, "length": 20}
    choice = Experiment.new(deepcopy(recipe), folder / "probe").choice
    recipe["train"] |= {"precision": choice.precision, "threads": choice.threads}
    return recipe


def _child(arguments: list[str], kill_at: int = 0, linger: float = 0.0) -> int:
    """Run `unspool` in a process of its own, killed after `kill_at` printed steps (0: never); the last step."""
    command = [sys.executable, "-m", "unspool", *arguments, "--json"]
    last = 0
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        for line in process.stdout or ():
            event = json.loads(line)
            last = event.get("number", last)
            if kill_at and last >= kill_at:
                try:
                    process.wait(linger)
                except subprocess.TimeoutExpired:
                    process.kill()
                break
        process.wait()
        errors.seek(0)
        if process.returncode > 0:
            raise ConfigError(
                f"training failed: {errors.read().strip().splitlines()[-1]}", hint="train the recipe alone"
            )
    return last


def _next(recipe: Path, run: Path) -> list[str]:
    """How to go on with a run that was killed: resume it, or begin anew where nothing was saved yet."""
    return ["resume", str(run)] if checkpoint.checkpoints(run) else ["train", str(recipe), "--run", str(run)]


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    """The digest of every tensor, setting and record that a run left, apart from the time and the memory it took."""
    last = checkpoint.find_checkpoint(folder, "last")
    for kind, values in (("model", last.weights()), ("trainer", last.tensors())):
        for name, value in values.items():
            content = value.contiguous().view(-1).numpy().tobytes()
            yield f"{kind}: {name}", hashlib.sha256(content).hexdigest()
    plain = asdict(last.plain())
    plain["trainer"].pop("seconds"), plain.pop("memory")
    timeless = [{k: v for k, v in r.items() if k != "seconds"} for r in records(folder)]
    for name, data in (("trainer: plain", plain), ("metrics", timeless)):
        yield name, hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
    for name in ("recipe.toml", *(f"{name}.json" for name in TOKENIZERS)):
        if (folder / name).exists():
            yield name, files.digest(folder / name)
