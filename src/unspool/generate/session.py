"""Sessions: a text that is read and generated in turns, and can be rewound."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import TYPE_CHECKING

from jaxtyping import Float, Int
from torch import Tensor

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.errors import ConfigError
from unspool.generate.constraints import Constraint
from unspool.generate.engine import Engine, Steps
from unspool.generate.sampling import Sampling
from unspool.generate.scoring import one_run, read_scored
from unspool.generate.state import State
from unspool.generate.stream import Stream
from unspool.generate.text import BANNED, prime, token_before, warn_of_unknown

if TYPE_CHECKING:
    from unspool.generate.blocks import BlockSteps

MEMORY = 256 * 2**20
"""Bytes that the snapshots of a session may take."""
LEAST = 16
"""Snapshots are at least so many tokens apart."""
RECENT, RECENT_MEMORY = 32, 32 * 2**20
"""So many of the last states are kept too, and so many bytes: taking back the last token reads nothing."""
TAIL = 8
"""In so many tokens an unfinished character has begun."""


@dataclass(frozen=True)
class Snapshot:
    """A state without its ids, which the session has once."""

    state: State
    position: int
    size: int  # bytes
    marked: bool = False  # never dropped for its memory


def snapshot(state: State, marked: bool = False) -> Snapshot:
    """A state as a session keeps it."""
    kept = replace(state, ids=state.ids[:, :0].clone(), pending=b"")
    return Snapshot(kept, state.position, kept.size, marked)


class Session:
    """A text with a state that can be rewound to any earlier token.

    Snapshots of the state are kept about every sqrt(n) tokens, so going back reads few tokens again. When they take
    more than `memory` bytes every second one is dropped. The last states that `score` gave are kept as well.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        state: where to begin; None: with an empty text.
        memory: bytes that the snapshots may take.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "byte")
    >>> core = cores.build("core", "recurrent", width=8)
    >>> session = Session(Engine(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8))), tokenizer)
    >>> session.feed("To be, or not").position
    13
    >>> session.rewind(5).position, session.text
    (5, 'To be')
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, state: State | None = None, memory: int = MEMORY) -> None:
        self.engine, self.tokenizer, self.memory = engine, tokenizer, memory
        self.snapshots: list[Snapshot] = []
        self.recent: list[Snapshot] = []
        self._state: State | None = None
        self._stream: Stream | None = None
        self._spread = 1  # how many times farther apart than usual snapshots are
        if state is not None:
            self._take(state)
            self._state = state

    @property
    def state(self) -> State:
        """The state behind everything that was fed and generated; an empty session reads a line break first."""
        if self._stream is not None:
            self._state = self._stream.state
        if self._state is None:
            self._state = self._read(prime(self.engine.model, self.tokenizer, ""))
        return self._state

    @property
    def is_empty(self) -> bool:
        """Whether nothing was fed or generated yet."""
        return self._state is None and self._stream is None

    @property
    def text(self) -> str:
        """Everything that was fed and generated, as the tokenizer spells it."""
        return "" if self.is_empty else self.tokenizer.decode(self.state.ids[0].tolist())

    def feed(self, text: str) -> State:
        """Read a text.

        Args:
            text: what comes next; its unknown words are a UserWarning.

        Returns:
            The state behind it.
        """
        if not text:
            return self.state
        ids = prime(self.engine.model, self.tokenizer, text)
        warn_of_unknown(self.tokenizer, text)
        self._state = self._read(ids)
        return self._state

    def score(self, ids: Int[Tensor, "1 T"]) -> Iterator[Float[Tensor, "1 _"]]:
        """Read some tokens part by part, and say how likely the model thought each, given all before it.

        Every part is one run of the model, so that a caller who watches it knows which values are whose; the session
        may be left between two of them.

        Args:
            ids: the tokens (1, T).

        Returns:
            An iterator of the log-probabilities (1, T') of each part, in nats.

        >>> import torch
        >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
        >>> tokenizer = tokenizers.build("tokenizer", "byte")
        >>> core = cores.build("core", "recurrent", width=8)
        >>> session = Session(Engine(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8))), tokenizer)
        >>> [part.shape[1] for part in session.score(torch.tensor([[84, 111, 32, 98, 101]]))], session.position
        ([5], 6)
        """
        state = self.state
        self._stream = None
        while ids.shape[1]:
            size = max(1, min(one_run(self.engine, state.position), self._room(state.position)))
            state, log_probability = read_scored(self.engine, state, ids[:, :size])
            self._state, ids = state, ids[:, size:]
            if self._room(state.position) <= 0:
                self._take(state)
            self._remember(state)
            yield log_probability

    def write(
        self,
        length: int = 500,
        sampling: Sampling | None = None,
        *,
        seed: int | None = None,
        stop: Sequence[str] = (),
        ban: Sequence[str] = BANNED,
        bias: Mapping[str, float] | None = None,
        constraint: Constraint | None = None,
    ) -> Stream:
        """Generate text that belongs to the session as far as it is iterated over.

        Args:
            length: how many tokens at most.
            sampling: how to draw; None: from the model's own distribution.
            seed: the same seed generates the same text; None: that of the session.
            stop: the text ends before the first of these strings.
            ban: texts that are never generated.
            bias: what is added to the logits of texts.
            constraint: what all that is generated matches.

        Returns:
            An iterator of strings.
        """
        given = not self.is_empty
        state = self.state if seed is None else replace(self.state, seed=seed)
        before = token_before(self.tokenizer, "", state.ids, given)
        drawn = (length, sampling, stop, ban, before, bias, constraint)
        self._stream = Stream(self.engine, self.tokenizer, state, *drawn)
        self._stream.watch = self._watch
        return self._stream

    def go_on(self, state: State, snapshots: Sequence[State] = ()) -> None:
        """Take over what something else, such as a scheduler, has read and generated behind this session.

        Args:
            state: the state behind it.
            snapshots: states on the way, in order.
        """
        self._stream, self._state = None, state
        for one in snapshots:
            self._take(one)

    def fork(self) -> "Session":
        """Another session with the same text, which goes its own way; what both have read is in memory once."""
        other = Session(self.engine, self.tokenizer, memory=self.memory)
        other._state = None if self.is_empty else self.state
        other.snapshots, other._spread = list(self.snapshots), self._spread
        return other

    def rewind(self, position: int) -> State:
        """Go back to an earlier token.

        Args:
            position: how many tokens of the text stay; below zero, how many are taken away, counted from the end.

        Returns:
            The state there, as if nothing had come behind it: it agrees with a fresh reading to 1e-5.

        Raises:
            ConfigError: there is no such position.
        """
        state = self.state
        wanted = position + state.position if position < 0 else position
        if not 1 <= wanted <= state.position:
            raise ConfigError(
                f"cannot go to token {position} of {state.position}", hint=f"give a number from 1 to {state.position}"
            )
        again = self.at(wanted)
        self._stream = None
        if wanted < state.position:
            self.snapshots = [one for one in self.snapshots if one.position <= wanted]
            self.recent = [one for one in self.recent if one.position <= wanted]
            self._state = again
        return self.state

    def at(self, position: int) -> State:
        """The state at an earlier token, from 1 on, as `rewind` would give it; the session stays where it is.

        It is kept, so that asking for it again reads nothing.
        """
        state = self.state
        if position >= state.position:
            return state
        ids = state.ids[:, :position]
        kept = [one for one in (*self.snapshots, *self.recent) if one.position <= position]
        before = max(kept, key=lambda one: one.position, default=None)
        if before is None:
            again = self.engine.read(ids, replace(state, core=(), ids=ids[:, :0]))
        elif before.position == position:
            again = replace(before.state, ids=ids).fork()
        else:
            known = replace(before.state, ids=ids[:, : before.position])
            again = self.engine.read(ids[:, before.position :], known)
        again = replace(again, seed=state.seed, pending=unfinished(self.tokenizer, ids))
        if before is None or before.position < position:
            self._remember(again)
        return again

    def mark(self) -> None:
        """Keep a snapshot here for as long as nothing before it changes, whatever memory there is."""
        self.snapshots = [one for one in self.snapshots if one.position < self.state.position]
        self._take(self.state, marked=True)

    @property
    def position(self) -> int:
        """How many tokens were fed and generated."""
        return self.state.position

    def __repr__(self) -> str:
        size = sum(one.size for one in self.snapshots)
        position = 0 if self.is_empty else self.state.position
        return f"Session(position {position:,}, {len(self.snapshots)} snapshots, {size / 1e6:.1f} MB)"

    def _read(self, ids: Tensor) -> State:
        """The state behind these ids, with snapshots on the way."""
        state = None if self.is_empty else self.state
        self._stream = None
        while True:
            size = max(1, self._room(0 if state is None else state.position))
            state, ids = self.engine.read(ids[:, :size], state), ids[:, size:]
            if self._room(state.position) <= 0:
                self._take(state)
            if not ids.shape[1]:
                return state

    def _watch(self, steps: "Steps | BlockSteps") -> None:
        if self._room(steps.position) <= 0:
            self._take(steps.state)

    def _room(self, position: int) -> int:
        """How many tokens may be read until the next snapshot is due."""
        last = self.snapshots[-1].position if self.snapshots else 0
        return last + self._apart(position) - position

    def _apart(self, position: int) -> int:
        return max(LEAST, isqrt(position)) * self._spread

    def _take(self, state: State, marked: bool = False) -> None:
        """Keep a snapshot; where there are too many, every second one goes."""
        self.snapshots.append(snapshot(state, marked))
        while sum(one.size for one in self.snapshots) > self.memory:
            dropped = {one.position for one in self.snapshots[-2::-2] if not one.marked}
            if not dropped:
                break
            self.snapshots = [one for one in self.snapshots if one.position not in dropped]
            self._spread *= 2

    def _remember(self, state: State) -> None:
        """Keep one of the last states."""
        self.recent.append(snapshot(state))
        self.recent = self.recent[-min(RECENT, max(2, RECENT_MEMORY // max(1, self.recent[-1].size))) :]


def unfinished(tokenizer: Tokenizer, ids: Tensor) -> bytes:
    """The first bytes of a character that is not complete with the last of some ids, (1, N).

    >>> import torch
    >>> from unspool.data.tokenizer import tokenizers
    >>> unfinished(tokenizers.build("tokenizer", "byte"), torch.tensor([[97, 0xC3]]))
    b'\\xc3'
    """
    text = TextStream(tokenizer)
    for id in ids[0, -TAIL:].tolist():
        text.feed(id)
    return text.pending
