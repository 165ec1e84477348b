"""Training as one call: what `unspool train` and `unspool resume` do."""

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from unspool.experiment.experiment import Experiment
from unspool.experiment.progress import asked_to_stop, show
from unspool.recipe import load_recipe
from unspool.runs.run import Run


def train(recipe: str | Path, run: str | Path | None = None, quiet: bool = False, **settings: Any) -> Run:
    """Train a model as a recipe says, with a progress bar in a terminal and in a notebook.

    Ctrl-C (or a notebook's stop button) ends the training after the present step, with everything saved.

    Args:
        recipe: a named recipe (`unspool recipes` lists them) or a .toml file.
        run: the folder to write; runs/RECIPE, or its first free numbered neighbour, by default.
        quiet: whether nothing is shown.
        **settings: sections of the recipe as tables, `core={"width": 64}`, or single keys, `**{"core.width": 64}`. A
            table that names its kind, `core={"kind": "transformer", "width": 64}`, replaces the whole section.

    Returns:
        The trained model: the best checkpoint where there is a validation split, else the last.

    Raises:
        ConfigError: for a setting that is unknown or impossible.
        DataError: for data that cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = train(
    ...         "char-lm", f"{folder}/run", quiet=True, data={"limit": 3000}, core={"width": 8},
    ...         train={"steps": 2, "minutes": 0, "threads": 1, "precision": "float32"}, sample={"times": 0},
    ...     )
    >>> run.recipe["core"]["width"]
    8
    """
    made = load_recipe(recipe, flattened(settings))
    experiment = Experiment.new(made, Path(run) if run else free_folder(Path("runs") / Path(recipe).stem))
    return finish(experiment, quiet)


def resume(run: str | Path, quiet: bool = False, **settings: Any) -> Run:
    """Continue a run from its last checkpoint, bit for bit as if it had never stopped.

    Args:
        run: a run folder, or one of its checkpoints/step-N.
        quiet: whether nothing is shown.
        **settings: as in `train`, for instance a larger budget: `train={"steps": 2000}`.

    Returns:
        The trained model.

    Raises:
        CheckpointError: for a folder that holds no whole run.
        ConfigError: for a setting that cannot be changed.

    >>> import tempfile
    >>> small = {"data": {"limit": 3000}, "core": {"width": 8}, "sample": {"times": 0}, "evaluate": {"times": 1}}
    >>> budget = {"steps": 1, "minutes": 0, "threads": 1, "precision": "float32"}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = train("char-lm", f"{folder}/run", quiet=True, train=budget, **small)
    ...     _ = resume(f"{folder}/run", quiet=True, train={"steps": 2})
    ...     Run.load(f"{folder}/run", which="last").checkpoint.number
    2
    """
    overrides = [f"{key}={json.dumps(value)}" for key, value in flattened(settings).items()]
    return finish(Experiment.resume(Path(run), overrides), quiet)


def finish(experiment: Experiment, quiet: bool) -> Run:
    """Run an experiment to its end; the trained model."""
    with asked_to_stop(experiment.stop):
        show(experiment, quiet=quiet)
    return Run.load(experiment.folder, experiment.device)


def flattened(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their keys with points; a table that names its kind takes the place of the whole section.

    >>> flattened({"core": {"width": 64}, "train.steps": 9, "tokenizer": {"kind": "char"}})
    {'core.width': 64, 'train.steps': 9, 'tokenizer': {'kind': 'char'}}
    """
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and "kind" not in value:
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = value
    return found


def free_folder(wanted: Path) -> Path:
    """The folder itself, or its first numbered neighbour that does not exist: no run is ever overwritten."""
    names = (wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}") for n in count(1))
    return next(folder for folder in names if not folder.exists())
