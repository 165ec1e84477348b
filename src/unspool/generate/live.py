"""The texts that a scheduler steps, and what it needs of the batch that they are in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.generate.constrained_draws import ConstrainedDraw
from unspool.generate.draws import RowDraw
from unspool.generate.jobs import Job, Likely, Piece
from unspool.generate.prompts import log_probabilities
from unspool.generate.state import State
from unspool.generate.text import StopText


@runtime_checkable
class LiveRows(Protocol):
    """What the scheduler needs of `Rows`, so that something faster may take its place."""

    @property
    def keys(self) -> list[int]:
        """The rows in order."""

    @property
    def logits(self) -> Float[Tensor, "B V"]:
        """The scores of the next token of every row."""

    def add(self, state: State) -> int:
        """Let a text take part."""

    def remove(self, key: int) -> State:
        """Take a row out; its state comes back."""

    def discard(self, key: int) -> None:
        """Take a row out whose state nobody wants."""

    def state(self, key: int) -> State:
        """A copy of the state of a row."""

    def advance(self, ids: Int[Tensor, "B 1"]) -> None:
        """Let every row read one more token."""


class LiveText:
    """One text of a job while it is generated.

    Args:
        job: that it belongs to.
        row: its number there.
        state: where it begins.
        tokenizer: spells its tokens.

    Raises:
        ConfigError: nothing can be drawn.
    """

    def __init__(self, job: Job, row: int, state: State, tokenizer: Tokenizer) -> None:
        request = job.request
        self.job, self.row, self.count = job, row, 0
        self.draw = RowDraw(state, request.drawing)
        if request.constraint is not None:
            self.draw = ConstrainedDraw(state, request.drawing, request.constraint, request.length)
        self.text, self.stop = TextStream(tokenizer, request.before), StopText(request.stop)
        self.held = self.stop.feed(self.text.decoder.decode(state.pending))  # shown with the first token
        self.state: State | None = state  # where it is while it is not in the batch
        self.size = state.size
        self.kept = state.position  # where the last snapshot was taken

    @property
    def wants_snapshot(self) -> bool:
        """Whether its state should be kept here."""
        every = self.job.request.every
        return bool(every) and self.row == 0 and self.draw.position - self.kept >= every

    @property
    def ended(self) -> bool:
        """Whether the end of its constraint was drawn, in place of a token."""
        return isinstance(self.draw, ConstrainedDraw) and self.draw.ended

    def take(self, id: int, log_probability: float | None, top: Likely) -> str:
        """Go on behind a token; why the text has ended, or "" if it goes on."""
        shown = self.held + self.stop.feed(self.text.feed(id))
        self.held, self.count = "", self.count + 1
        self.job.put(Piece(self.row, id, shown, log_probability, top))
        if self.stop.stopped:
            return "stop"
        if isinstance(self.draw, ConstrainedDraw) and self.draw.is_complete:
            return "constraint"
        return "length" if self.count == self.job.request.length else ""

    def end(self, reason: str, state: State | None) -> None:
        """End the text; a state that is kept knows what was not shown."""
        rest = self.held + (self.stop.flush() if reason in ("length", "constraint") else "")
        if state is not None:
            pending = b"" if self.stop.stopped else self.stop.held.encode() + self.text.pending
            state = replace(state, pending=pending)
        self.job.end(self.row, rest, reason, state)


def scores_of(texts: Sequence[LiveText], logits: Tensor, ids: Tensor) -> dict[int, tuple[float, Likely]]:
    """The log-probabilities of drawn ids (B, 1) in logits (B, V), by place, of those texts that want them."""
    places = [place for place, text in enumerate(texts) if text.job.request.top >= 0]
    if not places:
        return {}
    top = max(texts[place].job.request.top for place in places)
    found = log_probabilities(logits[places], ids[places].flatten().tolist(), top)
    return {
        place: (value, likely[: texts[place].job.request.top])
        for place, (value, likely) in zip(places, found, strict=True)
    }
