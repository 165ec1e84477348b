"""The attention weights of a model, and the change of the loss without each head."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.look.edits import without
from unspool.look.watch import watch
from unspool.models.sequence import SequenceModel
from unspool.nn.attention import Attention, Heads
from unspool.nn.part import eval_mode


@dataclass(frozen=True)
class AttentionMap:
    """The weights (B, K, T, S) of one attention layer with K heads; rows sum to 1."""

    place: str
    weights: Tensor
    attends_to_source: bool  # cross-attention, or else self-attention
    in_encoder: bool


@torch.no_grad()
def attention_maps(model: SequenceModel, batch: Batch) -> list[AttentionMap]:
    """The weights of every attention layer of a model while it reads a batch, in the order of its modules.

    The batch is read at once, so it must fit into the model's context.
    """
    batch = batch.to(model.device)
    with eval_mode(model), watch(model, keep="*.weights") as trace:
        model.hidden_states_of(batch)
    found = []
    for path, part in model.named_modules():
        values = trace.get(f"{path}.weights")
        if values and isinstance(part, Attention | Heads):
            weights = values[0] if values[0].dim() == 4 else torch.stack(values, dim=1).unsqueeze(1)
            found.append(AttentionMap(path, weights, part.attends_to_source, path.startswith("encoder.")))
    return found


def cross_attention(model: SequenceModel, batch: Batch) -> list[Tensor]:
    """The weights (B, K, T, S) of each layer that attends to a source."""
    return [one.weights for one in attention_maps(model, batch) if one.attends_to_source]


@torch.no_grad()
def loss_without_heads(
    model: SequenceModel, batch: Batch, progress: Callable[[int, int], None] | None = None
) -> tuple[float, dict[str, list[float]]]:
    """The loss on a batch, and its change in nats without each single head, by the path of the attention layer.

    What other heads make up for does not show (Michel et al. 2019, arXiv:1905.10650).
    """
    batch = batch.to(model.device)
    parts = {path: part for path, part in model.named_modules() if isinstance(part, Heads)}
    heads = [(path, head) for path, part in parts.items() for head in range(part.heads)]
    found: dict[str, list[float]] = {path: [] for path in parts}
    with eval_mode(model):
        with watch(model, keep=False):
            whole = float(model.loss(batch)[0])
        for done, (path, head) in enumerate(heads, start=1):
            with watch(model, keep=False, edits={f"{path}.weights": without([head])}):
                found[path].append(float(model.loss(batch)[0]) - whole)
            if progress is not None:
                progress(done, len(heads))
    return whole, found
