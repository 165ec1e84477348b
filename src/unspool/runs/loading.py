"""What is read from a run folder: its domains, tokenizers, preprocessor and data, each compared with the model."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from unspool import build
from unspool.batch import Domain, domain_from_json
from unspool.data.preprocessors.preprocessor import Preprocessor, load_preprocessor
from unspool.data.splits import Splits
from unspool.data.tokenizer import Tokenizer, load_text
from unspool.errors import CheckpointError
from unspool.files import read_json, read_text
from unspool.models.sequence import SequenceModel
from unspool.nn.part import diverged
from unspool.recipe import TOKENIZERS, Recipe
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
    """The data of a run, which must be what it was when the run began."""
    splits = build.dataset(recipe).read()
    if read_json(folder / "about.json", About).fingerprint != splits.fingerprint:
        where = recipe["data"].get("path") or recipe["data"].get("corpus")
        raise CheckpointError(
            f"the data {where} is not what {folder} was trained on", hint="restore the data, or train anew"
        )
    return splits
