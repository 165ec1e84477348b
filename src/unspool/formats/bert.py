"""BERT and DistilBERT: weights in Hugging Face's names and shapes, and in ours.

The embedding of the token type, which is that of the first for all tokens here, is added to those of the positions.
Both are written as BERT, of which DistilBERT is the case without token types.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unspool.errors import ConfigError
from unspool.formats.huggingface import Weights, count_layers, known
from unspool.nn.heads import Transform

ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "relu": "relu"}

BERT = {
    "attention.read": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm",),
    "feed_forward.up": ("intermediate.dense",),
    "feed_forward.down": ("output.dense",),
    "feed_forward_norm": ("output.LayerNorm",),
}
"""One block of BERT: our names, and theirs, which stand one upon the other in ours."""

DISTILBERT = {
    "attention.read": ("attention.q_lin", "attention.k_lin", "attention.v_lin"),
    "attention.output": ("attention.out_lin",),
    "attention_norm": ("sa_layer_norm",),
    "feed_forward.up": ("ffn.lin1",),
    "feed_forward.down": ("ffn.lin2",),
    "feed_forward_norm": ("output_layer_norm",),
}
"""One block of DistilBERT."""

BERT_HEAD = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions")
DISTILBERT_HEAD = ("vocab_transform", "vocab_layer_norm", "vocab_projector")
"""The head for masked tokens: its linear layer, its norm, and what has the bias of the output layer."""


def bert_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The core of a BERT (Devlin et al. 2018, arXiv:1810.04805), for `cores.build`.

    Raises: ConfigError where the model is not quite a BERT.

    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    >>> bert_options({**sizes, "max_position_embeddings": 32})["post_norm"]
    True
    """
    known({"absolute": ""}, config.get("position_embedding_type") or "absolute", "position_embedding_type")
    known({False: ""}, bool(config.get("is_decoder") or config.get("add_cross_attention")), "is_decoder")
    return {
        **_encoder(config.get("hidden_act", "gelu"), "hidden_act"),
        "width": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "context": config["max_position_embeddings"],
        "feed_width": config["intermediate_size"],
        "epsilon": config.get("layer_norm_eps", 1e-12),
        "dropout": config.get("hidden_dropout_prob", 0.1),
    }


