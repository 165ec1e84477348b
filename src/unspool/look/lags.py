"""Gradients through time: how much of what a model says now hangs on what it read, or held, so many ticks ago."""

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.batch import Batch
from unspool.data.probe import everywhere, select_positions
from unspool.errors import DataError
from unspool.look.record import by_time
from unspool.look.watch import watch
from unspool.models.sequence import SequenceModel
from unspool.nn.part import eval_mode
from unspool.schema import Count


def windows(batch: Batch, lags: Count, rows: Count = 16) -> Batch:
    """Rows of `lags` + 1 positions, evenly spaced over a single long row; a batch of several rows stays as it is.

    >>> ids = torch.arange(10).unsqueeze(0)
    >>> windows(Batch(ids, ids, ids >= 0), lags=3, rows=2).inputs.tolist()
    [[0, 1, 2, 3], [6, 7, 8, 9]]
    """
    length = batch.inputs.shape[1]
    if len(batch.inputs) > 1 or batch.source is not None or length <= lags + 1:
        return batch
    starts = torch.linspace(0, length - lags - 1, min(rows, length - lags)).long().unsqueeze(1)
    return select_positions(batch, (torch.zeros_like(starts), starts + torch.arange(lags + 1)))


def gradient_by_lag(model: SequenceModel, batch: Batch, place: str = "inputs") -> Float[Tensor, " K"]:
    """The norm of d loss_t / d value_{t-k} for k = 0, 1, ...; t is the last position of a row that counts.

    The mean over the rows that reach so far back; rows in which nothing counts are left out. `place` is what is
    watched: "inputs", what comes out of the embedding, which every model has; or a tick's state,
    "core.layers.0.0.hidden" say. For an Elman net it fades or grows with the eigenvalues of the recurrent matrix, for
    an LSTM's memory with the forget gate (Bengio et al. 1994; Pascanu et al. 2013, arXiv:1211.5063). Errors: DataError
    where no position has a target, or nothing was recorded at `place`.
    """
    asked = batch.loss_mask.any(dim=1).nonzero()  # (rows, 1)
    if not len(asked):
        raise DataError(
            "no position of these rows has a target, so there is no loss to differentiate",
            hint="give a longer text, or none: then the run reads its own data",
        )
    batch = select_positions(batch, (asked, torch.arange(batch.loss_mask.shape[1]).unsqueeze(0))).to(model.device)
    at = (batch.loss_mask * torch.arange(batch.loss_mask.shape[1], device=batch.loss_mask.device)).amax(dim=1)  # (B)
    loss_mask = torch.zeros_like(batch.loss_mask).scatter_(1, at.unsqueeze(1), True)
    leaves = {"inputs": lambda values: values.detach().requires_grad_()}
    with torch.enable_grad(), eval_mode(model), watch(model, keep=place, edits=leaves) as trace:
        y, _ = model.hidden_states_of(batch)
        loss = model.head.loss(y, batch.targets, loss_mask, batch.mask) * len(at)  # the mean over rows, undone
        found = trace[place]
        if not found:
            raise DataError(f"nothing was shown at {place}", hint="`watch(model)` collects all places")
        gradients = torch.autograd.grad(loss, found, allow_unused=True)
    whole = [torch.zeros_like(v) if g is None else g for g, v in zip(gradients, found, strict=True)]
    ways = by_time(model, place, whole, batch)
    if ways is None:
        raise DataError(f"what is shown at {place} is no row of units at each time", hint='place="inputs"')
    return _by_lag(ways.float().norm(dim=-1).cpu(), at.cpu(), everywhere(batch.inputs, batch.mask).cpu())


def _by_lag(norms: Tensor, at: Tensor, there: Tensor) -> Tensor:
    """Norms (B, T) by the distance from each row's own position `at` (B): the mean over the rows that reach so far."""
    longest = int((at - there.long().argmax(dim=1)).max()) + 1
    columns = at.unsqueeze(1) - torch.arange(longest)  # (B, K)
    reached = (columns >= 0) & there.gather(1, columns.clamp(min=0))
    return (norms.gather(1, columns.clamp(min=0)) * reached).sum(dim=0) / reached.sum(dim=0)
