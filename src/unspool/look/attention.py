"""Where a model looks, and what it loses when it must not."""

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
class Sighting:
    """How the weights of one part that looks are spread, (B, K, T, S): rows sum to 1. K is the number of heads."""

    place: str
    weights: Tensor
    attends_to_source: bool  # or else what is read itself
    in_encoder: bool  # which reads the source


@torch.no_grad()
def sights(model: SequenceModel, batch: Batch) -> list[Sighting]:
    """Where every part of a model looks while it reads a batch, in the order of its parts; empty for one that has none.

    The batch is read in one go, so it should fit into the model's context.
    """
    batch = batch.to(model.device)
    with eval_mode(model), watch(model, keep="*.weights") as trace:
        model.hidden_states_of(batch)
    found = []
    for path, part in model.named_modules():
        seen = trace.get(f"{path}.weights")
        if seen and isinstance(part, Attention | Heads):
            weights = seen[0] if seen[0].dim() == 4 else torch.stack(seen, dim=1).unsqueeze(1)
            found.append(Sighting(path, weights, part.attends_to_source, path.startswith("encoder.")))
    return found


def looks(model: SequenceModel, batch: Batch) -> list[Tensor]:
    """The weights of each part that looks at a source: (B, K, T, S), rows that sum to 1."""
    return [sight.weights for sight in sights(model, batch) if sight.attends_to_source]


@torch.no_grad()
def loss_without_heads(
    model: SequenceModel, batch: Batch, progress: Callable[[int, int], None] | None = None
) -> tuple[float, dict[str, list[float]]]:
    """The loss on a batch, and by how many nats it rises without one head, for every head of each part that has some.

    What the others make up for does not show (Michel et al. 2019, arXiv:1905.10650).
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
