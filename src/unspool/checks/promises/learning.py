"""Checks of losses and gradients: neither padding nor watching nor the kernel changes what is learned.

Each check returns the largest difference between two things that should be equal.
"""

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from unspool.batch import Batch
from unspool.checks.cases import ROWS, TIME, Case
from unspool.checks.promises.differences import furthest, largest
from unspool.checks.promises.states import LONG
from unspool.look.watch import watch
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import Cell
from unspool.nn.part import CoreState, Part, detach, fork, select, tensors
from unspool.nn.unroll import unroll
from unspool.training.precision import autocast
from unspool.training.trainer import Trainer


def padding_is_nothing(case: Case) -> float:
    """A row alone = the same row padded right, left or in between, beside an empty row, at once or step by step.

    It holds from the initial and from a later state, for outputs, states, the loss and its gradients, without NaN.
    """
    model, mask = case.model(), _masks(case.device)
    ids = case.ids(rows=len(mask))
    batch, worst = case.batch(ids, mask, mask), _noise(model, mask)
    with torch.no_grad():
        _, later = model(case.ids(rows=len(mask), time=4, seed=9), case.start(model, ids))
    following = case.ids(rows=1, time=2, seed=5)  # the state shows in the outputs that follow
    for began in (None, later):
        together, (padded,), (last,) = _learned(model, [(batch, began)])
        if not all(bool(value.isfinite().all()) for value in (padded, *(s for _, s in tensors(last)))):
            raise ValueError("the outputs beside padding are not finite")
        if case.streams:
            ticked, end = _ticked(model, ids, fork(began or case.start(model, ids)), mask)
            worst = largest(worst, furthest(ticked[mask], padded[mask]), furthest(end, last))
        rows = [row for row, there in enumerate(mask) if there.any()]
        singles = [(_alone(case, batch, row), began and _row(began, row)) for row in rows]
        alone, outputs, states = _learned(model, singles)
        worst = largest(worst, furthest(together, alone))
        worst = largest(worst, *(furthest(y[0], padded[row, mask[row]]) for row, y in zip(rows, outputs, strict=True)))
        ends = dict(zip(rows, states, strict=True))
        for row in range(len(mask)):  # an empty row keeps its state
            end = ends.get(row, began and _row(began, row)) or case.start(model, following, [row])
            with torch.no_grad():
                worst = largest(worst, furthest(*(model(following, state)[0] for state in (end, _row(last, row)))))
    return worst


@torch.no_grad()
def _ticked(model: SequenceModel, ids: Tensor, state: CoreState, mask: Tensor) -> tuple[Tensor, CoreState]:
    outputs = []
    for one, there in zip(ids.split(1, dim=1), mask.split(1, dim=1), strict=True):
        y, state = model.hidden_states(one, state, there)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def _alone(case: Case, batch: Batch, row: int) -> Batch:
    there = batch.loss_mask[row]
    ids, targets = (value[row : row + 1, there] for value in (batch.inputs, batch.targets))
    return replace(case.batch(ids, **case.source_of([row])), targets=targets)


def _masks(device: str) -> Tensor:
    lengths = torch.tensor([TIME, 4, 0, 1])[:, None]
    right = torch.arange(TIME) < lengths
    holes = torch.rand(4, TIME, generator=torch.Generator().manual_seed(3)) < 0.5
    return torch.cat([right, right.flip(1), holes]).to(device)


def _row(state: CoreState, row: int) -> CoreState:
    return select(state, torch.tensor([row], device=next(tensors(state))[1].device))


def _noise(model: SequenceModel, mask: Tensor) -> float:
    """The largest output of a cell at padded positions."""
    worst = 0.0
    for cell in (module for module in model.modules() if isinstance(module, Cell)):
        x = torch.randn(*mask.shape, cell.input_size, generator=torch.Generator().manual_seed(8)).to(mask.device)
        y, _ = unroll(cell, x, cell.start(x), mask)
        worst = largest(worst, furthest(y[~mask], torch.zeros_like(y[~mask])))
    return worst


def fast_equals_readable(case: Case) -> float:
    """The fused kernel = the plain loop: losses, last states and gradients, also those into the chunk before.

    From the initial and from a later state, with padding and without, and for a long text.
    """
    model, worst, mask = case.model(), 0.0, _masks(case.device)
    short, long = case.ids(rows=len(mask)), case.ids(rows=2, time=_long(case) - 4)
    for ids, there, goes_on in ((short, None, False), (short, mask, True), (long, None, True)):
        ways = []
        for watched in (False, True):
            with watch(model, keep=False) if watched else nullcontext():
                state = case.start(model, ids)
                if goes_on:
                    _, state = model(case.ids(rows=len(ids), time=4, seed=9), state)
                ways.append(_learned(model, [(case.batch(ids, there, there), state)]))
        worst = largest(worst, *(furthest(*both) for both in zip(*ways, strict=True)))
    return worst


def watching_changes_nothing(case: Case) -> float:
    """The same outputs with a watcher, without, and after it; it is called, and is removed even after an error."""
    model, ids = case.model(), case.ids()
    with torch.no_grad():
        unseen, _ = model(ids, case.start(model, ids))
        with watch(model) as trace:
            seen, _ = model(ids, case.start(model, ids))
        try:
            with watch(model):
                raise InterruptedError
        except InterruptedError:
            after, _ = model(ids, case.start(model, ids))
    inside = [name for name in trace if name.startswith("core")]
    if not inside:
        raise ValueError("nothing in the core is tapped")
    if any(part.watcher for part in model.modules() if isinstance(part, Part)):
        raise ValueError("the watcher is still there")
    return largest(furthest(unseen, seen), furthest(unseen, after))


