"""Weights in Hugging Face's names and shapes, and in ours: pure functions on state dicts, per architecture.

Each `*_options` reads a `config.json` and says which core has the same equations; `*_from_hf` gives the weights of a
`SequenceModel` around it; `*_to_hf` undoes that.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from unspool.errors import ConfigError

Weights = Mapping[str, Tensor]


def gpt2_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The core of a GPT-2 (Radford et al. 2019), for `cores.build`.

    >>> gpt2_options({"n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16})["context"]
    16
    """
    activations = {"gelu_new": "gelu-tanh", "gelu_pytorch_tanh": "gelu-tanh", "gelu": "gelu", "relu": "relu"}
    return {
        "kind": "transformer",
        "width": config["n_embd"],
        "layers": config["n_layer"],
        "heads": config["n_head"],
        "context": config["n_positions"],
        "positions": "learned",
        "norm": "layer",
        "feed_forward": known(activations, config.get("activation_function", "gelu_new"), "activation_function"),
        "feed_width": config.get("n_inner") or 0,
        "bias": True,
        "epsilon": config.get("layer_norm_epsilon", 1e-5),
    }


def llama_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The core of a Llama (Touvron et al. 2023, arXiv:2302.13971), for `cores.build`.

    Raises: ConfigError where the model is not quite a Llama.
    """
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    known({"default": "rotary"}, kind, "rope_type")
    known({None: "", config["hidden_size"] // config["num_attention_heads"]: ""}, config.get("head_dim"), "head_dim")
    known({False: ""}, bool(config.get("attention_bias") or config.get("mlp_bias")), "attention_bias or mlp_bias")
    return {
        "kind": "transformer",
        "width": config["hidden_size"],
        "layers": config["num_hidden_layers"],
        "heads": config["num_attention_heads"],
        "kv_heads": config.get("num_key_value_heads") or 0,
        "context": config["max_position_embeddings"],
        "positions": "rotary",
        "rotary_base": rope.get("rope_theta", config.get("rope_theta", 10_000.0)),
        "norm": "rms",
        "feed_forward": known({"silu": "swiglu"}, config.get("hidden_act", "silu"), "hidden_act"),
        "feed_width": config["intermediate_size"],
        "bias": False,
        "epsilon": config.get("rms_norm_eps", 1e-6),
    }


def known(ours: Mapping[Any, str], theirs: Any, key: str) -> str:
    """Our name for a value of a `config.json`.

    Args:
        ours: our names by theirs.
        theirs: the value.
        key: where it stands.

    Raises: ConfigError for a value that has no counterpart here.

    >>> known({"silu": "swiglu"}, "silu", "hidden_act")
    'swiglu'
    """
    if theirs not in ours:
        known = ", ".join(str(name) for name in ours)
        raise ConfigError(f"the model's {key} is {theirs!r}, which has no counterpart here", hint=f"known: {known}")
    return ours[theirs]


GPT2 = {
    "attention_norm.weight": "ln_1.weight",
    "attention_norm.bias": "ln_1.bias",
    "attention.read.weight": "attn.c_attn.weight",
    "attention.read.bias": "attn.c_attn.bias",
    "attention.output.weight": "attn.c_proj.weight",
    "attention.output.bias": "attn.c_proj.bias",
    "feed_forward_norm.weight": "ln_2.weight",
    "feed_forward_norm.bias": "ln_2.bias",
    "feed_forward.up.weight": "mlp.c_fc.weight",
    "feed_forward.up.bias": "mlp.c_fc.bias",
    "feed_forward.down.weight": "mlp.c_proj.weight",
    "feed_forward.down.bias": "mlp.c_proj.bias",
}
"""One block of GPT-2: our names and theirs. Their matrices lie the other way round."""


def gpt2_from_hf(theirs: Weights) -> dict[str, Tensor]:
    """Our weights from a GPT2LMHeadModel's."""
    embedding = theirs["transformer.wte.weight"]
    ours = {
        "embedding.weight": embedding,
        "core.positions.weight": theirs["transformer.wpe.weight"],
        "core.norm.weight": theirs["transformer.ln_f.weight"],
        "core.norm.bias": theirs["transformer.ln_f.bias"],
        **_head(theirs, embedding),
    }
    for number in range(count_layers(theirs, "transformer.h.")):
        for our, their in GPT2.items():
            ours[f"core.layers.{number}.{our}"] = _turned(their, theirs[f"transformer.h.{number}.{their}"])
    return ours


