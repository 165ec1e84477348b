"""The sessions of a server: who uses which, how much memory they take, and when they expire."""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_urlsafe
from time import monotonic
from typing import Any

from unspool.errors import BusyError
from unspool.generate.jobs import Job
from unspool.generate.session import Session
from unspool.serve.models import ServedModel
from unspool.serve.problems import Problem
from unspool.serve.settings import Settings
from unspool.serve.store import StateStore


class ServedSession:
    """A session that is handed from request to request.

    Args:
        model: whose text it is.
        session: with its snapshots.
    """

    def __init__(self, model: ServedModel, session: Session) -> None:
        self.id, self.model, self.session = f"session_{token_urlsafe(24)}", model, session
        self.locked, self.used = False, monotonic()
        self.job: Job | None = None  # that streams
        self.size = self.measured()

    @property
    def busy(self) -> bool:
        """Whether a request is using it; a stream that nobody ever read is given up at its deadline."""
        return self.locked or (self.job is not None and monotonic() < self.job.deadline + 1)

    @property
    def position(self) -> int:
        """How many tokens it has read or written."""
        return 0 if self.session.is_empty else self.session.state.position

    def measured(self) -> int:
        """Bytes that its tensors take."""
        held = 0 if self.session.is_empty else self.session.state.size
        return held + sum(one.state.size for one in self.session.snapshots)

    def as_dict(self, tokens_read: int = 0, **more: Any) -> dict[str, Any]:
        """What an answer says of it."""
        about = {"id": self.id, "object": "session", "model": self.model.name, "position": self.position}
        return {**about, "tokens_read": tokens_read, "bytes": self.measured(), **more}


class Sessions:
    """All sessions of a server.

    Args:
        settings: how much memory they may take, and how long they are kept.
        states: where they are saved.
    """

    def __init__(self, settings: Settings, states: StateStore) -> None:
        self.settings, self.states, self.size = settings, states, 0
        self._found: dict[str, ServedSession] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, session: ServedSession) -> ServedSession:
        """Keep a session. Raises: BusyError where there is no memory for it."""
        self.expire()
        if self.size + session.size > self.settings.session_bytes:
            raise BusyError("the sessions take all the memory that they may", hint="delete some")
        self._found[session.id] = session
        self.size += session.size
        return session

    def delete(self, id: str) -> bool:
        """Forget a session; false where there is none."""
        found = self._found.pop(id, None)
        self.size -= 0 if found is None else found.size
        return found is not None

    def expire(self) -> None:
        """Forget those that nobody has used for long; the first are those that were used longest ago."""
        oldest = monotonic() - self.settings.keep
        while self._found:
            first = next(iter(self._found.values()))
            if first.busy or first.used > oldest:
                return
            self.delete(first.id)

    def find(self, id: str) -> ServedSession:
        """The session of that name. Raises: Problem where there is none."""
        self.expire()
        if id not in self._found:
            raise Problem(404, "there is no such session", "id", "session_not_found")
        return self._found[id]

    @contextmanager
    def using(self, id: str) -> Iterator[ServedSession]:
        """A session that nobody else may change meanwhile. Raises: Problem where somebody does."""
        session = self.idle(id)
        session.locked = True
        try:
            yield session
        finally:
            session.locked = False
            self.touch(session)

    def idle(self, id: str) -> ServedSession:
        """A session that no request is using. Raises: Problem."""
        session = self.find(id)
        if session.busy:
            raise Problem(409, "another request is using the session", "id", "session_busy")
        return session

    def touch(self, session: ServedSession) -> None:
        """Note that a session was used, and how much memory it takes now."""
        session.used = monotonic()
        if self._found.pop(session.id, None) is not None:
            self.size -= session.size
            session.size = session.measured()
            self._found[session.id] = session  # behind the others
            self.size += session.size

    def refuse_more(self) -> None:
        """Raise a BusyError where no session may grow."""
        self.expire()
        if self.size > self.settings.session_bytes:
            raise BusyError("the sessions take all the memory that they may", hint="delete some")
