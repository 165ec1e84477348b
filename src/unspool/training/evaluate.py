"""Evaluation of a model over a whole set, each position once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import torch

from unspool.batch import Batches
from unspool.errors import TrainingError
from unspool.metrics.metric import EvalSet, Metric
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, eval_mode
from unspool.training.precision import PrecisionName, autocast


@dataclass(frozen=True)
class Score:
    """The mean loss over a whole set.

    Args:
        loss: nats (or half squared errors) per counted position.
        positions: how many were counted.
    """

    loss: float
    positions: int


@torch.no_grad()
def evaluate(
    model: SequenceModel,
    batches: Batches,
    device: str = "cpu",
    precision: PrecisionName = "float32",
    metrics: Sequence[Metric] = (),
) -> Score:
    """The mean loss over one epoch of batches, the state carried where a batch says so.

    Args:
        model: moved to no device: it must be on `device`.
        batches: one epoch of them is evaluated.
        device: where the batches are moved to.
        precision: of matrix products.
        metrics: each is shown the model's output (B, T, V) and the batch.

    Raises:
        TrainingError: where the loss is not finite.
    """
    total, positions = 0.0, 0
    state: CoreState | None = None
    with eval_mode(model):
        for number in range(batches.epoch):
            batch = batches[number].to(device)
            with autocast(device, precision):
                y, state = model.hidden_states_of(batch, state if batch.carries_state else None)
                loss = model.head.loss(y, batch.targets, batch.loss_mask)
                output = model.head(y) if metrics else None
            for metric in metrics:
                metric.update(output, batch)
            total += loss.item() * batch.positions
            positions += batch.positions
    if not isfinite(total):
        raise TrainingError(
            f"the model has diverged: its loss is {total / positions}",
            hint="use an earlier one of its checkpoints/step-N, or train again with a lower train.learning_rate",
        )
    return Score(total / max(1, positions), positions)


def evaluate_set(
    model: SequenceModel, evaluated: EvalSet, device: str = "cpu", precision: PrecisionName = "float32"
) -> tuple[dict[str, float], list[Metric]]:
    """The values of an evaluation set by name: its loss, what follows from it, and its metrics, which come back too."""
    metrics = [make() for make in evaluated.metrics]
    score = evaluate(model, evaluated.batches, device, precision, metrics)
    values = {"loss": score.loss, **evaluated.derived(score.loss)}
    for metric in metrics:
        values |= metric.compute()
    return values, metrics
