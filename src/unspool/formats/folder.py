"""A model folder in Hugging Face's format: config.json, safetensors and tokenizer.json, read as data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from unspool import build
from unspool.batch import Tokens
from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.errors import CheckpointError, ConfigError
from unspool.files import digest, read_json, read_tensors
from unspool.formats.huggingface import FROM_HF
from unspool.models.sequence import SequenceModel
from unspool.nn.part import refuse_unlike
from unspool.recipe import Recipe
from unspool.schema import brief, checked

SPLITTERS = {"ByteLevel", "Digits"}
"""What may cut a text into words before byte pairs are looked for: with others our ids would not be theirs."""


@dataclass(frozen=True)
class Index:
    """Which file each tensor is in, where the weights are in several."""

    weight_map: dict[str, str]


@dataclass(frozen=True)
class TokenizerFile:
    """What of tokenizer.json is looked at before the library reads it."""

    model: dict[str, Any]
    pre_tokenizer: dict[str, Any] | None = None
    added_tokens: list[Any] | None = None


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
    """The language model in a folder that `save_pretrained` wrote: GPT-2 or Llama, with a tokenizer of byte pairs.

    Raises: CheckpointError for what is missing, ConfigError for what has no counterpart here.
    """
    config = read_json(path / "config.json")
    kind = config.get("model_type")
    if kind not in FROM_HF:
        raise ConfigError(f"{path} is a {kind!r}, which cannot be read", hint=f"known are {', '.join(FROM_HF)}")
    options, convert = FROM_HF[kind]
    theirs, digests = read_weights(path)
    tokenizer = read_tokenizer(path)
    try:
        recipe: Recipe = {"core": options(config), "task": {"kind": "language"}}
        ours = convert(theirs)
        symbols = Tokens(len(ours["embedding.weight"]))
        recipe["model"] = {"tied": bool((ours["embedding.weight"] == ours["head.weight"]).all())}
        recipe["tokenizer"] = {"kind": "bpe", "vocabulary": tokenizer.size}
        model = build.model(recipe, symbols, symbols)
        weights = {name: value.float() for name, value in ours.items()}
        refuse_unlike(weights, model.state_dict())
        model.load_state_dict(weights)
    except (KeyError, RuntimeError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(f"{path} is no whole {kind}: {reason}", hint="copy it again") from error
    if symbols.size < tokenizer.size:
        raise CheckpointError(
            f"the tokenizer of {path} has {tokenizer.size} tokens and the model {symbols.size}", hint="copy both again"
        )
    return Folder(recipe, model, tokenizer, digests)


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All weights of a folder, in one file or in several, and the SHA-256 of each file."""
    index = path / "model.safetensors.index.json"
    names = sorted(set(read_json(index, Index).weight_map.values())) if index.exists() else ["model.safetensors"]
    weights: dict[str, Tensor] = {}
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(f"{index} names {brief(name)}, which is no file of the folder", hint="copy it again")
        if not (path / name).is_file():
            raise CheckpointError(
                f"{path} has no {name}", hint="save it with safetensors: a pickle (.bin) is never read, it could run"
            )
        weights |= read_tensors(path / name)
    if "wte.weight" in weights:  # the bare GPT-2, as OpenAI's stands on the hub
        weights = {f"transformer.{name}": value for name, value in weights.items()}
    return weights, {name: digest(path / name) for name in names}


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a folder; it adds no symbols of its own to a text."""
    if not (path / "tokenizer.json").is_file():
        raise CheckpointError(f"{path} has no tokenizer.json", hint="save the tokenizer beside the model")
    engine: dict[str, Any] = read_json(path / "tokenizer.json")
    try:
        saved = checked(engine, TokenizerFile)
    except ValueError as error:
        raise CheckpointError(f"{path / 'tokenizer.json'} cannot be used: {error}", hint="copy it again") from None
    cutter = saved.pre_tokenizer or {}
    kinds = {part.get("type") for part in cutter.get("pretokenizers") or [cutter]}
    if saved.model.get("type") != "BPE" or "ByteLevel" not in kinds or kinds - SPLITTERS:
        raise ConfigError(
            f"the tokenizer of {path} is not one of byte pairs as GPT-2's is",
            hint=f"its words should be cut by {' and '.join(sorted(SPLITTERS))} alone",
        )
    plain = engine | {"post_processor": None, "truncation": None, "padding": None}
    size = len(saved.model.get("vocab", ())) + len(saved.added_tokens or ())
    return tokenizers.find("bpe").from_json({"vocabulary": max(256, size), "engine": plain})
