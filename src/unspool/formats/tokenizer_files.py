"""Tokenizers in Hugging Face's files: byte pairs and WordPiece read, WordPiece written."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.errors import CheckpointError, ConfigError, DataError
from unspool.files import read_json, read_text
from unspool.schema import checked

SPLITTERS = {"ByteLevel", "Digits"}
"""What may cut a text into words before byte pairs are looked for: with others our ids would not be theirs."""


@dataclass(frozen=True)
class TokenizerFile:
    """What of tokenizer.json is looked at before the library reads it."""

    model: dict[str, Any]
    pre_tokenizer: dict[str, Any] | None = None
    normalizer: dict[str, Any] | None = None
    added_tokens: list[Any] | None = None


def read_byte_pairs(path: Path) -> Tokenizer:
    """The tokenizer of byte pairs of a folder; it adds no symbols of its own to a text."""
    engine, saved = _tokenizer_file(path)
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


def read_wordpieces(path: Path) -> Tokenizer:
    """The WordPiece tokenizer of a folder, from tokenizer.json or from vocab.txt; [CLS] and [SEP] are its frame.

    Raises: CheckpointError where neither is whole, ConfigError where it is not quite BERT's.
    """
    if (path / "tokenizer.json").is_file():
        words, options = _from_tokenizer_file(path)
    elif (path / "vocab.txt").is_file():
        words = read_text(path / "vocab.txt").rstrip("\n").split("\n")
        file = path / "tokenizer_config.json"
        options = read_json(file) if file.is_file() else {}
        options = {
            "lowercase": options.get("do_lower_case", True),
            "strip_accents": options.get("strip_accents"),
            "handle_chinese_chars": options.get("tokenize_chinese_chars", True),
        }
    else:
        raise CheckpointError(
            f"{path} has no vocab.txt and no tokenizer.json", hint="save the tokenizer beside the model"
        )
    if options.get("handle_chinese_chars") is not True or options.get("clean_text", True) is not True:
        raise _unlike_bert(path, "it should clean a text and part Chinese characters")
    accents = {None: "auto", True: "strip", False: "keep"}.get(options.get("strip_accents"), "?")
    data = {"vocabulary": max(32, len(words)), "lower": options.get("lowercase"), "accents": accents, "words": words}
    try:
        return tokenizers.find("wordpiece").from_json(data)
    except DataError as error:
        raise CheckpointError(f"the tokenizer of {path} cannot be used: {error}", hint="copy it again") from None


def _from_tokenizer_file(path: Path) -> tuple[list[str], dict[str, Any]]:
    """The vocabulary by id, and the options of the normalizer."""
    _, saved = _tokenizer_file(path)
    usual = {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    normalizer, cutter = saved.normalizer or {}, saved.pre_tokenizer or {}
    kinds = (saved.model.get("type"), normalizer.get("type"), cutter.get("type"))
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise _unlike_bert(path, "it should be a WordPiece with BertNormalizer and BertPreTokenizer")
    if strange := [name for name, value in usual.items() if saved.model.get(name, value) != value]:
        raise _unlike_bert(path, f"its {strange[0]} should be {usual[strange[0]]!r}")
    vocabulary = saved.model.get("vocab")
    if not isinstance(vocabulary, dict) or sorted(vocabulary.values(), key=str) != sorted(
        range(len(vocabulary)), key=str
    ):
        raise CheckpointError(f"the vocabulary of {path / 'tokenizer.json'} is not numbered", hint="copy it again")
    for token in saved.added_tokens or ():
        content = token.get("content") if isinstance(token, dict) else token
        if content not in vocabulary:
            raise _unlike_bert(path, f"its token {str(content)[:40]!r} should be in the vocabulary")
    return sorted(vocabulary, key=vocabulary.__getitem__), normalizer


def _unlike_bert(path: Path, hint: str) -> ConfigError:
    return ConfigError(f"the tokenizer of {path} is not quite BERT's", hint=hint)


def _tokenizer_file(path: Path) -> tuple[dict[str, Any], TokenizerFile]:
    if not (path / "tokenizer.json").is_file():
        raise CheckpointError(f"{path} has no tokenizer.json", hint="save the tokenizer beside the model")
    engine: dict[str, Any] = read_json(path / "tokenizer.json")
    try:
        return engine, checked(engine, TokenizerFile)
    except ValueError as error:
        raise CheckpointError(f"{path / 'tokenizer.json'} cannot be used: {error}", hint="copy it again") from None


def wordpiece_files(tokenizer: Tokenizer, max_length: int) -> dict[str, str]:
    """The files of a WordPiece tokenizer in a folder of Hugging Face's, as text by name.

    Args:
        tokenizer: of kind "wordpiece".
        max_length: how many tokens the model reads.

    Raises: ConfigError for a tokenizer of another kind, which such a folder has no place for.
    """
    saved = tokenizer.to_json()
    if tokenizer.frame is None or "words" not in saved:
        raise ConfigError(
            "only a WordPiece tokenizer can be written beside a BERT", hint="train with tokenizer.kind=wordpiece"
        )
    words, options = saved["words"], {"auto": None, "strip": True, "keep": False}
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": saved["lower"],
        "strip_accents": options[saved["accents"]],
        "tokenize_chinese_chars": True,
        "model_max_length": max_length,
        **{f"{short}_token": name for short, name in names.items()},
    }
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False) | {"special": True}
    special = [{"id": words.index(name), "content": name, **plain} for name in names.values()]
    engine = json.loads(tokenizer.engine.to_str())  # type: ignore[attr-defined]
    engine["added_tokens"] = sorted(special, key=lambda token: token["id"])
    ends = {short: [name, words.index(name)] for short, name in (("cls", "[CLS]"), ("sep", "[SEP]"))}
    engine["post_processor"] = {"type": "BertProcessing", **ends}
    engine["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return {
        "vocab.txt": "".join(f"{word}\n" for word in words),
        "tokenizer_config.json": json.dumps(config, indent=1),
        "tokenizer.json": json.dumps(engine, ensure_ascii=False),
    }
