"""Generation by a compiled loop: the same steps as `engine.Steps`, many of them in one call."""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unspool.generate.compiled.layout import core_of, fill_lines
from unspool.generate.compiled.runner import Runner
from unspool.generate.engine import Engine, Select, Step, window_start
from unspool.generate.sampling import Sampler, Sampling
from unspool.generate.state import State
from unspool.seeds import random_numbers

LONGEST = 0.02
"""A call of the loop takes about so many seconds, so that text comes without jerks."""
MOST = 1024
"""A call of the loop draws at most so many tokens."""


class CompiledSteps(Iterator[Step]):
    """Generation under way, as `engine.Steps` is. Rows draw what they would draw alone, bit for bit.

    Args:
        engine: the model.
        runner: its compiled loop.
        state: where to begin; it is not changed.
        select: chooses the next ids. What a `Sampler` draws without bans of several tokens is drawn in the loop.
    """

    def __init__(self, engine: Engine, runner: Runner, state: State, select: Select) -> None:
        self.engine, self.runner, self.select = engine, runner, select
        self._sampler = select if isinstance(select, Sampler) and select.plan is not None else None  # drawn in the loop
        bias = torch.zeros(0, 0) if self._sampler is None else self._sampler.bias
        self._bias = runner.fill_bias(bias.numpy())
        rows = len(state.ids)
        self.position = state.position
        self._state, self._written = replace(state, core=()), [np.zeros((0, rows), np.int64)]
        self._lines, self._length = runner.lines(rows), np.zeros(rows, np.int64)
        fill_lines(runner.program, self._lines, state.core, state.logits)
        if runner.program.capacity:
            self._length[:] = state.core[0].numpy()
        self._before: tuple[int, np.ndarray, np.ndarray] | None = None  # the lines before the last block
        self._size = 8
        self._waiting: np.ndarray | None = None  # what another than a sampler chose, not read yet

    def __next__(self) -> Step:
        self._catch_up()
        if self._sampler is not None and self._room():
            ids, chances = self._draw(self._sampler, 1, True)
            return Step(torch.from_numpy(ids[0])[:, None], torch.from_numpy(chances[0]))
        logits = self.logits
        chosen = self.select(logits, self.position)
        log_probability = logits.log_softmax(dim=-1).gather(-1, chosen).squeeze(-1)
        self._waiting, self.position = chosen.numpy(), self.position + 1
        return Step(chosen, log_probability)

    def ids(self, most: int, undo: bool = False) -> list[int]:
        """The next ids of a single row: at least one, at most so many.

        Args:
            most: how many are wanted.
            undo: whether `drop` may be called behind this.
        """
        self._catch_up()
        room = min(most, self._room())
        if self._sampler is None or not room:
            return [int(next(self).ids)]
        number = min(room, self._size)
        if undo:
            self._before = self.position, self._lines.copy(), self._length.copy()
        began = time.perf_counter()
        ids, _ = self._draw(self._sampler, number, False)
        took = (time.perf_counter() - began) / number
        self._size = max(1, min(MOST, 2 * self._size, int(LONGEST / max(took, 1e-9))))
        return ids[:, 0].tolist()

    def drop(self, number: int = 1) -> None:
        """Take back the last so many ids that `ids` gave, or the last choice where torch made it."""
        if number and self._waiting is not None:
            self._waiting, self.position = None, self.position - 1
            return
        if not number:
            return
        if self._before is None:
            raise ValueError("ids can be dropped behind ids(undo=True)")
        position, self._lines[:], self._length[:] = self._before
        kept = self._written.pop()[: self.position - number - position]
        self.position = position
        if len(kept):
            self.runner.read(self._lines, self._length, np.ascontiguousarray(kept))
            self._note(kept)

    @property
    def logits(self) -> Tensor:
        """The scores of the next token, (B, V)."""
        self._catch_up()
        return torch.from_numpy(self.runner.logits(self._lines).copy())

    @property
    def state(self) -> State:
        """The state after the last step; it is a copy, which later steps do not change."""
        self._catch_up()
        ids = torch.from_numpy(np.concatenate(self._written).T.copy())
        core = core_of(self.runner.program, self._lines, self._length)
        return replace(self._state, core=core, logits=self.logits, ids=torch.cat([self._state.ids, ids], dim=1))

    def _room(self) -> int:
        """How many tokens can be read before the window moves on."""
        remaining = self.engine.remaining(self.position)
        return MOST if remaining is None else min(MOST, remaining)

    def _draw(self, sampler: Sampler, number: int, scored: bool) -> tuple[np.ndarray, np.ndarray]:
        options = np.repeat([options_of(sampler, scored)], len(self._lines), 0)
        places = np.arange(self.position, self.position + number)[:, None]
        drawn = random_numbers(sampler.seeds, places)
        seen = sampler.seen.numpy()
        ids, chances = self.runner.write(self._lines, self._length, drawn, options, self._bias, seen)
        self._note(ids)
        return ids, chances

    def _note(self, ids: np.ndarray) -> None:
        self._written.append(ids)
        self.position += len(ids)

    def _catch_up(self) -> None:
        """Read what was chosen last (B, 1); where the window moves on, the last tokens anew."""
        if self._waiting is None:
            return
        chosen, self._waiting = self._waiting, None
        before, begin = (window_start(n, self.engine.max_length) for n in (self.position - 1, self.position))
        self._written.append(np.ascontiguousarray(chosen.T))
        if begin == before:
            self.runner.read(self._lines, self._length, self._written[-1])
            return
        every = torch.cat([self._state.ids.T, torch.from_numpy(np.concatenate(self._written))])[begin:]
        self.runner.restart(self._lines, self._length, every.numpy().copy())


def options_of(sampler: Sampler, scored: bool) -> list[float]:
    """How a row is drawn, as the compiled loop takes it: see `kernel.run`."""
    plan = sampler.plan or Sampling()
    penalty = plan.repetition_penalty
    return [plan.temperature, float(plan.top_k), plan.top_p, plan.min_p, penalty, float(scored)]
