"""How well a model predicts a whole set, every position once."""

from dataclasses import dataclass

import torch

from unspool.batch import Batches
from unspool.models.sequence import SequenceModel
from unspool.nn.part import State
from unspool.train.precision import PrecisionName, autocast


@dataclass(frozen=True)
class Score:
    """The mean loss over a whole set."""

    loss: float  # nats per counted position
    positions: int


@torch.no_grad()
def evaluate(
    model: SequenceModel, batches: Batches, device: str = "cpu", precision: PrecisionName = "float32"
) -> Score:
    """The mean loss over one epoch of batches, the state carried where a batch `continues`."""
    was_training = model.training
    model.eval()
    total, positions = 0.0, 0
    state: State | None = None
    for number in range(batches.epoch):
        batch = batches[number].to(device)
        with autocast(device, precision):
            loss, state = model.loss(batch, state if batch.continues else None)
        total += loss.item() * batch.positions
        positions += batch.positions
    model.train(was_training)
    return Score(total / max(1, positions), positions)