def gpt2_to_hf(ours: Weights) -> dict[str, Tensor]:
    """A GPT2LMHeadModel's weights from ours. Raises: ConfigError where the head has a bias, which theirs has not."""
    theirs = {
        "transformer.wte.weight": ours["embedding.weight"],
        "transformer.wpe.weight": ours["core.positions.weight"],
        "transformer.ln_f.weight": ours["core.norm.weight"],
        "transformer.ln_f.bias": ours["core.norm.bias"],
        "lm_head.weight": _without_bias(ours),
    }
    for number in range(count_layers(ours, "core.layers.")):
        for our, their in GPT2.items():
            theirs[f"transformer.h.{number}.{their}"] = _turned(their, ours[f"core.layers.{number}.{our}"])
    return theirs


def _turned(their_name: str, weight: Tensor) -> Tensor:
    return weight.T.contiguous() if "c_" in their_name and weight.dim() == 2 else weight


LLAMA = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.read.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.output.weight": ("self_attn.o_proj.weight",),
    "feed_forward_norm.weight": ("post_attention_layernorm.weight",),
    "feed_forward.up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "feed_forward.down.weight": ("mlp.down_proj.weight",),
}
"""One block of Llama: our names, and theirs, which stand one upon the other in ours."""


def llama_from_hf(theirs: Weights) -> dict[str, Tensor]:
    """Our weights from a LlamaForCausalLM's."""
    embedding = theirs["model.embed_tokens.weight"]
    ours = {
        "embedding.weight": embedding,
        "core.norm.weight": theirs["model.norm.weight"],
        **_head(theirs, embedding),
    }
    for number in range(count_layers(theirs, "model.layers.")):
        for our, names in LLAMA.items():
            ours[f"core.layers.{number}.{our}"] = torch.cat([theirs[f"model.layers.{number}.{name}"] for name in names])
    return ours


def llama_to_hf(ours: Weights) -> dict[str, Tensor]:
    """A LlamaForCausalLM's weights from ours. Raises: ConfigError where the head has a bias."""
    theirs = {
        "model.embed_tokens.weight": ours["embedding.weight"],
        "model.norm.weight": ours["core.norm.weight"],
        "lm_head.weight": _without_bias(ours),
    }
    for number in range(count_layers(ours, "core.layers.")):
        for our, names in LLAMA.items():
            weight = ours[f"core.layers.{number}.{our}"]
            first = weight.shape[-1] if len(names) == 3 else len(weight) // len(names)  # queries: the model's width
            rest = (len(weight) - first) // max(1, len(names) - 1)
            for name, part in zip(names, weight.split([first, *[rest] * (len(names) - 1)]), strict=True):
                theirs[f"model.layers.{number}.{name}"] = part.contiguous()
    return theirs


def count_layers(weights: Weights, prefix: str) -> int:
    """How many layers have weights under a prefix.

    >>> count_layers({"h.0.weight": torch.zeros(1), "h.0.bias": torch.zeros(1)}, "h.")
    1
    """
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def _head(theirs: Weights, embedding: Tensor) -> dict[str, Tensor]:
    """Our head: theirs, or the embedding where the two are tied; they have no bias."""
    return {
        "head.weight": theirs.get("lm_head.weight", embedding),
        "head.bias": embedding.new_zeros(len(embedding)),
    }


def _without_bias(ours: Weights) -> Tensor:
    if bool(ours["head.bias"].any()):
        raise ConfigError("the head has a bias, and Hugging Face's has none", hint="train with a head without a bias")
    return ours["head.weight"]


Convert = Callable[[Weights], dict[str, Tensor]]
FROM_HF: dict[str, tuple[Callable[[Mapping[str, Any]], dict[str, Any]], Convert]] = {
    "gpt2": (gpt2_options, gpt2_from_hf),
    "llama": (llama_options, llama_from_hf),
}
"""By the `model_type` of a `config.json`: which core, and its weights."""
