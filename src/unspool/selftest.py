"""The promises, as checks that run on this machine: for everything registered, and for your own cell.

Each check answers with the largest difference it saw between two things that should be equal.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor, nn

from unspool.batch import Batch
from unspool.errors import UnspoolError
from unspool.generate.sampling import greedy, stream
from unspool.look.watch import watch
from unspool.nn.part import State, detach, fork, select, tensors
from unspool.subjects import ROWS, SIZE, TIME, Subject, subjects
from unspool.train.precision import autocast, usable
from unspool.train.trainer import Trainer


@dataclass(frozen=True)
class Result:
    """One promise, kept or broken by one subject."""

    subject: str
    promise: str
    difference: float
    tolerance: float
    problem: str = ""  # what went wrong, when it could not be measured

    @property
    def passed(self) -> bool:
        """Whether the promise is kept; a difference that is not a number never is."""
        return not self.problem and self.difference <= self.tolerance

    def told(self) -> str:
        """One line of the table."""
        mark = "pass" if self.passed else "FAIL"
        why = f"   {self.problem}" if self.problem else ""
        return f"{mark}  {self.subject:<24} {self.promise:<44} {self.difference:9.2e} of {self.tolerance:.0e}{why}"


def run_all(cell: str = "", core: str = "", device: str = "cpu") -> Iterator[Result]:
    """Every promise for every cell and core on the shelves, or for the one that is named."""
    for subject in subjects(cell, core, usable(device)):
        yield from run(subject)


def run(subject: Subject) -> Iterator[Result]:
    """Every promise for one subject; an error is a broken promise, not the end."""
    for check, (function, tolerance) in CHECKS.items():
        try:
            difference, problem = function(subject), ""
        except UnspoolError:
            raise
        except Exception as error:  # a user's own cell may raise anything
            difference, problem = float("nan"), f"{type(error).__name__}: {error}".splitlines()[0]
        yield Result(subject.name, check, difference, tolerance, problem)


def furthest(ours: Tensor | State, theirs: Tensor | State) -> float:
    """The largest difference between two tensors or two states; NaN anywhere makes it NaN.

    In states a tensor that is not yet filled may be shorter: what the other has more must be zeros.
    """
    if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
        if ours.shape != theirs.shape:
            raise ValueError(f"shapes differ: {tuple(ours.shape)} and {tuple(theirs.shape)}")
        return float((ours.detach().double() - theirs.detach().double()).abs().max()) if ours.numel() else 0.0
    pairs = zip(tensors(ours), tensors(theirs), strict=True)  # type: ignore[arg-type]
    return largest(*(furthest(*_as_long(a, b)) for (_, a), (_, b) in pairs))


def _as_long(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shape = [max(sizes) for sizes in zip(a.shape, b.shape, strict=True)]
    return _filled(a, shape), _filled(b, shape)


def _filled(short: Tensor, shape: list[int]) -> Tensor:
    filled = short.new_zeros(shape)
    filled[tuple(slice(size) for size in short.shape)] = short
    return filled


def largest(*differences: float) -> float:
    """The largest of them; NaN if any is (`max` would let it slip through)."""
    return float("nan") if any(d != d for d in differences) else max(differences, default=0.0)


@torch.no_grad()
def whole_equals_steps(subject: Subject) -> float:
    """The whole at once, in chunks, and step by step: the same outputs and the same last state."""
    if not subject.streams:
        return 0.0
    model, ids = subject.model(), subject.ids()
    whole, last = model(ids, subject.start(model, ids))
    worst = 0.0
    for sizes in ([1] * TIME, [4, 1, TIME - 5]):
        state, outputs = subject.start(model, ids), []
        for chunk in ids.split(sizes, dim=1):
            logits, state = model(chunk, state)
            outputs.append(logits)
        worst = largest(worst, furthest(whole, torch.cat(outputs, dim=1)), furthest(last, state))
    return worst


@torch.no_grad()
def future_stays_away(subject: Subject) -> float:
    """Changing a token changes nothing before it."""
    if not subject.streams:
        return 0.0
    model, ids = subject.model(), subject.ids()
    before, _ = model(ids, subject.start(model, ids))
    worst = 0.0
    for t in range(1, TIME):
        changed = ids.clone()
        changed[:, t:] = (changed[:, t:] + 1) % SIZE
        worst = largest(worst, furthest(before[:, :t], model(changed, subject.start(model, changed))[0][:, :t]))
    return worst


@torch.no_grad()
def padding_is_nothing(subject: Subject) -> float:
    """A row alone = the same row padded right, padded left, with holes, beside an empty row; never NaN."""
    model, worst = subject.model(), 0.0
    for mask in _masks(subject.device):
        ids = subject.ids(rows=len(mask))
        padded, last = model.think(ids, subject.start(model, ids), mask)
        if not all(bool(value.isfinite().all()) for value in (padded, *(s for _, s in tensors(last)))):
            return float("nan")
        for row, there in enumerate(mask):
            alone = ids[row : row + 1, there]
            state = subject.start(model, ids[row : row + 1], [row])
            if alone.shape[1]:
                y, state = model.think(alone, state)
                worst = largest(worst, furthest(y[0], padded[row, there]))
            following = subject.ids(rows=1, time=2, seed=5)  # what the row remembers shows in what comes next
            kept = select(last, torch.tensor([row], device=subject.device))
            worst = largest(worst, furthest(model(following, state)[0], model(following, kept)[0]))
    return worst


def _masks(device: str) -> list[Tensor]:
    lengths = torch.tensor([TIME, 4, 0, 1])[:, None]
    right = torch.arange(TIME) < lengths
    holes = torch.rand(4, TIME, generator=torch.Generator().manual_seed(3)) < 0.5
    return [mask.to(device) for mask in (right, right.flip(1), holes)]


def fast_equals_readable(subject: Subject) -> float:
    """The fused twin and the plain loop: the same losses and the same gradients, with padding and without."""
    model, worst = subject.model(), 0.0
    for mask in (None, *_masks(subject.device)):
        ids = subject.ids(rows=4)
        batch = subject.batch(ids, mask, mask)
        grads = []
        for watched in (False, True):
            model.zero_grad()
            with watch(model, keep=False) if watched else nullcontext():
                loss, _ = model.loss(batch)
            loss.backward()
            grads.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
        worst = largest(worst, *(furthest(a, b) for a, b in zip(*grads, strict=True)))
    return worst


def watching_changes_nothing(subject: Subject) -> float:
    """With a watcher and without: the same outputs; and the watcher saw something."""
    model, ids = subject.model(), subject.ids()
    with torch.no_grad():
        unseen, _ = model(ids, subject.start(model, ids))
        with watch(model) as trace:
            seen, _ = model(ids, subject.start(model, ids))
    inside = [name for name in trace if name.startswith("core")]
    return furthest(unseen, seen) if inside else float("nan")


def carried_state_has_no_past(subject: Subject) -> float:
    """A detached state passes values on, and gradients not."""
    model, ids = subject.model(), subject.ids()
    model.zero_grad()
    _, state = model(ids, subject.start(model, ids))
    cut = detach(state)
    if any(value.requires_grad for _, value in tensors(cut)):
        return float("nan")
    return furthest(cut, state)


@torch.no_grad()
def rows_can_be_chosen(subject: Subject) -> float:
    """Rows of the state reordered, repeated or dropped: as if the rows had been read in that order (beam search)."""
    model, ids, more = subject.model(), subject.ids(), subject.ids(time=1, seed=4)
    if not subject.streams:
        return 0.0
    rows = torch.tensor([2, 0, 0, 1], device=subject.device)
    _, state = model(ids, subject.start(model, ids))
    chosen, _ = model(more[rows], select(fork(state), rows))
    _, again = model(ids[rows], subject.start(model, ids[rows], rows.tolist()))
    return furthest(chosen, model(more[rows], again)[0])


def rows_are_strangers(subject: Subject) -> float:
    """Several rows at once = each row alone, when reading and when writing."""
    model, ids = subject.model(), subject.ids()
    with torch.no_grad():
        together, _ = model(ids, subject.start(model, ids))
        alone = torch.cat(
            [model(row[None], subject.start(model, row[None], [index]))[0] for index, row in enumerate(ids)]
        )
    if not subject.streams:
        return furthest(together, alone)
    looks = subject.looks(range(ROWS))
    one = [d.ids for d in islice(stream(model, ids[:1], greedy, **subject.looks([0])), 6)]
    three = [d.ids[:1] for d in islice(stream(model, ids, greedy, **looks), 6)]
    return largest(furthest(together, alone), furthest(torch.cat(one), torch.cat(three)))


def writing_repeats_itself(subject: Subject) -> float:
    """The same seed writes the same."""
    if not subject.streams:
        return 0.0
    model, ids = subject.model(), subject.ids()
    looks = subject.looks(range(ROWS))
    once, again = (torch.cat([d.ids for d in islice(stream(model, ids, seed=1, **looks), 6)]) for _ in range(2))
    return furthest(once, again)


def gradients_are_true(subject: Subject) -> float:
    """Back-propagation = finite differences along a random direction for every weight, in float64."""
    model = subject.model(torch.float64 if subject.device != "mps" else torch.float32)
    ids, step = subject.ids(), 1e-6
    batch = subject.batch(ids, **subject.looks(range(ROWS), torch.float64))
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


def every_weight_learns(subject: Subject) -> float:
    """How many weights the loss does not reach: none."""
    model, ids = subject.model(), subject.ids()
    model.loss(subject.batch(ids))[0].backward()
    return float(sum(p.grad is None or not bool(p.grad.any()) for p in model.parameters()))


class _Repeat:
    """The same batch again and again, carried on."""

    epoch = 0

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __getitem__(self, number: int) -> Batch:
        return Batch(**{**self.batch.__dict__, "continues": number > 0 and self.batch.continues})


def parts_equal_the_whole(subject: Subject) -> float:
    """Two steps on a batch in one piece = in three parts whose rows count differently many positions."""
    ids = subject.ids(rows=7)
    counts = torch.rand(ids.shape, generator=torch.Generator().manual_seed(7)).to(ids.device) < 0.6
    after = []
    for accumulate in (1, 3):
        model = subject.model()
        batch = subject.batch(ids, counts, continues=subject.streams)
        trainer = Trainer(
            model, _Repeat(batch), steps=2, optimizer="sgd", schedule="constant", warmup=0.0, accumulate=accumulate,
            learning_rate=0.1, device=subject.device,
        )  # fmt: skip
        list(trainer)
        after.append(nn.utils.parameters_to_vector(model.parameters()).detach())
    return furthest(*after)


@torch.no_grad()
def devices_agree(subject: Subject) -> float:
    """This device and the CPU: the same outputs."""
    if subject.device == "cpu":
        return 0.0
    outputs = []
    for one in (subject, replace(subject, device="cpu")):
        model, ids = one.model(), one.ids()
        outputs.append(model(ids, one.start(model, ids))[0].cpu())
    return furthest(*outputs)


@torch.no_grad()
def half_precision_is_close(subject: Subject) -> float:
    """Matrix products in bfloat16 and in float32: how far the outputs differ, as a share of the largest."""
    model, ids = subject.model(), subject.ids()
    full = model.think(ids, subject.start(model, ids))[0]
    with autocast(subject.device, "bfloat16"):
        half = model.think(ids, subject.start(model, ids))[0]
    return furthest(half, full) / float(full.abs().max())


CHECKS: dict[str, tuple[Callable[[Subject], float], float]] = {
    "whole = in chunks = step by step": (whole_equals_steps, 1e-5),
    "the future never reaches the past": (future_stays_away, 1e-6),
    "padding changes nothing": (padding_is_nothing, 1e-5),
    "fast = readable, gradients too": (fast_equals_readable, 2e-5),
    "watching changes nothing": (watching_changes_nothing, 1e-5),
    "a carried state has no past": (carried_state_has_no_past, 0.0),
    "rows of the state can be chosen": (rows_can_be_chosen, 1e-5),
    "batch = single": (rows_are_strangers, 1e-5),
    "the same seed writes the same": (writing_repeats_itself, 0.0),
    "gradients = finite differences (float64)": (gradients_are_true, 1e-7),
    "every weight learns": (every_weight_learns, 0.0),
    "accumulated parts = one batch": (parts_equal_the_whole, 1e-5),
    "bfloat16 is close to float32": (half_precision_is_close, 5e-2),
    "devices agree": (devices_agree, 1e-4),
}
"""Every promise with its tolerance; a new check is tested on everything by standing here."""
