"""What is asked of a scheduler, and what comes out of it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import NamedTuple

from unspool.errors import UnspoolError
from unspool.generate.constraints import TokenConstraint
from unspool.generate.draws import Drawing
from unspool.generate.state import State

Likely = tuple[tuple[int, float], ...]
"""The likeliest ids in a place, each with its log-probability, the likeliest first."""


@dataclass(frozen=True)
class Limits:
    """What a scheduler takes on.

    Args:
        live: rows that are stepped side by side.
        waiting: requests that wait for their turn.
        prompt: tokens that a request reads.
        length: tokens that each of its rows generates.
        seconds: after so long it ends with what there is.
        memory: bytes that the states of the live rows take.
    """

    live: int = 256
    waiting: int = 1024
    prompt: int = 100_000
    length: int = 16_384
    seconds: float = 600.0
    memory: int = 2**30


@dataclass(frozen=True)
class Request:
    """Texts to be generated behind one prompt, or a text to be read (`length` 0).

    Args:
        ids: of the prompt; empty: nothing is read, and there is a state.
        state: what was read before; None: nothing.
        length: how many tokens each text has at most.
        drawing: how to draw.
        seed: of the first text; those of the others follow from it. None: that of the state, or a random one.
        stop: a text ends before the first of these strings.
        count: how many texts.
        before: the token after which the texts are spelt.
        top: so many of the likeliest ids are given for each place, with the log-probabilities; -1: neither.
        echo: whether the log-probabilities of the prompt are wanted too.
        keep: whether the states behind the texts are wanted.
        every: a state is kept at least every so many tokens on the way; 0: none.
        buffer: pieces that wait to be taken at most: then the texts pause. 0: any number, and nobody is woken before
            all texts have ended.
        constraint: what every text matches, or begins to match where `length` is less than it may need; None: none.
    """

    ids: Sequence[int] = ()
    state: State | None = None
    length: int = 500
    drawing: Drawing = field(default_factory=Drawing)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    count: int = 1
    before: int | None = None
    top: int = -1
    echo: bool = False
    keep: bool = False
    every: int = 0
    buffer: int = 0
    constraint: TokenConstraint | None = None


class Piece(NamedTuple):
    """What one token adds to a text; the last piece of a text has no token and says why it ended."""

    row: int  # the number of the text, from 0
    id: int | None
    text: str
    log_probability: float | None = None  # nats, of the model itself
    top: Likely = ()
    finished: str = ""  # "length", "stop", "constraint", "time" or "cancelled"


class Job:
    """A request under way: pieces are taken from it while they come.

    Any one thread may use it; `wait` blocks, and whoever may not block sets `Scheduler.listener`.

    >>> job = Job(Request(), seconds=60.0, wake=lambda job: None)
    >>> job.put(Piece(0, 5, "a"))
    >>> job.take(), job.take(), job.done
    ([Piece(row=0, id=5, text='a', log_probability=None, top=(), finished='')], [], False)
    """

    def __init__(self, request: Request, seconds: float, wake: Callable[["Job"], None]) -> None:
        self.request, self._wake = request, wake
        self.began = monotonic()
        self.deadline = self.began + seconds
        self.tokens_read = 0  # what the model ran over to read the prompt
        self.tokens_written = 0
        self.prompt_scores: list[tuple[float | None, Likely]] = []
        self.states: list[State | None] = [None] * request.count  # behind the texts
        self.snapshots: list[State] = []  # on the way to the first of them, the prompt's among them
        self.error: Exception | None = None
        self.cancelled = self.paused = self.done = False
        self._pieces: deque[Piece] = deque()
        self._news = Event()
        self._open = request.count  # texts that have not ended

    def take(self) -> list[Piece]:
        """All pieces that wait; the texts go on where they paused.

        Raises:
            UnspoolError: the request has failed.
        """
        self._news.clear()
        found = []
        while self._pieces:
            found.append(self._pieces.popleft())
        if self.paused and not self.done:
            self._wake(self)
        if not found and self.error is not None:
            raise self.error
        return found

    def wait(self, seconds: float | None = None) -> bool:
        """Block until there is something to take or all has ended; false where that took too long."""
        return bool(self._pieces) or self.done or self._news.wait(seconds)

    def cancel(self) -> None:
        """Nobody wants the rest."""
        if not self.done:
            self.cancelled = True
            self._wake(self)

    def __iter__(self) -> Iterator[Piece]:
        """Every piece, in the order in which they come."""
        while True:
            self.wait()
            ended = self.done
            yield from self.take()
            if ended:
                break
        if self.error is not None:
            raise self.error

    def text(self, row: int = 0) -> str:
        """Block until all has ended, and join the pieces of one text."""
        return "".join(piece.text for piece in self if piece.row == row)

    # what the scheduler calls

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be taken that the texts should pause."""
        return 0 < self.request.buffer <= len(self._pieces)

    def put(self, piece: Piece) -> None:
        """Add a piece."""
        self._pieces.append(piece)
        self.tokens_written += piece.id is not None

    def end(self, row: int, text: str, reason: str, state: State | None = None) -> None:
        """End one of the texts."""
        self.states[row] = state
        self.put(Piece(row, None, text, finished=reason))
        self._open -= 1
        self.done = not self._open

    def fail(self, error: Exception) -> None:
        """End all of it."""
        self.error = error if isinstance(error, UnspoolError) else UnspoolError(f"{type(error).__name__}: {error}")
        self.done = True

    def notify(self) -> bool:
        """Wake whoever waits for it; whether somebody is waiting."""
        if not self.done and not self.request.buffer:
            return False
        self._news.set()
        return True
