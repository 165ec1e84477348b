"""Generation in blocks: many steps in one call, drawn and read where the model is."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unspool.generate.sampling import Sampler
from unspool.generate.state import State
from unspool.nn.heads import at_least_float32
from unspool.nn.part import CoreState

if TYPE_CHECKING:
    from unspool.generate.engine import Engine, Select, Step

Ids = NDArray[np.int64]

LONGEST = 0.02
"""A block takes about so many seconds, so that text comes without jerks."""
MOST = 1024
"""A block has at most so many tokens."""


class BlockSteps(Iterator["Step"]):
    """Generation under way, as `engine.Steps` is; a subclass says how a block of tokens is drawn and read.

    Args:
        engine: the model.
        state: where to begin; it is not changed.
        select: chooses the next ids. What a `Sampler` draws without bans of several tokens is drawn in blocks, what
            another chooses is read token by token.
    """

    def __init__(self, engine: "Engine", state: State, select: "Select") -> None:
        self.engine, self.select, self.position = engine, select, state.position
        self._sampler = select if isinstance(select, Sampler) and select.plan is not None else None
        self._state, self._written = replace(state, core=()), [np.zeros((0, len(state.ids)), np.int64)]
        self._size = 8
        self._before: tuple[int, Any] | None = None  # a position, and the memory that `_remember` gave there
        self._waiting: Ids | None = None  # what another than a sampler chose, (1, B), not read yet

    def __next__(self) -> "Step":
        from unspool.generate.engine import Step

        self._catch_up()
        device = self._state.ids.device
        if self._sampler is not None and self._room():
            ids, chances = self._note(*self._draw(self._sampler, 1, True))
            return Step(torch.from_numpy(ids[0])[:, None].to(device), torch.from_numpy(chances[0]).to(device))
        logits = self.logits
        chosen = self.select(logits, self.position)
        log_probability = at_least_float32(logits).log_softmax(dim=-1).gather(-1, chosen).squeeze(-1)
        self._waiting, self.position = np.ascontiguousarray(chosen.cpu().numpy().T), self.position + 1
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
            self._before = self.position, self._remember()
        began = time.perf_counter()
        ids, _ = self._note(*self._draw(self._sampler, number, False))
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
        position, memory = self._before
        kept = self._written.pop()[: self.position - number - position]
        self._go_back(memory)
        self.position = position
        if len(kept):
            self._read(np.ascontiguousarray(kept))
            self._note(kept, np.zeros((0, 0), np.float32))

    @property
    def logits(self) -> Tensor:
        """The scores of the next token, (B, V)."""
        self._catch_up()
        return self._logits()

    @property
    def state(self) -> State:
        """The state after the last step; it is a copy, which later steps do not change."""
        self._catch_up()
        return replace(self._state, core=self._core(), logits=self._logits(), ids=self._every())

    def _every(self) -> Tensor:
        """Everything that was read, (B, N)."""
        new = torch.from_numpy(np.concatenate(self._written).T.copy()).to(self._state.ids.device)
        return torch.cat([self._state.ids, new], dim=1)

    def _room(self) -> int:
        """How many tokens can be read before the window moves on."""
        remaining = self.engine.remaining(self.position)
        return MOST if remaining is None else min(MOST, remaining)

    def _note(self, ids: Ids, chances: NDArray[np.float32]) -> tuple[Ids, NDArray[np.float32]]:
        """Take down what was drawn and read."""
        self._written.append(ids)
        self.position += len(ids)
        self.engine.tokens_run += ids.size
        return ids, chances

    def _catch_up(self) -> None:
        """Read what was chosen last; where the window moves on, the last tokens anew."""
        from unspool.generate.engine import window_start

        if self._waiting is None:
            return
        chosen, self._waiting = self._waiting, None
        before, begin = (window_start(n, self.engine.max_length) for n in (self.position - 1, self.position))
        self._written.append(chosen)
        if begin == before:
            self._read(chosen)
            self.engine.tokens_run += chosen.size
        else:
            window = self._every()[:, begin:]
            self._restart(window)
            self.engine.tokens_run += window.numel()

    def _draw(self, sampler: Sampler, number: int, scored: bool) -> tuple[Ids, NDArray[np.float32]]:
        """Draw and read so many tokens: ids and the model's own log-probabilities, (n, B); these only where scored."""
        raise NotImplementedError

    def _read(self, ids: Ids) -> None:
        """Let every row read tokens (n, B)."""
        raise NotImplementedError

    def _restart(self, ids: Tensor) -> None:
        """Let every row read tokens (B, n) from an empty state."""
        raise NotImplementedError

    def _remember(self) -> Any:
        """A copy of the present memory, for `_go_back`."""
        raise NotImplementedError

    def _go_back(self, memory: Any) -> None:
        """Go back to the memory that `_remember` gave."""
        raise NotImplementedError

    def _logits(self) -> Tensor:
        """A copy of the scores of the next token, (B, V)."""
        raise NotImplementedError

    def _core(self) -> CoreState:
        """A copy of the core's state."""
        raise NotImplementedError
