"""The live rows of a ragged batch, stepped by the compiled loop: each is bit for bit what it is alone."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from unspool.generate.compiled.layout import core_of, fill_lines
from unspool.generate.compiled.runner import Runner
from unspool.generate.engine import Engine, window_start
from unspool.generate.rows import Row
from unspool.generate.state import State

FIRST = 8
"""Room for so many rows at first; it doubles when it is full."""


class CompiledRows:
    """The live rows of a ragged batch: they begin at different positions, come when they like and leave when they like.

    Args:
        engine: the model.
        runner: its compiled loop.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> from unspool.generate.compiled.lowering import lower
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> engine = Engine(model)
    >>> rows = CompiledRows(engine, Runner(lower(model)))
    >>> short, long = rows.add(engine.read(torch.tensor([[1]]))), rows.add(engine.read(torch.tensor([[1, 2, 3]])))
    >>> rows.advance(rows.logits.argmax(dim=-1, keepdim=True))
    >>> rows.remove(short).position, rows.keys == [long], rows.remove(long).position
    (2, True, 4)
    """

    def __init__(self, engine: Engine, runner: Runner) -> None:
        self.engine, self.runner = engine, runner
        self.keys: list[int] = []
        self._rows: dict[int, Row] = {}
        self._lines, self._lengths = runner.lines(FIRST), np.zeros(FIRST, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def logits(self) -> Float[Tensor, "B V"]:
        """The scores of the next token of every row, in the order of `keys`."""
        return torch.from_numpy(self.runner.logits(self._lines[: len(self)]).copy())

    def add(self, state: State) -> int:
        """Let a text take part; the key of its row.

        Args:
            state: of one row, behind at least one token; it is not changed.
        """
        place, self._count = len(self), self._count + 1
        if place == len(self._lines):
            lines, lengths = self.runner.lines(2 * place), np.zeros(2 * place, np.int64)
            lines[:place], lengths[:place] = self._lines, self._lengths
            self._lines, self._lengths = lines, lengths
        fill_lines(self.runner.program, self._lines[place : place + 1], state.core, state.logits)
        self._lengths[place] = int(state.core[0]) if self.runner.program.capacity else 0
        self.keys.append(self._count)
        self._rows[self._count] = Row(state)
        return self._count

    def state(self, key: int) -> State:
        """A copy of the state of a row, as it would be alone."""
        place = self.keys.index(key)
        lines, lengths = self._lines[place : place + 1], self._lengths[place : place + 1]
        core = core_of(self.runner.program, lines, lengths)
        logits = torch.from_numpy(self.runner.logits(lines).copy())
        return self._rows[key].state(core, logits)

    def remove(self, key: int) -> State:
        """Take a row out of the batch; its state comes back."""
        state = self.state(key)
        self.discard(key)
        return state

    def discard(self, key: int) -> None:
        """Take a row out of the batch whose state nobody wants; the last row takes its place."""
        place, last = self.keys.index(key), len(self) - 1
        if place != last:
            self._lines[place], self._lengths[place] = self._lines[last], self._lengths[last]
            self.keys[place] = self.keys[last]
        self.keys.pop()
        del self._rows[key]

    def advance(self, ids: Int[Tensor, "B 1"]) -> None:
        """Let every row read one more token.

        Args:
            ids: the token of each row, in the order of `keys`.
        """
        if not self.keys:
            return
        limit = self.engine.max_length
        moved = [self._rows[key].append(id, limit) for key, id in zip(self.keys, ids.flatten().tolist(), strict=True)]
        moving = [place for place, one in enumerate(moved) if one]
        self._lengths[moving] = 0  # room for the step that is not kept
        rows = len(self)
        tokens = np.ascontiguousarray(ids.numpy().T)
        self.runner.read(self._lines[:rows], self._lengths[:rows], tokens)
        for place in moving:
            self._reread(place)

    def _reread(self, place: int) -> None:
        """The window of a row, which has moved on, read from an empty state."""
        row = self._rows[self.keys[place]]
        begin = window_start(row.position, self.engine.max_length)
        tokens: NDArray[np.int64] = row.ids(begin)[0, :, None].long().numpy().copy()
        self.runner.restart(self._lines[place : place + 1], self._lengths[place : place + 1], tokens)
