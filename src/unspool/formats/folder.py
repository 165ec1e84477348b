"""A model folder in Hugging Face's format: config.json, safetensors and the tokenizer's files, read as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from unspool import build
from unspool.batch import Tokens
from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.errors import CheckpointError, ConfigError
from unspool.files import digest, read_json, read_tensors
from unspool.formats.bert import bert_from_hf, bert_options, distilbert_from_hf, distilbert_options, transform_of
from unspool.formats.huggingface import FROM_HF, Convert, Weights
from unspool.formats.tokenizer_files import read_byte_pairs, read_wordpieces
from unspool.models.sequence import SequenceModel
from unspool.nn.part import refuse_unlike
from unspool.recipe import Recipe
from unspool.schema import brief, defaults

Reader = tuple[Callable[[Mapping[str, Any]], dict[str, Any]], Convert, Callable[[Path], Tokenizer]]
READERS: dict[str, Reader] = {
    **{name: (*both, read_byte_pairs) for name, both in FROM_HF.items()},
    "bert": (bert_options, bert_from_hf, read_wordpieces),
    "distilbert": (distilbert_options, distilbert_from_hf, read_wordpieces),
}
"""By the `model_type` of a `config.json`: which core, its weights, and its tokenizer."""


@dataclass(frozen=True)
class Index:
    """Which file each tensor is in, where the weights are in several."""

    weight_map: dict[str, str]


LONGEST = 255
"""So many bytes the name of a file has at most, on most systems."""


class Folder(NamedTuple):
    """What was read: the sections of a recipe for such a model, the model, its tokenizer, the digest of each file."""

    recipe: Recipe
    model: SequenceModel
    tokenizer: Tokenizer
    digests: dict[str, str]


def is_folder(path: Path) -> bool:
    """Whether it is a model folder of Hugging Face's."""
    return (path / "config.json").is_file()


def read_folder(path: Path) -> Folder:
    """The model in a folder that `save_pretrained` wrote: GPT-2 or Llama, BERT or DistilBERT, with its tokenizer.

    A language model comes with its head. Of another BERT, a classifier say, the encoder is read.

    Raises: CheckpointError for what is missing, ConfigError for what has no counterpart here.
    """
    config = read_json(path / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in READERS:
        raise ConfigError(f"{path} is a {kind!r}, which cannot be read", hint=f"known are {', '.join(READERS)}")
    options, convert, read_tokenizer = READERS[kind]
    theirs, digests = read_weights(path)
    tokenizer = read_tokenizer(path)
    try:
        recipe, ours = _understood(options(config), convert(theirs), tokenizer)
        symbols = Tokens(len(ours["embedding.weight"]))
        model = build.model(recipe, symbols, symbols)
        weights = {name: value.float() for name, value in ours.items()}
        refuse_unlike(weights, model.state_dict())
        model.load_state_dict(weights)
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{path} is no whole {kind}: {reason}", hint="copy it again") from error
    if symbols.size < tokenizer.size:
        raise CheckpointError(
            f"the tokenizer of {path} has {tokenizer.size} tokens and the model {symbols.size}", hint="copy both again"
        )
    return Folder(recipe, model, tokenizer, digests)


def _understood(core: dict[str, Any], ours: Mapping[str, Tensor], tokenizer: Tokenizer) -> tuple[Recipe, Weights]:
    """The recipe of such a model, and its weights without a head that cannot be expressed."""
    transform = transform_of(ours, core)
    if transform == "none":
        ours = {name: value for name, value in ours.items() if not name.startswith("head.transform.")}
    task = "language" if core.get("causal", True) else "classify" if transform == "none" else "masked"
    tied = bool((ours["embedding.weight"] == ours["head.weight"]).all())
    kept = tokenizer.to_json()
    words = {name: kept[name] for name in defaults(type(tokenizer)) if name in kept}
    recipe: Recipe = {"core": core, "task": {"kind": task}, "model": {"tied": tied, "transform": transform}}
    return recipe | {"tokenizer": {"kind": tokenizers.kind_of(type(tokenizer)), **words}}, ours


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All weights of a folder, in one file or in several, and the SHA-256 of each file."""
    index = path / "model.safetensors.index.json"
    names = sorted(set(read_json(index, Index).weight_map.values())) if index.exists() else ["model.safetensors"]
    weights: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name or len(name.encode()) > LONGEST:
            raise CheckpointError(f"{index} names {brief(name)}, which is no file of the folder", hint="copy it again")
        if not (path / name).is_file():
            raise CheckpointError(
                f"{path} has no {name}", hint="save it with safetensors: a pickle (.bin) is never read, it could run"
            )
        weights |= read_tensors(path / name)
    if "wte.weight" in weights:  # the bare GPT-2, as OpenAI's stands on the hub
        weights = {f"transformer.{name}": value for name, value in weights.items()}
    return weights, {name: digest(path / name) for name in names}
