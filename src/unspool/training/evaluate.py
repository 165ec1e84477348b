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
class EvalResult:
    """The mean loss over a whole set.

    Args:
        loss: nats (or half squared errors) per counted position.
        positions: how many were counted.

    >>> EvalResult(loss=1.5, positions=200).loss
    1.5
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
) -> EvalResult:
    """The mean loss over one epoch of batches; the state is carried where a batch `carries_state`.

    Args:
        model: on `device`.
        batches: one epoch of them is evaluated.
        device: where the batches are moved to.
        precision: of matrix products: "float32" or "bfloat16".
        metrics: each is shown the model's output (B, T, V) and the batch.

    Returns:
        The mean loss, and the number of positions that it was taken over.

    Raises:
        TrainingError: where the loss is not finite.

    >>> from unspool import Tokens, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=8)
    >>> model = SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8))
    >>> from unspool.data.batching.contiguous import ContiguousEval
    >>> evaluate(model, ContiguousEval(torch.arange(9) % 5, batch_size=2, length=4)).positions
    8
    """
    total, positions = 0.0, 0
    state: CoreState | None = None
    with eval_mode(model):
        for number in range(batches.epoch):
            batch = batches[number].to(device)
            with autocast(device, precision):
                y, state = model.hidden_states_of(batch, state if batch.carries_state else None)
                loss = model.head.loss(y, batch.targets, batch.loss_mask, batch.mask)
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
    return EvalResult(total / max(1, positions), positions)


def evaluate_set(
    model: SequenceModel, evaluated: EvalSet, device: str = "cpu", precision: PrecisionName = "float32"
) -> tuple[dict[str, float], list[Metric]]:
    """The values of an evaluation set by name: its loss, what follows from it, and its metrics, which come back too."""
    metrics = [make() for make in evaluated.metrics]
    score = evaluate(model, evaluated.batches, device, precision, metrics)
    values = {"loss": score.loss, **evaluated.derived(score.loss)}
    for metric in metrics:
        values |= {name: value for name, value in metric.compute().items() if value is not None}
    return values, metrics
