"""Generation on a GPU by a CUDA graph: the hundreds of kernels of a token are launched at once.

The state, the random numbers and what was drawn stay in the same memory from token to token, and a block of tokens is
drawn without waiting for the CPU.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.generate.blocks import MOST, BlockSteps, Ids
from unspool.generate.engine import Engine, Select
from unspool.generate.sampling import Sampler, drawn_ids, is_greedy
from unspool.generate.state import State
from unspool.nn.cuda_graphs import record
from unspool.nn.heads import at_least_float32
from unspool.nn.part import CoreState, fork, map_state, tensors
from unspool.seeds import random_numbers


class GraphSteps(BlockSteps):
    """Generation under way on a GPU, every step of which replays a CUDA graph; on a CPU the same without a graph.

    Args:
        engine: the model.
        state: where to begin; it is not changed.
        select: chooses the next ids.

    Raises:
        RuntimeError: a step of this model cannot be recorded, as it asks the GPU for a value and waits.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> from unspool.generate.sampling import Sampling, sampler
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> engine = Engine(model)
    >>> state = engine.read(torch.tensor([[1, 2, 3]]))
    >>> steps = GraphSteps(engine, state, sampler(state, Sampling()))
    >>> len(steps.ids(8)), steps.position
    (8, 11)
    """

    def __init__(self, engine: Engine, state: State, select: Select) -> None:
        super().__init__(engine, state, select)
        device, rows = state.ids.device, len(state.ids)
        with torch.inference_mode():
            self._memory, self._scores = map_state(torch.zeros_like, steady(engine, state)), state.logits.clone()
            self._ids = state.ids[:, -1:].clone()
            self._number = torch.zeros(1, dtype=torch.long, device=device)  # which of the block's tokens is drawn
            self._random = torch.zeros(MOST, rows, dtype=torch.float64, device=device)
            self._drawn = torch.zeros(MOST, rows, dtype=torch.long, device=device)
            self._chances = torch.zeros(MOST, rows, device=device)
            self._step = self._recorded(device)
            self._load(state.core, state.logits)

    def _recorded(self, device: torch.device) -> Callable[[], None]:
        """The step that is replayed. What it wrote while it was recorded does not count."""
        if self._sampler is None:
            return record(self._once, device)
        self._bias, seen = self._sampler.bias, self._sampler.seen.clone()
        try:
            return record(self._draw_once, device)
        finally:
            self._sampler.seen.copy_(seen)

    def _once(self) -> None:
        """Read the ids in their place; the state is written to its place again."""
        core, logits = self.engine._uncounted(self._ids, self._memory)
        for (_, place), (_, value) in zip(tensors(self._memory), tensors(core), strict=True):
            if value is not place:
                place.copy_(value)
        self._scores.copy_(logits)

    def _draw_once(self) -> None:
        """Draw one token of the block, and read it."""
        filters, seen = self._sampler.filters, self._sampler.seen  # type: ignore[union-attr]
        scores = at_least_float32(self._scores)
        uniform = None if is_greedy(filters) else self._random.index_select(0, self._number).squeeze(0)
        ids = drawn_ids(scores + self._bias, seen, filters, uniform)
        seen.scatter_(-1, ids, True)
        chances = scores.log_softmax(dim=-1).gather(-1, ids)
        self._drawn.index_copy_(0, self._number, ids.T)
        self._chances.index_copy_(0, self._number, chances.T)
        self._number.add_(1)
        self._ids.copy_(ids)
        self._once()

    def _load(self, core: CoreState, logits: Tensor) -> None:
        """Write a state to its place; the slots that a new cache does not have yet are zeros."""
        for (_, place), (_, value) in zip(tensors(self._memory), tensors(core), strict=True):
            if place.shape != value.shape:
                place.zero_()
            place[tuple(map(slice, value.shape))].copy_(value)
        self._scores.copy_(logits)

    def _draw(self, sampler: Sampler, number: int, scored: bool) -> tuple[Ids, NDArray[np.float32]]:
        places = np.arange(self.position, self.position + number)[:, None]
        with torch.inference_mode():
            if not is_greedy(sampler.filters):
                self._random[:number].copy_(torch.from_numpy(random_numbers(sampler.seeds, places)))
            self._number.zero_()
            for _ in range(number):
                self._step()
            ids, chances = (kept[:number].to("cpu", copy=True) for kept in (self._drawn, self._chances))
            return ids.numpy(), chances.numpy()

    def _read(self, ids: Ids) -> None:
        with torch.inference_mode():
            new = torch.from_numpy(ids.T.copy()).to(self._ids.device)
            if self._sampler is None and new.shape[1] == 1:
                self._ids.copy_(new)
                self._step()
            else:
                self._load(*self.engine._uncounted(new, self._memory))

    def _restart(self, ids: Tensor) -> None:
        with torch.inference_mode():
            self._load(*self.engine._uncounted(ids, self.engine._start(self._state, ids)))

    def _remember(self) -> Any:
        return fork(self._memory), self._scores.clone()

    def _go_back(self, memory: Any) -> None:
        with torch.inference_mode():
            self._load(*memory)

    def _logits(self) -> Tensor:
        return self._scores.clone()

    def _core(self) -> CoreState:
        return fork(self._memory)


def steady(engine: Engine, state: State) -> CoreState:
    """A state of the core as it is from the second token on: with a cache of all its slots."""
    core = fork(state.core)
    for _ in range(2):
        core, _ = engine._uncounted(state.ids[:, -1:], core)
    return core
