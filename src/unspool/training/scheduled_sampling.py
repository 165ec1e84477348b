"""Learning from one's own words instead of the right ones."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, fork


def scheduled_sampling(model: SequenceModel, batch: Batch, state: CoreState | None, teacher_forcing: float) -> Batch:
    """The batch with some of the right words that are read replaced by what the model would have said there.

    Scheduled sampling (Bengio et al. 2015, arXiv:1506.03099) in two passes, so that no core has to go tick by tick
    (Mihaylova & Martins 2019, arXiv:1906.07651): the likeliest words behind the right ones stand in for a share of
    `1 - teacher_forcing` of them in the pass that is learned from.
    """
    with torch.no_grad():
        y, _ = model.read(batch, None if state is None else fork(state))
        said = model.head(y).argmax(dim=-1)
    replaced = answered(batch) & (torch.rand(batch.loss_mask[:, 1:].shape, device=said.device) >= teacher_forcing)
    inputs = batch.inputs.clone()
    inputs[:, 1:] = torch.where(replaced, said[:, :-1], inputs[:, 1:])
    return replace(batch, inputs=inputs)


def answered(batch: Batch) -> Bool[Tensor, "B _"]:
    """Which inputs, from the second on, are what was to be said one place before."""
    said = batch.loss_mask[:, :-1]
    return said if batch.mask is None else said & batch.mask[:, 1:]


def refuse_unanswered(batch: Batch) -> None:
    """Raise a ConfigError where what is read is not what was to be said before: there are no own words then."""
    same = batch.inputs.shape == batch.targets.shape and not batch.inputs.is_floating_point()
    if same:
        there = answered(batch)
        same = bool(there.any()) and torch.equal(batch.inputs[:, 1:][there], batch.targets[:, :-1][there])
    if not same:
        raise ConfigError(
            "train.teacher_forcing is for tasks that go on behind their own answers", hint="leave it at 1.0"
        )