def gradients_are_true(case: Case) -> float:
    """Back-propagation = finite differences along a random direction for every weight, in float64."""
    model = case.model(torch.float64 if case.device != "mps" else torch.float32)
    ids, step = case.ids(), 1e-6
    batch = case.batch(ids, **case.source_of(range(ROWS), torch.float64))
    with watch(model, keep=False):  # the plain code: kernels do not all know float64
        model.loss(batch)[0].backward()
        worst = 0.0
        for parameter in model.parameters():
            direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
            direction = (direction / direction.norm()).to(parameter)
            losses = []
            with torch.no_grad():
                for sign in (1, -1):
                    parameter.add_(direction, alpha=sign * step)
                    losses.append(model.loss(batch)[0].double())
                    parameter.sub_(direction, alpha=sign * step)
            grad = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
            worst = largest(worst, abs(float((losses[0] - losses[1]) / (2 * step) - (grad * direction).sum())))
    return worst


def every_weight_learns(case: Case) -> float:
    """How many weights get no gradient from the loss: none."""
    model, ids = case.model(), case.ids()
    model.loss(case.batch(ids))[0].backward()
    return float(sum(p.grad is None or not bool(p.grad.any()) for p in model.parameters()))


class _Repeat:
    """The same batch again and again, with the state carried."""

    epoch = 0

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __getitem__(self, number: int) -> Batch:
        return Batch(**{**self.batch.__dict__, "carries_state": number > 0 and self.batch.carries_state})


def parts_equal_the_whole(case: Case) -> float:
    """Two steps on a whole batch = on three accumulated parts of it, whose loss masks have different sizes."""
    ids = case.ids(rows=7)
    loss_mask = torch.rand(ids.shape, generator=torch.Generator().manual_seed(7)).to(ids.device) < 0.6
    after = []
    for accumulate in (1, 3):
        model = case.model()
        batch = case.batch(ids, loss_mask, carries_state=case.streams)
        trainer = Trainer(
            model, _Repeat(batch), steps=2, optimizer="sgd", schedule="constant", warmup=0.0, accumulate=accumulate,
            learning_rate=0.1, device=case.device,
        )  # fmt: skip
        list(trainer)
        after.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    return furthest(*after)


@torch.no_grad()
def devices_agree(case: Case) -> float:
    """This device and the CPU: the same outputs."""
    if case.device == "cpu":
        return 0.0
    outputs = []
    for one in (case, replace(case, device="cpu")):
        model, ids = one.model(), one.ids()
        outputs.append(model(ids, one.start(model, ids))[0].cpu())
    return furthest(*outputs)


def large_numbers_stay_numbers(case: Case) -> float:
    """How many losses, gradients and outputs are not finite where inputs are a thousand times as large."""
    model, ids, worst = case.model(), case.ids(rows=1, time=_long(case) // 2), 0.0
    with torch.no_grad():
        next(model.embedding.parameters()).mul_(1000)
    for watched in (False, True):
        with watch(model, keep=False) if watched else nullcontext():
            learned, outputs, _ = _learned(model, [(case.batch(ids), case.start(model, ids))])
        worst += float(sum((~value.isfinite()).sum() for value in (learned, *outputs)))
    return worst


@torch.no_grad()
def half_precision_is_close(case: Case) -> float:
    """Matrix products in bfloat16 and in float32: how far the outputs differ, as a share of their size.

    With padding and without. The state keeps its precision.
    """
    model, worst, mask = case.model(), 0.0, _masks(case.device)
    for ids, there in ((case.ids(time=_long(case)), None), (case.ids(rows=len(mask)), mask)):
        counts = ... if there is None else there
        full, _ = model.hidden_states(ids, case.start(model, ids), there)
        for watched in (False, True):
            with autocast(case.device, "bfloat16"), watch(model, keep=False) if watched else nullcontext():
                began = case.start(model, ids)
                half, state = model.hidden_states(ids, began, there)
            if [s.dtype for _, s in tensors(state)] != [s.dtype for _, s in tensors(began)]:
                raise ValueError("under autocast the state changes its precision")
            worst = largest(worst, float((half - full)[counts].norm() / full[counts].norm()))
    return worst


def _learned(
    model: SequenceModel, batches: list[tuple[Batch, CoreState | None]]
) -> tuple[Tensor, CoreState, CoreState]:
    """The mean loss over all positions of all batches followed by its gradients, the outputs, and the last states."""
    model.zero_grad()
    number, total = sum(batch.positions for batch, _ in batches), torch.zeros(())
    outputs, states = [], []
    for batch, state in batches:
        state = state or model.start(batch.inputs, batch.source, batch.source_mask)
        loss, last = model.loss(batch, state)
        (loss * (batch.positions / number)).backward()
        total = total + loss.detach().cpu() * batch.positions / number
        with torch.no_grad():
            outputs.append(model.hidden_states(batch.inputs, state, batch.mask)[0])
        states.append(detach(last))
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
    return torch.cat([total.view(1), *(grad.flatten().cpu() for grad in grads)]), tuple(outputs), tuple(states)


def _long(case: Case) -> int:
    return min(LONG, case.core.max_length or LONG)
