"""Forward and backward passes on a GPU by CUDA graphs: what a small model waits for there is Python."""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unspool.batch import Batch
from unspool.models.sequence import SequenceModel
from unspool.nn.cuda_graphs import record
from unspool.nn.part import CoreState, Part, map_state, tensors

OFTEN = 8
"""A shape is recorded when it comes for the so many-th time: recording takes as long as a few steps."""
MOST = 4
"""So many shapes are recorded, for each has memory of its own."""

Passes = Callable[[Batch, CoreState | None], tuple[Tensor, CoreState]]
"""From a batch and the state before it to the loss and the next state, both detached; the weights get gradients."""


class RecordedPasses:
    """Forward and backward passes that are replayed as one CUDA graph where batches of one shape come again.

    Only batches without padding whose positions all count are recorded, for others have lengths that Python must know.
    Random numbers are those of the generator at the time of the replay. Where a model cannot be recorded the passes run
    as they are. On a CPU all of this works, and nothing is won.

    Args:
        model: whose weights get the gradients, which must be empty before each call.
        passes: what is recorded.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> def passes(batch, state):
    ...     loss, state = model.loss(batch, state)
    ...     loss.backward()
    ...     return loss.detach(), state
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> loss, _ = RecordedPasses(model, passes)(Batch(ids, ids, torch.ones_like(ids, dtype=torch.bool)), None)
    >>> loss.shape, model.head.weight.grad.shape
    (torch.Size([]), torch.Size([5, 8]))
    """

    def __init__(self, model: SequenceModel, passes: Passes) -> None:
        self.model, self.passes, self.parameters = model, passes, [p for p in model.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        self._parts = [module for module in model.modules() if isinstance(module, Part)]
        self._seen, self._recorded = Counter[Hashable](), dict[Hashable, Recorded]()
        self._possible = True

    def __call__(self, batch: Batch, state: CoreState | None) -> tuple[Tensor, CoreState]:
        """The loss and the next state; both are overwritten by the next call.

        Args:
            batch: on the CPU, where its masks can be looked at without waiting.
            state: before it, on the model's device; None: the passes begin anew.
        """
        state = self.model.continuing(state, batch.inputs.shape[1])
        recorded = self._recorded_for(batch, state) if self._possible and self._is_regular(batch) else None
        return self.passes(batch.to(self.device), state) if recorded is None else recorded(batch, state)

    def _recorded_for(self, batch: Batch, state: CoreState | None) -> "Recorded | None":
        """What was recorded for batches of this shape, or is now, where they have come often enough."""
        shape = shape_of(batch, state)
        if shape not in self._recorded:
            self._seen[shape] += 1
            if self._seen[shape] >= OFTEN and len(self._recorded) < MOST:
                self._record(shape, batch, state)
        return self._recorded.get(shape)

    def _is_regular(self, batch: Batch) -> bool:
        watched = any(part.watcher is not None for part in self._parts)
        return not watched and all(
            mask is None or bool(mask.all()) for mask in (batch.loss_mask, batch.mask, batch.source_mask)
        )

    def _record(self, shape: Hashable, batch: Batch, state: CoreState | None) -> None:
        """Record the passes on batches of this shape, where that can be done. No random number is used up."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            try:
                self._recorded[shape] = Recorded(self.passes, self.parameters, batch.to(self.device), state)
            except RuntimeError:  # a pass that waits for a value of the GPU, or no memory is left
                self._possible = False
                self._recorded.clear()  # their random numbers are those of a generator that `record` has replaced
        for parameter in self.parameters:
            parameter.grad = None


class Recorded:
    """The passes on batches of one shape.

    Args:
        passes: what is recorded.
        parameters: the weights that get gradients.
        batch: of that shape, on the device.
        state: before it.
    """

    def __init__(self, passes: Passes, parameters: list[nn.Parameter], batch: Batch, state: CoreState | None) -> None:
        self._parameters = parameters
        unmasked = replace(batch, mask=None, source_mask=None)
        copies: dict[str, Any] = {name: value.clone() for name, value in unmasked.tensors().items()}
        self._batch = replace(unmasked, **copies)
        self._before = None if state is None else map_state(Tensor.clone, state)
        self._loss, self._after = torch.zeros(()), CoreState()

        def run() -> None:
            for parameter in parameters:
                parameter.grad = None  # so that the gradients are written, not added
            self._loss, self._after = passes(self._batch, self._before)
            self._gradients = [parameter.grad for parameter in parameters]

        self._replay = record(run, batch.inputs.device)

    def __call__(self, batch: Batch, state: CoreState | None) -> tuple[Tensor, CoreState]:
        """The loss and the next state of another batch of that shape, and the gradients in their places."""
        found = batch.tensors()
        for name, place in self._batch.tensors().items():
            place.copy_(found[name], non_blocking=True)
        for (_, place), (_, value) in zip(tensors(self._before or ()), tensors(state or ()), strict=True):
            place.copy_(value)
        self._replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return self._loss, self._after


def shape_of(batch: Batch, state: CoreState | None) -> Hashable:
    """What must be the same for the same graph: names, shapes and types of all tensors."""
    named: dict[str, Any] = {**batch.tensors(), **dict(tensors(state or ()))}
    return tuple((name, tuple(value.shape), value.dtype) for name, value in named.items())
