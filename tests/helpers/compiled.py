"""Small models that the compiled loop runs, one for every instruction that it has."""

from itertools import islice

import torch

from helpers.models import small
from unspool.batch import Tokens
from unspool.models.sequence import SequenceModel

LETTERS = Tokens(29)
COMPILED = {
    "elman": {"core": "recurrent", "cell": "elman", "width": 19},
    "elman, relu": {"core": "recurrent", "cell": {"kind": "elman", "activation": "relu", "initial": "identity"}},
    "lstm": {"core": "recurrent", "cell": "lstm", "width": 33, "input_width": 12},
    "lstm, residual": {"core": "recurrent", "cell": "lstm", "width": 24, "layers": 3, "residual": True},
    "lstm, two biases": {"core": "recurrent", "cell": {"kind": "lstm", "biases": 2}, "width": 16, "layers": 2},
    "gru": {"core": "recurrent", "cell": "gru", "width": 40, "layers": 2},
    "mingru": {"core": "recurrent", "cell": "mingru", "width": 16},
    "blocks of mingru": {"core": "blocks", "cell": "mingru", "width": 32},
    "blocks of minlstm": {"core": "blocks", "cell": "minlstm", "convolution": 0, "feed_forward": "swiglu", "width": 16},
    "blocks of rglru": {"core": "blocks", "cell": "rglru", "feed_forward": "gelu", "expand": 2, "width": 16},
    "blocks, no network": {"core": "blocks", "cell": "lstm", "feed_forward": "none", "input_width": 8, "width": 24},
    "gpt-2": {"core": "transformer", "positions": "learned", "norm": "layer", "feed_forward": "gelu-tanh", "bias": True,
              "context": 24, "layers": 2, "heads": 2, "width": 32},
    "llama": {"core": "transformer", "kv_heads": 2, "heads": 4, "layers": 2, "context": 20, "width": 40},
    "llama, window": {"core": "transformer", "heads": 2, "layers": 2, "context": 32, "window": 9, "width": 24,
                      "query_key_norm": True, "input_width": 12},
    "llama, narrow": {"core": "transformer", "heads": 2, "layers": 2, "context": 12, "width": 20},
    "alibi": {"core": "transformer", "positions": "alibi", "heads": 3, "layers": 1, "context": 16, "width": 24},
    "2017": {"core": "transformer", "positions": "sinusoidal", "norm": "layer", "post_norm": True, "layers": 2,
             "feed_forward": "relu", "bias": True, "scale_embedding": True, "context": 24, "heads": 2, "width": 16},
    "bert's order": {"core": "transformer", "positions": "learned", "norm": "layer", "post_norm": True, "bias": True,
                     "feed_forward": "gelu", "embedding_norm": True, "epsilon": 1e-12, "context": 24, "width": 16,
                     "layers": 1, "heads": 2},
}  # fmt: skip
NOT_COMPILED = {
    "ssd": {"core": "recurrent", "cell": "ssd"},
    "both ways": {"core": "recurrent", "bidirectional": True},
    "window": {"core": "window-mlp"},
}


def model_of(options: dict[str, object], seed: int = 0) -> SequenceModel:
    """The model of a case, with logits that are not all alike."""
    model = small(**{"width": 16, **options}, inputs=LETTERS, seed=seed)  # type: ignore[arg-type]
    model.head.weight.data.mul_(8)
    return model


def written(steps, number):
    """The ids (B, n) of the next steps, and their log-probabilities (n, B)."""
    made = list(islice(steps, number))
    return torch.cat([step.ids for step in made], dim=1), torch.stack([step.log_probability for step in made])


def written_in_blocks(steps, number, begin):
    """The ids of a generation that takes back some of every block, checked against its position on the way."""
    made = []
    while len(made) < number:
        ids = steps.ids(number - len(made), undo=True)
        back = min(3, len(ids) - 1)
        steps.drop(back)
        made += ids[: len(ids) - back]
        assert steps.position == begin + len(made) == steps.state.position
    return made
