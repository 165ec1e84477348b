"""Reads an input that goes on, and gives the scores at every position of it."""

import torch
from torch import Tensor

from unspool.generate.engine import CHUNK, Engine, window_start
from unspool.generate.state import State
from unspool.nn.part import CoreState, fork


class Reader:
    """Reads inputs as they come and gives the scores at each: a sound that goes on, say.

    Memory stays constant: of what was read only the state is kept, and where the core reads at most L positions the
    last L inputs, which it reads anew from `window_start` on.

    >>> from unspool import SequenceModel, Vectors, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Vectors(3), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> reader = Engine(model).reader()
    >>> [reader.feed(torch.zeros(1, frames, 3)).shape[1] for frames in (4, 1)], reader.position
    ([4, 1], 5)
    """

    def __init__(self, engine: Engine, state: State | None = None) -> None:
        self.engine, self.position = engine, 0 if state is None else state.position  # how many positions were read
        self._core: CoreState | None = None if state is None else fork(state.core)
        self._source = (None, None) if state is None else (state.source, state.source_mask)
        limit = engine.max_length
        self._recent = None if state is None or limit is None else state.ids[:, -limit:]  # the last inputs

    @property
    def core(self) -> CoreState:
        """A copy of the core's state behind the last input; empty before the first."""
        return () if self._core is None else fork(self._core)

    def feed(self, inputs: Tensor) -> Tensor:
        """The scores (B, T, V) at some more inputs, ids (B, T) or numbers (B, T, F), given all before them."""
        inputs, limit, found = inputs.to(self.engine.model.device), self.engine.max_length, []
        while inputs.shape[1]:
            end = self.position + CHUNK if limit is None else window_start(self.position + 1, limit) + limit
            part, inputs = inputs[:, : end - self.position], inputs[:, end - self.position :]
            found.append(self._read(part, limit))
        return torch.cat(found, dim=1)

    def _read(self, part: Tensor, limit: int | None) -> Tensor:
        """The scores at inputs behind each of which the window begins at the same one."""
        before, begin = (window_start(n, limit) for n in (self.position, self.position + 1))
        self.position += part.shape[1]
        read = part
        if limit is not None:
            kept = part if self._recent is None else torch.cat([self._recent, part], dim=1)
            self._recent = kept[:, -limit:]
            read = kept[:, -(self.position - begin) :] if begin != before else part
        if self._core is None or begin != before:
            self._core = self.engine._start(self.engine._nothing(read, 0, *self._source), read)
        scores, self._core = self.engine._scores(read, self._core)
        return scores[:, -part.shape[1] :]
