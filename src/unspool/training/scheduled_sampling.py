"""Scheduled sampling: training on the model's own predictions as inputs."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, fork


def scheduled_sampling(model: SequenceModel, batch: Batch, state: CoreState | None, teacher_forcing: float) -> Batch:
    """Replace some of the input tokens of a batch by the model's own predictions.

    Scheduled sampling (Bengio et al. 2015, arXiv:1506.03099) in two passes, so that no core has to run step by step
    (Mihaylova & Martins 2019, arXiv:1906.07651): a first pass with the right inputs predicts the likeliest tokens, and
    these replace a random share of the inputs of the second pass, which gives the gradient.

    Args:
        model: gives the predictions, without gradient.
        batch: its inputs are its own targets, shifted by one.
        state: the state before the batch; None: the initial state. It is not changed.
        teacher_forcing: the share of right tokens to keep, between 0 and 1.

    Returns:
        The batch with new inputs, (B, T).
    """
    with torch.no_grad():
        y, _ = model.hidden_states_of(batch, None if state is None else fork(state))
        predicted = model.head(y).argmax(dim=-1)
    replaced = answered(batch) & (torch.rand(batch.loss_mask[:, 1:].shape, device=predicted.device) >= teacher_forcing)
    inputs = batch.inputs.clone()
    inputs[:, 1:] = torch.where(replaced, predicted[:, :-1], inputs[:, 1:])
    return replace(batch, inputs=inputs)


def answered(batch: Batch) -> Bool[Tensor, "B _"]:
    """Which inputs, from the second on, are the target of the position before, (B, T - 1)."""
    has_target = batch.loss_mask[:, :-1]
    return has_target if batch.mask is None else has_target & batch.mask[:, 1:]


def refuse_unanswered(batch: Batch) -> None:
    """Check that the inputs of a batch are its targets, shifted by one.

    Raises:
        ConfigError: where they are not, as scheduled sampling has no predictions to insert then.
    """
    same = batch.inputs.shape == batch.targets.shape and not batch.inputs.is_floating_point()
    if same:
        there = answered(batch)
        same = bool(there.any()) and torch.equal(batch.inputs[:, 1:][there], batch.targets[:, :-1][there])
    if not same:
        raise ConfigError(
            "train.teacher_forcing needs a task whose inputs are its shifted targets", hint="leave it at 1.0"
        )
