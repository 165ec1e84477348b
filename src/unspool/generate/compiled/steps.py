"""Generation by a compiled loop: the same steps as `engine.Steps`, many of them in one call."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.generate.blocks import BlockSteps, Ids
from unspool.generate.compiled.layout import core_of, fill_lines
from unspool.generate.compiled.runner import Runner
from unspool.generate.engine import Engine, Select
from unspool.generate.sampling import Sampler, Sampling
from unspool.generate.state import State
from unspool.nn.part import CoreState
from unspool.seeds import random_numbers


class CompiledSteps(BlockSteps):
    """Generation under way on the CPU. Rows draw what they would draw alone, bit for bit.

    Args:
        engine: the model.
        runner: its compiled loop.
        state: where to begin; it is not changed.
        select: chooses the next ids.
    """

    def __init__(self, engine: Engine, runner: Runner, state: State, select: Select) -> None:
        super().__init__(engine, state, select)
        self.runner = runner
        bias = torch.zeros(0, 0) if self._sampler is None else self._sampler.bias
        self._bias = runner.fill_bias(bias.numpy())
        rows = len(state.ids)
        self._lines, self._length = runner.lines(rows), np.zeros(rows, np.int64)
        fill_lines(runner.program, self._lines, state.core, state.logits)
        if runner.program.capacity:
            self._length[:] = state.core[0].numpy()

    def _draw(self, sampler: Sampler, number: int, scored: bool) -> tuple[Ids, NDArray[np.float32]]:
        options = np.repeat([options_of(sampler, scored)], len(self._lines), 0)
        places = np.arange(self.position, self.position + number)[:, None]
        drawn, seen = random_numbers(sampler.seeds, places), sampler.seen.numpy()
        return self.runner.write(self._lines, self._length, drawn, options, self._bias, seen)

    def _read(self, ids: Ids) -> None:
        self.runner.read(self._lines, self._length, ids)

    def _restart(self, ids: Tensor) -> None:
        self.runner.restart(self._lines, self._length, ids.T.numpy().copy())

    def _remember(self) -> Any:
        return self._lines.copy(), self._length.copy()

    def _go_back(self, memory: Any) -> None:
        self._lines[:], self._length[:] = memory

    def _logits(self) -> Tensor:
        return torch.from_numpy(self.runner.logits(self._lines).copy())

    def _core(self) -> CoreState:
        return core_of(self.runner.program, self._lines, self._length)


def options_of(sampler: Sampler, scored: bool) -> list[float]:
    """How a row is drawn, as the compiled loop takes it: see `kernel.run`."""
    plan = sampler.plan or Sampling()
    penalty = plan.repetition_penalty
    return [plan.temperature, float(plan.top_k), plan.top_p, plan.min_p, penalty, float(scored)]
