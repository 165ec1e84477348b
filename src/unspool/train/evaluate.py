"""How well a model predicts a whole set, every position once."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.models.sequence import SequenceModel
from unspool.nn.part import State, resting
from unspool.train.precision import PrecisionName, autocast


@dataclass(frozen=True)
class Score:
    """The mean loss over a whole set, and the means of whatever else was marked."""

    loss: float  # nats per counted position
    positions: int
    marks: dict[str, float] = field(default_factory=dict)


@torch.no_grad()
def evaluate(
    model: SequenceModel,
    batches: Batches,
    device: str = "cpu",
    precision: PrecisionName = "float32",
    mark: Callable[[Tensor, Batch], dict[str, tuple[float, float]]] | None = None,
) -> Score:
    """The mean loss over one epoch of batches, the state carried where a batch `carries_state`.

    `mark` is shown all predictions (B, T, V) of each batch and answers with sums, and over how many.
    """
    total, positions = 0.0, 0
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    state: State | None = None
    with resting(model):
        for number in range(batches.epoch):
            batch = batches[number].to(device)
            with autocast(device, precision):
                y, state = model.read(batch, state if batch.carries_state else None)
                loss = model.head.loss(y, batch.targets, batch.loss_mask)
                marked = mark(model.head(y), batch) if mark else {}
            for name, (amount, over) in marked.items():
                sums[name][0] += amount
                sums[name][1] += over
            total += loss.item() * batch.positions
            positions += batch.positions
    marks = {name: amount / max(1, over) for name, (amount, over) in sums.items()}
    return Score(total / max(1, positions), positions, marks)
