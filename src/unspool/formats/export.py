"""A trained encoder written as BERT in Hugging Face's format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from unspool.data.preprocessors.language import MaskedText
from unspool.data.preprocessors.text import LabelledText
from unspool.errors import ConfigError
from unspool.files import write_bytes, write_text, writing
from unspool.formats.bert import ENDS, bert_config, bert_to_hf, masked_head_to_hf
from unspool.formats.tokenizer_files import wordpiece_files
from unspool.nn.core import Core, cores
from unspool.runs.run import Run
from unspool.schema import defaults

ANOTHER = "choose another folder: nothing is overwritten"


def write_folder(run: Run, path: str | Path) -> str:
    """Write a trained encoder as a folder that `transformers` loads: config.json, model.safetensors, the tokenizer.

    A classifier that reads its answer off [CLS] as BERT does (`core.kind="pooled"`, `by="first"`, `project=true`) is a
    BertForSequenceClassification, a masked language model with `model.transform` a BertForMaskedLM; both give equal
    outputs there. Of any other the encoder alone is written, a BertModel: its `last_hidden_state` is equal.

    Args:
        run: a trained model whose core has BERT's options and whose tokenizer is of kind "wordpiece".
        path: the folder to make.

    Returns:
        The name of the class in `transformers`.

    Raises:
        ConfigError: for a model that BERT has no counterpart to, and for a folder that holds something.

    >>> import tempfile
    >>> from unspool import Run, SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> from unspool.data.preprocessors.language import MaskedText
    >>> from unspool.formats.bert import bert_options
    >>> words = tokenizers.build("tokenizer", "wordpiece").fit("to be or not to be")
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    >>> core = cores.build("core", bert_options({**sizes, "max_position_embeddings": 32}))
    >>> symbols = Tokens(words.size)
    >>> model = SequenceModel(embedding(symbols, 8), core, head(symbols, 8, transform="gelu"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_folder(Run(model, MaskedText(words)), f"{folder}/bert")
    'BertForMaskedLM'
    """
    from safetensors.torch import save

    path = Path(path).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} holds something already", hint=ANOTHER)
    tokenizer = getattr(run.preprocessor, "tokenizer", None)
    if tokenizer is None:
        raise ConfigError(f"{run.name} reads no text, and BERT does", hint="train on texts")
    encoder = run.model.core.innermost
    core = defaults(type(encoder)) | getattr(encoder, "built_from", {"kind": cores.kind_of(type(encoder))})
    if core["kind"] != KIND:
        raise ConfigError(f"a core of kind {core['kind']!r} cannot be written as BERT", hint=f'core.kind="{KIND}"')
    files = wordpiece_files(tokenizer, core["context"])
    config = bert_config(core, _rows(run, tokenizer.size))
    name, weights, more = _class_of(run, core["feed_forward"])
    files["config.json"] = json.dumps(config | more | {"architectures": [name], "dtype": "float32"}, indent=1)
    tensors = {key: value.detach().float().cpu().contiguous().clone() for key, value in weights.items()}
    with writing(path, ANOTHER):
        path.mkdir(parents=True, exist_ok=True)
    write_bytes(path / "model.safetensors", save(tensors, metadata={"format": "pt"}), ANOTHER)
    for file, text in files.items():
        write_text(path / file, text)
    return name


KIND = "transformer"
"""The core that has BERT's equations among its options."""


def _rows(run: Run, size: int) -> int:
    """How many tokens the model reads: all of them the tokenizer's. Raises: ConfigError where there are others."""
    rows = len(run.model.embedding.weight)  # type: ignore[arg-type]
    if rows != size:
        raise ConfigError(
            f"the model reads {rows} tokens, and its tokenizer has {size}",
            hint="preprocessor.mask_padding=true",
        )
    return rows


def _class_of(run: Run, activation: str) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """The class that the model is in `transformers`, all its weights, and what its config.json says besides."""
    head, core, preprocessor = run.model.head, run.model.core, run.preprocessor
    ours = _flat(run.model.state_dict())
    theirs = bert_to_hf(ours)
    transform = getattr(getattr(head, "transform", None), "kind", "none")
    if isinstance(preprocessor, LabelledText) and _is_bert_pooler(core) and transform == "none":
        theirs |= {f"bert.pooler.dense.{end}": ours[f"project.{end}"] for end in ENDS}
        theirs |= {f"classifier.{end}": ours[f"head.{end}"] for end in ENDS}
        labels = preprocessor.target_labels(range(len(head.weight)))
        more = {"id2label": dict(enumerate(labels)), "label2id": {label: id for id, label in enumerate(labels)}}
        return "BertForSequenceClassification", theirs, more
    if isinstance(preprocessor, MaskedText) and transform == activation:
        tied = {"tie_word_embeddings": head.weight is run.model.embedding.weight}
        return "BertForMaskedLM", theirs | masked_head_to_hf(ours), tied
    return "BertModel", theirs, {}


def _is_bert_pooler(core: Core) -> bool:
    return getattr(core, "by", "") == "first" and getattr(core, "project", None) is not None


def _flat(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, those of a core within a core named as if it stood alone and those of the pool without a prefix."""
    if not any(name.startswith("core.core.") for name in weights):
        return dict(weights)
    return {name.removeprefix("core."): value for name, value in weights.items()}
