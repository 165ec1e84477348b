"""A run folder from a model in memory, and the files that every run folder begins with."""

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from unspool import files
from unspool.batch import Domain, domain_to_json
from unspool.data.preprocessors.preprocessor import Preprocessor, save_preprocessor
from unspool.data.tokenizer import save_text
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.recipe import Recipe, dump_recipe
from unspool.runs import checkpoint
from unspool.runs.contents import FORMAT
from unspool.runs.run import Run
from unspool.tasks.task import tasks


def describe_run(
    folder: Path,
    recipe: Recipe,
    model: SequenceModel,
    domains: dict[str, Domain | None],
    preprocessor: Preprocessor | None,
    **more: Any,
) -> None:
    """Write what a run is, before it begins: recipe.toml, about.json, preprocessor.json and the tokenizers.

    Args:
        folder: the run's folder, which is there.
        recipe: resolved.
        model: for its size.
        domains: "inputs", "targets" and "source", what the model reads and predicts.
        preprocessor: fitted; None where the task has none.
        **more: fields for about.json.
    """
    about = {
        "format": FORMAT,
        "unspool": version("unspool"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "command": sys.argv[1:],
        "directory": os.getcwd(),
        "directory_from_run": way_back(folder),
        **{name: domain_to_json(domain) if domain else None for name, domain in domains.items()},
        "parameters": sum(p.numel() for p in model.parameters()),
        **more,
    }
    files.write_text(folder / "recipe.toml", dump_recipe(recipe))
    files.write_text(folder / "about.json", json.dumps(about, indent=1))
    if preprocessor is not None:
        files.write_text(folder / "preprocessor.json", save_preprocessor(preprocessor))
        for name in preprocessor.tokenizers:
            files.write_text(folder / f"{name}.json", save_text(getattr(preprocessor, name)))


def way_back(folder: Path) -> str:
    """The working directory as seen from a run folder; "" where they are on different drives.

    >>> way_back(Path("runs/char-lm")) == os.path.join("..", "..")
    True
    """
    try:
        return os.path.relpath(Path.cwd().resolve(), folder.resolve())
    except ValueError:
        return ""


def save_run(run: Run, folder: Path) -> Path:
    """Write a run into a new folder. Raises: CheckpointError where something is there already."""
    checkpoint.refuse_taken(folder)
    pre = run.preprocessor
    if pre is None:
        raise ConfigError(f"{run.name} has no preprocessor to save", hint="give Run a preprocessor or a tokenizer")
    with checkpoint.begun(folder) as lock:
        domains = {"inputs": pre.inputs, "targets": pre.targets, "source": pre.source}
        describe_run(folder, run.recipe, run.model, domains, pre, fingerprint="", data=[])
        checkpoint.save_checkpoint(folder, 0, dict(run.model.state_dict()), {}, {"best_number": 0})
    lock.release()
    return folder


def recipe_of(model: SequenceModel, preprocessor: Preprocessor | None) -> Recipe:
    """The recipe that makes such a model again, from the options that its core was built with.

    Raises:
        ConfigError: for a core that was not built by name.
    """
    options = getattr(model.core, "built_from", None)
    if options is None or preprocessor is None:
        raise ConfigError(
            "there is no recipe for this model",
            hint='build its core by name: cores.build("core", {"kind": "recurrent"})',
        )
    task = next(name for name in tasks.kinds() if tasks.find(name).preprocessing is type(preprocessor))
    recipe: Recipe = {"seed": 0, "task": {"kind": task}, "core": dict(options), "model": model_options(model)}
    return recipe


def model_options(model: SequenceModel) -> dict[str, Any]:
    """The [model] section that makes such a model again."""
    embedding, head = model.embedding, model.head
    learned = isinstance(embedding, nn.Embedding | nn.Linear)
    return {
        "embed": learned,
        "tied": learned and embedding.weight is head.weight,
        "components": getattr(head, "components", 0),
        "transform": getattr(getattr(head, "transform", None), "kind", "none"),
        "dropout": model.dropout.p,
        "smoothing": head.smoothing,
    }