def distilbert_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The core of a DistilBERT (Sanh et al. 2019, arXiv:1910.01108), for `cores.build`.

    >>> sizes = {"dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "max_position_embeddings": 32}
    >>> distilbert_options(sizes)["context"]
    32
    """
    return {
        **_encoder(config.get("activation", "gelu"), "activation"),
        "width": config["dim"],
        "layers": config["n_layers"],
        "heads": config["n_heads"],
        "context": config["max_position_embeddings"],
        "feed_width": config["hidden_dim"],
        "epsilon": 1e-12,
        "dropout": config.get("dropout", 0.1),
    }


def _encoder(activation: Any, key: str) -> dict[str, Any]:
    return {
        "kind": "transformer",
        "causal": False,
        "positions": "learned",
        "norm": "layer",
        "post_norm": True,
        "embedding_norm": True,
        "feed_forward": known(ACTIVATIONS, activation, key),
        "bias": True,
    }


def bert_from_hf(theirs: Weights) -> dict[str, Tensor]:
    """Our weights from those of a BertModel, with its head for masked tokens where there is one."""
    theirs = _renamed(theirs, "bert.")
    ours = _embeddings(theirs, "bert.embeddings")
    if "bert.embeddings.token_type_embeddings.weight" in theirs:
        kinds = theirs["bert.embeddings.token_type_embeddings.weight"]
        ours["core.positions.weight"] = ours["core.positions.weight"] + kinds[0]
    return ours | _blocks(theirs, "bert.encoder.layer.", BERT) | _head(theirs, BERT_HEAD, ours["embedding.weight"])


def distilbert_from_hf(theirs: Weights) -> dict[str, Tensor]:
    """Our weights from those of a DistilBertModel, with its head for masked tokens where there is one."""
    theirs = _renamed(theirs, "distilbert.")
    ours = _embeddings(theirs, "distilbert.embeddings")
    blocks = _blocks(theirs, "distilbert.transformer.layer.", DISTILBERT)
    return ours | blocks | _head(theirs, DISTILBERT_HEAD, ours["embedding.weight"])


def _renamed(theirs: Weights, prefix: str) -> Weights:
    """The weights by their names of today, in a model around the encoder, which may have been saved alone."""
    newer = {re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name): value for name, value in theirs.items()}
    newer = {re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name): value for name, value in newer.items()}
    alone = "embeddings.word_embeddings.weight" in newer
    return {f"{prefix}{name}": value for name, value in newer.items()} if alone else newer


def _embeddings(theirs: Weights, prefix: str) -> dict[str, Tensor]:
    norm = {f"core.embedding_norm.{end}": theirs[f"{prefix}.LayerNorm.{end}"] for end in ("weight", "bias")}
    words, places = (theirs[f"{prefix}.{name}_embeddings.weight"] for name in ("word", "position"))
    return {"embedding.weight": words, "core.positions.weight": places, **norm}


def _blocks(theirs: Weights, prefix: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, Tensor]:
    ours = {}
    for number in range(count_layers(theirs, prefix)):
        for our, parts in names.items():
            for end in ("weight", "bias"):
                stacked = torch.cat([theirs[f"{prefix}{number}.{part}.{end}"] for part in parts])
                ours[f"core.layers.{number}.{our}.{end}"] = stacked
    return ours


def _head(theirs: Weights, names: tuple[str, str, str], embedding: Tensor) -> dict[str, Tensor]:
    """The head for masked tokens; without one the embedding, which stands for a head that nothing takes over."""
    dense, norm, output = names
    if f"{dense}.weight" not in theirs:
        return {"head.weight": embedding, "head.bias": embedding.new_zeros(len(embedding))}
    moved = {"dense": dense, "norm": norm}
    ours = {f"head.transform.{our}.{end}": theirs[f"{their}.{end}"] for our, their in moved.items() for end in ENDS}
    weights = (f"{output}.decoder.weight", f"{output}.weight")
    ours["head.weight"] = next((theirs[name] for name in weights if name in theirs), embedding)
    ours["head.bias"] = theirs[f"{output}.bias"]
    return ours


ENDS = ("weight", "bias")


def bert_config(core: Mapping[str, Any], vocabulary: int) -> dict[str, Any]:
    """The `config.json` of a BertModel with the options of a core.

    Args:
        core: all options of a core of kind "transformer".
        vocabulary: how many tokens it reads.

    Raises: ConfigError where BERT has no counterpart to an option.
    """
    theirs = {our: their for their, our in reversed(ACTIVATIONS.items())}
    config = {
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": core["width"],
        "num_hidden_layers": core["layers"],
        "num_attention_heads": core["heads"],
        "intermediate_size": core["feed_width"] or 4 * core["width"],
        "hidden_act": theirs.get(core["feed_forward"], core["feed_forward"]),
        "hidden_dropout_prob": core["dropout"],
        "attention_probs_dropout_prob": core["dropout"],
        "max_position_embeddings": core["context"],
        "type_vocab_size": 2,
        "layer_norm_eps": core["epsilon"],
        "position_embedding_type": "absolute",
    }
    wanted = bert_options(config) | {
        "feed_width": core["feed_width"],
        "query_key_norm": False,
        "scale_embedding": False,
    }
    allowed: dict[str, tuple[Any, ...]] = {
        "window": (0, core["context"]),
        "kv_heads": (0, core["heads"]),
        "input_width": (0, core["width"]),
    }
    allowed |= {"cross_attention": (False,), **{name: (value,) for name, value in wanted.items()}}
    for name, values in allowed.items():
        if core[name] not in values:
            raise ConfigError(
                f"core.{name} is {core[name]!r}, and BERT's is {values[-1]!r}: it cannot be written as one",
                hint="the options that make a transformer BERT are in docs/recipes.md",
            )
    return config


def bert_to_hf(ours: Weights) -> dict[str, Tensor]:
    """The weights of a BertModel from those of a model around our transformer; the head is not among them."""
    places = ours["core.positions.weight"]
    theirs = {
        "bert.embeddings.word_embeddings.weight": ours["embedding.weight"],
        "bert.embeddings.position_embeddings.weight": places,
        "bert.embeddings.token_type_embeddings.weight": places.new_zeros(2, places.shape[1]),
    }
    for end in ENDS:
        theirs[f"bert.embeddings.LayerNorm.{end}"] = ours[f"core.embedding_norm.{end}"]
        for number in range(count_layers(ours, "core.layers.")):
            for our, names in BERT.items():
                parts = ours[f"core.layers.{number}.{our}.{end}"].chunk(len(names))
                for name, part in zip(names, parts, strict=True):
                    theirs[f"bert.encoder.layer.{number}.{name}.{end}"] = part
    return theirs


def masked_head_to_hf(ours: Weights) -> dict[str, Tensor]:
    """The head of a BertForMaskedLM from ours, a categorical one with a transform."""
    dense, norm, output = BERT_HEAD
    moved = {"dense": dense, "norm": norm}
    theirs = {f"{their}.{end}": ours[f"head.transform.{our}.{end}"] for our, their in moved.items() for end in ENDS}
    bias = ours["head.bias"]
    return theirs | {
        f"{output}.decoder.weight": ours["head.weight"],
        f"{output}.decoder.bias": bias,
        f"{output}.bias": bias,
    }


def transform_of(ours: Weights, core: Mapping[str, Any]) -> str:
    """The `model.transform` of converted weights: that of their core's activation, or "none" without a head."""
    same = core["epsilon"] == Transform.EPSILON
    return core["feed_forward"] if "head.transform.dense.weight" in ours and same else "none"
