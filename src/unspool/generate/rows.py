"""Texts of different lengths that are stepped side by side, as one batch."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unspool.generate.engine import Engine, window_start
from unspool.generate.state import State
from unspool.nn.part import CoreState, fork, select


class Row:
    """What a row of a batch has for itself: which tokens it has read. Its core and scores are in the batch.

    Args:
        state: that it begins with.

    >>> row = Row(State(core=(), logits=torch.zeros(1, 5), ids=torch.tensor([[3, 1]])))
    >>> row.append(4, limit=2), row.position, row.ids(begin=1)  # the window of two tokens moves on
    (True, 3, tensor([[1, 4]]))
    """

    def __init__(self, state: State) -> None:
        self.start = replace(state, core=(), logits=state.logits[:, :0])
        self.written: list[int] = []  # a tensor for each step would be copied each time

    @property
    def position(self) -> int:
        """How many tokens the row has read."""
        return self.start.position + len(self.written)

    def ids(self, begin: int = 0) -> Int[Tensor, "1 N"]:
        """The ids of its tokens, from a position on."""
        new = torch.tensor([self.written], dtype=self.start.ids.dtype, device=self.start.ids.device)
        return torch.cat([self.start.ids, new], dim=1)[:, begin:]

    def append(self, id: int, limit: int | None) -> bool:
        """Note the next token. Returns: whether the window moves on with it, where caches are limited."""
        before = window_start(self.position, limit)
        self.written.append(id)
        return window_start(self.position, limit) != before

    def state(self, core: CoreState, logits: Float[Tensor, "1 V"]) -> State:
        """Its state, with what the batch has of it."""
        return replace(self.start, core=core, logits=logits, ids=self.ids())


class Rows:
    """The live rows of a ragged batch: they begin at different positions, come when they like and leave when they like.

    A row goes on as it would alone, up to the rounding of products of other sizes. Recurrent states are joined; the
    caches of attention, which may have room for different numbers of tokens, are padded to the largest. A row whose
    window moves on (`window_start`) is read anew by itself.

    Args:
        engine: the model.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> engine = Engine(model)
    >>> rows = Rows(engine)
    >>> short, long = rows.add(engine.read(torch.tensor([[1]]))), rows.add(engine.read(torch.tensor([[1, 2, 3]])))
    >>> rows.advance(rows.logits.argmax(dim=-1, keepdim=True))
    >>> rows.remove(short).position, rows.keys == [long], rows.remove(long).position
    (2, True, 4)
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._rows: dict[int, Row] = {}
        self._joined: list[int] = []  # the keys in the joint core, those that have left among them
        self._core: CoreState = ()
        self._logits: Tensor | None = None
        self._new: dict[int, State] = {}  # rows that have not been stepped yet
        self._count = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def keys(self) -> list[int]:
        """The rows in the order of `logits` and of `advance`; a step may change the order."""
        return [*(key for key in self._joined if key in self._rows), *self._new]

    @property
    def logits(self) -> Float[Tensor, "B V"]:
        """The scores of the next token of every row, in the order of `keys`."""
        parts = [one.logits for one in self._new.values()]
        if self._logits is not None:
            stay = [place for place, key in enumerate(self._joined) if key in self._rows]
            whole = len(stay) == len(self._joined)
            parts.insert(0, self._logits if whole else self._logits[stay])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def add(self, state: State) -> int:
        """Let a text take part.

        Args:
            state: of one row, behind at least one token; it is not changed.

        Returns:
            The key of the row.
        """
        self._count += 1
        self._rows[self._count] = Row(state)
        self._new[self._count] = state
        return self._count

    def state(self, key: int) -> State:
        """A copy of the state of a row, as it would be alone."""
        if key in self._new:
            return self._new[key].fork()
        row = self._rows[key]
        place = torch.tensor([self._joined.index(key)], device=row.start.ids.device)
        logits = self._logits.index_select(0, place)  # type: ignore[union-attr]
        return row.state(select(self._core, place), logits)

    def remove(self, key: int) -> State:
        """Take a row out of the batch; its state comes back."""
        state = self._new.pop(key) if key in self._new else self.state(key)
        self.discard(key)
        return state

    def discard(self, key: int) -> None:
        """Take a row out of the batch whose state nobody wants."""
        del self._rows[key]
        self._new.pop(key, None)

    def advance(self, ids: Int[Tensor, "B 1"]) -> None:
        """Let every row read one more token.

        Args:
            ids: the token of each row, in the order of `keys`.
        """
        if not self._rows:
            return
        keys, limit = self.keys, self.engine.max_length
        moved = [self._rows[key].append(id, limit) for key, id in zip(keys, ids.flatten().tolist(), strict=True)]
        moving = [place for place, one in enumerate(moved) if one]
        self._settle()
        parts = []
        if len(moving) < len(keys):
            core, fed, stay = self._core, ids.to(self.engine.model.device), keys
            if moving:
                stay = [key for place, key in enumerate(keys) if place not in set(moving)]
                places = torch.tensor([keys.index(key) for key in stay], device=fed.device)
                core, fed = select(core, places), fed.index_select(0, places)
            parts.append((*self.engine._run(fed, core), stay))
        parts += [(*self._reread(keys[place]), [keys[place]]) for place in moving]
        self._core, self._logits = _join([core for core, _, _ in parts]), torch.cat([part[1] for part in parts])
        self._joined = [key for part in parts for key in part[2]]

    def _reread(self, key: int) -> tuple[CoreState, Tensor]:
        """The window of a row, which has moved on, read from an empty state."""
        row = self._rows[key]
        return self.engine._restart(row.start, row.ids(window_start(row.position, self.engine.max_length)))

    def _settle(self) -> None:
        """Let the rows that came join the batch, and those that left leave it: afterwards it is as `keys` says."""
        stay = [place for place, key in enumerate(self._joined) if key in self._rows]
        parts = [fork(one.core) for one in self._new.values()]
        if stay:
            kept = torch.tensor(stay, device=self.engine.model.device)
            parts.insert(0, self._core if len(stay) == len(self._joined) else select(self._core, kept))
        self._joined, self._new = self.keys, {}
        self._core = _join(parts)


def _join(states: Sequence[CoreState]) -> CoreState:
    """The rows of several states of one structure below each other; what is shorter is padded with zeros."""
    if len(states) == 1:
        return states[0]
    return tuple(_stack(parts) if isinstance(parts[0], Tensor) else _join(parts) for parts in zip(*states, strict=True))


def _stack(parts: Sequence[Tensor]) -> Tensor:
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, parts[0].dim())]
    return torch.cat([_padded(part, sizes) for part in parts])


def _padded(part: Tensor, sizes: Sequence[int]) -> Tensor:
    missing = [size - have for size, have in zip(sizes, part.shape[1:], strict=True)]
    if not any(missing):
        return part
    return F.pad(part, [n for one in reversed(missing) for n in (0, one)])
