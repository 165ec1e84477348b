"""The training loop for every model and task."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.errors import CheckpointError, ConfigError, TrainingError, unknown
from unspool.models.sequence import SequenceModel
from unspool.nn.part import (
    CoreState,
    detach,
    diverged,
    fill,
    join_states,
    move,
    refuse_unlike,
    split_state,
    tensors,
)
from unspool.schema import Count, Natural, NotNegative, Portion, Positive, Share, checked
from unspool.seeds import mix, start
from unspool.training.optimizers import OptimizerName, load_optimizer_state, optimizer_state, optimizers
from unspool.training.precision import PrecisionName, autocast
from unspool.training.recorded import Passes, RecordedPasses
from unspool.training.scheduled_sampling import refuse_unanswered, scheduled_sampling
from unspool.training.schedules import Schedule, ScheduleName


@dataclass(frozen=True)
class TrainingStep:
    """The result of one optimizer step.

    >>> TrainingStep(1, 2.5, 0.3, 1e-3, 64, 0.01).loss
    2.5
    """

    number: int  # how many steps are done, this one included
    loss: float  # nats per counted position
    grad_norm: float  # before clipping
    learning_rate: float  # of this step
    positions: int  # how many positions the loss was taken over
    seconds: float  # how long it took


@dataclass(frozen=True)
class ScheduleState:
    """What a learning rate schedule depends on besides the progress."""

    level: NotNegative
    best: float


@dataclass(frozen=True)
class TrainerState:
    """The plain part of what `Trainer.save` returns, as it is checked before it is used."""

    number: Natural
    seconds: NotNegative
    optimizers: list[list[dict[str, Any]]]
    schedule: ScheduleState


Loss = Callable[[SequenceModel, Batch, CoreState | None], tuple[Tensor, CoreState]]
"""A function of a model, a batch and the state before it: the mean loss, and the next state."""


class Trainer:
    """Trains a model: an iterator of optimizer steps.

        for step in Trainer(model, batches, steps=1000):
            print(step.number, step.loss)

    A batch that `carries_state` gets the state that the batch before it left, detached: truncated back-propagation
    through time is a property of the data. A step follows from the weights, the moments, the carried state and its
    number: every random number generator is seeded anew from `seed` and that number. So nothing that is drawn between
    two steps can change a run, and a run that is loaded again has no generator to restore.

    Args:
        model: on `device`.
        batches: what to train on.
        steps: the budget in optimizer steps; of several budgets the first that is used up ends the training, 0 is none.
        epochs: the budget in passes over the data.
        minutes: the budget in minutes of training.
        min_steps: a budget in epochs is at least so many steps, so that small data is seen often enough.
        optimizer: "muon" is for the matrices of cores, with adamw for the other weights.
        learning_rate: the learning rate at its highest.
        betas: the decay of the first and second moments of adam and adamw.
        momentum: the momentum of sgd and rmsprop.
        weight_decay: the decay of weights, of matrices alone.
        schedule: how the learning rate changes over the budget: "warmup-stable-decay" holds and then falls to zero (Hu
            et al. 2024, arXiv:2404.06395), "plateau" falls when the validation loss has not improved.
        warmup: the share of the budget in which the learning rate rises from zero.
        decay: the share of the budget in which "warmup-stable-decay" falls.
        drop: what "plateau" multiplies the learning rate by.
        clip: the largest norm of the gradient; 0: any.
        accumulate: a batch is cut into so many parts of rows to save memory, each as long as its longest row; the step
            stays the same.
        ema: the decay of an exponential moving average of the weights, which `averaged()` puts in their place for a
            while; 0: none. It is corrected for its beginning, as Adam's moments are: after one step it is the weights.
        teacher_forcing: the share of the right tokens that a model goes on from, instead of its own.
        freeze: weights whose names begin so ("core", say) stay as they are.
        precision: the precision of matrix products.
        device: where the model is: cpu, cuda or mps.
        seed: of everything that is drawn.
        loss: gives the loss and the next state; None: the model's own.

    Raises:
        ConfigError: without a budget, and for options that do not go together.

    >>> from unspool import Tokens, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=8)
    >>> model = SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8))
    >>> from unspool.data.batching.contiguous import ContiguousBatches
    >>> trainer = Trainer(model, ContiguousBatches(torch.arange(64) % 5, batch_size=2, length=8), steps=3)
    >>> [step.number for step in trainer], trainer.finished
    ([1, 2, 3], True)
    """

    def __init__(
        self,
        model: SequenceModel,
        batches: Batches,
        *,
        steps: Natural = 0,
        epochs: NotNegative = 0.0,
        minutes: NotNegative = 0.0,
        min_steps: Natural = 0,
        optimizer: OptimizerName = "adamw",
        learning_rate: Positive = 3e-3,
        betas: tuple[Share, Share] = (0.9, 0.95),
        momentum: Share = 0.0,
        weight_decay: NotNegative = 0.0,
        schedule: ScheduleName = "warmup-stable-decay",
        warmup: Share = 0.02,
        decay: Portion = 0.5,
        drop: Share = 0.25,
        clip: NotNegative = 1.0,
        accumulate: Count = 1,
        ema: Share = 0.0,
        teacher_forcing: Portion = 1.0,
        freeze: str = "",
        precision: PrecisionName = "float32",
        device: str = "cpu",
        seed: int = 0,
        loss: "Loss | None" = None,
    ) -> None:
        if not (steps or epochs or minutes):
            raise ConfigError("training needs a budget", hint="set train.steps, train.epochs or train.minutes")
        if epochs and not batches.epoch:
            raise ConfigError("train.epochs needs data with an end", hint="set train.steps or train.minutes")
        if teacher_forcing < 1:
            refuse_unanswered(batches[0])
        self.model, self.batches, self.device = model.to(device), batches, device
        by_epochs = max(1, min_steps, round(epochs * batches.epoch)) if epochs else 0
        self.steps = min(filter(None, (steps, by_epochs)), default=0)
        self.minutes, self.clip, self.accumulate, self.precision = minutes, clip, accumulate, precision
        _freeze(model, freeze)
        self.optimizers = optimizers(model, optimizer, learning_rate, weight_decay, betas, momentum)
        self.schedule = Schedule(schedule, warmup, decay, drop)
        self.ema, self.teacher_forcing, self.seed = ema, teacher_forcing, seed
        self.parameters = list(model.parameters())  # walking through the modules takes longer than many a step
        self.average = [p.detach().clone() for p in self.parameters] if ema else []
        self.loss = loss or type(model).loss
        on_gpu = self.parameters[0].is_cuda
        self._passes: Passes = RecordedPasses(model, self._pass) if on_gpu else self._pass
        self.number = 0
        self.seconds = 0.0
        self.last: TrainingStep | None = None
        self.state: CoreState | None = None
        self.prepared: tuple[int, Batch] | None = None  # the next batch, by its number

    def __repr__(self) -> str:
        """The progress, as `Trainer(step 120 of 1,000, loss 1.234, lr 0.003)`."""
        summary = [f"step {self.number:,}" + (f" of {self.steps:,}" if self.steps else "")]
        if self.minutes:
            summary.append(f"{self.seconds / 60:.1f} of {self.minutes:g} minutes")
        if self.last is not None:
            summary += [f"loss {self.last.loss:.4g}", f"lr {self.last.learning_rate:.3g}"]
        return f"Trainer({', '.join(summary)})"

    def __iter__(self) -> Iterator[TrainingStep]:
        while not self.finished:
            yield self.step()

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        return self.progress() >= 1

    def progress(self, steps: int = 0, seconds: float = 0.0) -> float:
        """The share of the budget that is used, or would be after that many more steps and seconds."""
        by_steps = (self.number + steps) / self.steps if self.steps else 0.0
        by_time = (self.seconds + seconds) / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def step(self) -> TrainingStep:
        """One optimizer step on the next batch: forward, loss, backward, clip, update.

        Raises:
            TrainingError: where the loss or the gradient is not finite.
        """
        began = perf_counter()
        batch = self._batch(self.number)
        if not batch.carries_state:
            self.state = None
        if not self.model.training:
            self.model.train()
        start(mix(self.seed, self.number), self.device)
        loss = self._backward(batch)
        norm = self._clip()
        if not (isfinite(loss) and isfinite(norm)):
            raise TrainingError(
                f"the loss is {loss} and the gradient norm {norm} at step {self.number + 1}",
                hint="train with a lower train.learning_rate or train.clip",
            )
        rate = self._set_learning_rate()
        for optimizer in self.optimizers:
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None
        if self.average:
            weight = (1 - self.ema) / (1 - self.ema ** (self.number + 1))  # 1 at first: not the random weights' share
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], weight)
        self.number += 1
        seconds = perf_counter() - began
        self.seconds += seconds
        self.last = TrainingStep(self.number, loss, norm, rate, batch.positions, seconds)
        return self.last

    def _batch(self, number: int) -> Batch:
        """A batch by its number."""
        prepared, self.prepared = self.prepared, None
        return prepared[1] if prepared and prepared[0] == number else self.batches[number]

    def _prepare(self) -> None:
        """Make the next batch while the device computes; a processor would only be kept from computing itself."""
        if torch.device(self.device).type != "cpu":
            self.prepared = self.number + 1, self.batches[self.number + 1]

    def _backward(self, batch: Batch) -> float:
        """Add the batch's gradients, part by part, each weighted by the positions it counts; the mean loss."""
        if self.accumulate == 1 and self.teacher_forcing == 1:
            loss, self.state = self._passes(batch, self.state)
            self._prepare()
            return loss.item()  # waits for the device
        total, losses, after, lengths = max(1, batch.positions), [], [], set()
        states = split_state(self.state, self.accumulate) if self.state is not None else None
        for part in batch.parts(self.accumulate) if self.accumulate > 1 else (batch,):
            share, before = part.positions / total, next(states) if states else None
            loss, state = self._pass(part.to(self.device), before, share)
            losses.append(loss)
            after.append(state)
            lengths.add(part.inputs.shape[1])
        self.state = join_states(after) if len(lengths) == 1 else None  # rows that end in padding do not go on
        self._prepare()
        return sum(loss.item() for loss in losses)  # the first of these waits for the device

    def _pass(self, batch: Batch, before: CoreState | None, share: float = 1.0) -> tuple[Tensor, CoreState]:
        """Forward and backward on a batch that is such a share of the whole: its part of the loss, the next state."""
        with autocast(self.device, self.precision):
            if self.teacher_forcing < 1:
                batch = scheduled_sampling(self.model, batch, before, self.teacher_forcing)
            loss, state = self.loss(self.model, batch, before)
        loss = loss if share == 1 else loss * share
        loss.backward()
        return loss.detach(), detach(state)

    def _clip(self) -> float:
        """The norm of all gradients together; where it is above `clip` they are scaled down to it."""
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.clip:
            torch._foreach_mul_(gradients, (self.clip / (norm + 1e-6)).clamp(max=1.0))
        return float(norm)

    def _set_learning_rate(self) -> float:
        last = self.seconds / self.number if self.number else 0.06 * self.minutes  # the first step is a guess
        factor = self.schedule.factor(self.progress(1, last))
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * factor
        return self.optimizers[0].param_groups[0]["lr"]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the model has its averaged weights, where `ema` is set."""
        if not self.average:
            yield
            return
        parameters = [p.data for p in self.parameters]
        raw = [p.clone() for p in parameters]
        torch._foreach_copy_(parameters, self.average)
        try:
            yield
        finally:
            torch._foreach_copy_(parameters, raw)

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What `load` needs to continue with the same result, bit for bit: tensors, and plain data."""
        moments, settings = optimizer_state(self.optimizers)
        saved = {f"optimizer.{place}": value for place, value in moments.items()}
        saved |= {f"weights.{name}": p.detach() for name, p in self.model.state_dict().items()}
        saved |= {f"average.{index}": value for index, value in enumerate(self.average)}
        saved |= {f"carried.{place}": value for place, value in tensors(self.state or ())}
        plain = {
            "number": self.number,
            "seconds": self.seconds,
            "optimizers": settings,
            "schedule": {"level": self.schedule.level, "best": self.schedule.best},
        }
        return saved, plain

    def load(self, saved: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Continue from what `save` returned, on the device of this trainer.

        Raises:
            CheckpointError: where it belongs to another model or optimizer, or has diverged; names, shapes and types of
                all tensors are compared first.
        """
        groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}}
        for name, value in saved.items():
            section, _, place = name.partition(".")
            groups.setdefault(section, {})[place] = value
        averages = {str(index): value for index, value in enumerate(self.average)}
        try:
            before = checked(plain, TrainerState)
            refuse_unlike(groups["weights"], self.model.state_dict())
            refuse_unlike(groups["average"] if averages else {}, averages)
            if diverged(groups["weights"].values()):
                raise ValueError("it has diverged: some of its weights are not finite or beyond 1e15")
            carried = self._carried(groups["carried"], before.number) if "carried" in groups else None
            load_optimizer_state(self.optimizers, groups.get("optimizer", {}), before.optimizers)
            self.model.load_state_dict(groups["weights"])
            self.average = [groups["average"][name].to(self.device) for name in averages]
            self.number, self.seconds, self.state = before.number, before.seconds, carried
            self.schedule.level, self.schedule.best = before.schedule.level, before.schedule.best
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(
                f"the saved state does not match the model and the optimizer: {reason}",
                hint="undo changes of [core], [model] or the optimizer, or start a new run",
            ) from error

    def _carried(self, values: dict[str, Tensor], number: int) -> CoreState:
        batch = self.batches[max(0, number - 1)].to(self.device)  # the one that left the state
        with torch.no_grad():
            like = self.model.start(batch.inputs, batch.source, batch.source_mask)
        return move(fill(like, values), self.device)

    def refuse_diverged(self) -> None:
        """Raise a TrainingError where a weight, or an averaged one, is NaN, infinite or beyond all use."""
        if diverged([*self.parameters, *self.average]):
            raise TrainingError(
                f"some weights are not finite or beyond 1e15 after step {self.number}",
                hint="train with a lower train.learning_rate or train.clip",
            )


def _freeze(model: SequenceModel, begin: str) -> None:
    """Freeze the weights of those names.

    Raises:
        ConfigError: where there are none of that name, or none would be left to train.
    """
    frozen = [name for name, _ in model.named_parameters() if begin and f"{name}.".startswith(f"{begin}.")]
    if begin and not frozen:
        parts = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
        raise unknown("part of the model to freeze:", begin, {*parts, *(part.split(".")[0] for part in parts)})
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"train.freeze={begin} leaves no weights to train", hint="freeze fewer")
