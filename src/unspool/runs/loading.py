"""What is read from a run folder: its domains, tokenizers, preprocessor and data, each compared with the model."""

import glob
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

from unspool import build
from unspool.batch import Domain, domain_from_json
from unspool.data.preprocessors.preprocessor import Preprocessor, load_preprocessor
from unspool.data.source import PATHS, located
from unspool.data.splits import Splits
from unspool.data.tokenizer import Tokenizer, load_text
from unspool.errors import CheckpointError, DataError
from unspool.files import read_json, read_text
from unspool.models.sequence import SequenceModel
from unspool.nn.part import diverged
from unspool.recipe import TOKENIZERS, Recipe, override, parse_recipe
from unspool.runs.checkpoint import checkpoints
from unspool.runs.contents import About


def refuse_diverged(model: SequenceModel, name: str) -> None:
    """Raise a CheckpointError for weights that are not finite, or beyond all use."""
    if diverged(model.parameters()):
        raise CheckpointError(
            f"{name} has diverged: some of its weights are not finite or beyond 1e15",
            hint="use an earlier one of its checkpoints/step-N, or train anew with a lower train.learning_rate",
        )


def load_domains(folder: Path, preprocessor: Preprocessor | None) -> tuple[Domain, Domain, Domain | None]:
    """What the model of a run reads, predicts and attends to.

    Raises:
        CheckpointError: where its tokenizers or its preprocessor are made for another model.
    """
    about = read_json(folder / "about.json", About)
    inputs, targets = (domain_from_json(asdict(one)) for one in (about.inputs, about.targets))
    source = domain_from_json(asdict(about.source)) if about.source else None
    for name, domain in (("inputs", inputs), ("targets", targets), ("source", source)):
        made = getattr(preprocessor, name, domain)
        if made != domain:
            raise CheckpointError(
                f"the tokenizers do not match the model: its {name} are {domain}, and they make {made}",
                hint="restore the run folder from a copy",
            )
    return inputs, targets, source


def load_tokenizers(folder: Path) -> dict[str, Tokenizer]:
    """The tokenizers of a run by their names, as they were fitted when it began."""
    files = {name: folder / f"{name}.json" for name in TOKENIZERS}
    return {name: load_text(read_text(file)) for name, file in files.items() if file.exists()}


def load_saved_preprocessor(folder: Path) -> Preprocessor | None:
    """The preprocessor of a run as it was fitted; None where its task has none."""
    file = folder / "preprocessor.json"
    return load_preprocessor(read_text(file), load_tokenizers(folder)) if file.exists() else None


def load_data(recipe: Recipe, folder: Path) -> Splits[Any]:
    """The data of a run, which must be what it was when the run began.

    Relative paths are looked up from where the run was trained: first as seen from the run folder, so that both can be
    moved together, then from the directory itself, then from here. Standard input was kept in the run folder.

    Args:
        recipe: of the run.
        folder: the run folder.

    Raises:
        DataError: where the data is not found, or cannot be read.
        CheckpointError: where it is other data.
    """
    about, data = read_json(folder / "about.json", About), recipe.get("data", {})
    where = next((data[key] for key in PATHS if data.get(key)), data.get("corpus"))
    found = [options for options in places(data, folder, about) if is_there(options)]
    if not found:
        raise DataError(
            f"there is no file {where!r} any more, which {folder} was trained on",
            hint=f"`unspool resume {quote(str(folder))} data.path=FILE` says where it is now",
        )
    for options in found:
        splits = build.dataset({**recipe, "data": options}).read()
        if splits.fingerprint == about.fingerprint:
            return splits
    raise CheckpointError(
        f"the data {where} is not what {folder} was trained on", hint="restore the data, or train anew"
    )


def places(data: Mapping[str, Any], folder: Path, about: About) -> list[dict[str, Any]]:
    """The [data] options with absolute paths, for every place where the data may be, each once."""
    bases = [folder / about.directory_from_run] if about.directory_from_run else []
    bases += [Path(about.directory)] if about.directory else []
    found = [located(data, os.path.abspath(base)) for base in (*bases, Path.cwd())]
    kept = folder / "data.txt"
    if kept.is_file() and (paths := [key for key in PATHS if Path(data.get(key) or "").name == kept.name]):
        found.insert(0, {**found[0], paths[0]: os.path.abspath(kept)})
    return [options for number, options in enumerate(found) if options not in found[:number]]


def is_there(options: Mapping[str, Any]) -> bool:
    """Whether every path of the [data] options leads to something: a file, a folder, or what a pattern matches."""
    named = [options[key] for key in PATHS if options.get(key)]
    return all(os.path.exists(path) or next(glob.iglob(f"{path}*"), None) for path in named)


def load_recipe_of(folder: Path) -> Recipe:
    """The recipe of a run, with the [data] settings that `unspool resume` changed since."""
    recipe = parse_recipe(read_text(folder / "recipe.toml"), str(folder / "recipe.toml"))
    try:
        overrides = checkpoints(folder)[-1].plain().overrides
    except CheckpointError:  # an earlier checkpoint is loaded, as the last one is damaged
        overrides = []
    for text in overrides:
        if text.startswith("data."):
            override(recipe, text)
    return recipe
