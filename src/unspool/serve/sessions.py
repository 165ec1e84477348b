"""/sessions: texts that are read and written in turns, forked, rewound, saved and restored."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import replace
from secrets import token_urlsafe
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.errors import BusyError
from unspool.generate.jobs import Job, Request
from unspool.generate.session import Session
from unspool.generate.state import State
from unspool.generate.text import prime
from unspool.serve.completions import BUFFER, known
from unspool.serve.events import EventStream, event
from unspool.serve.fields import Body, Draws, Name
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem
from unspool.serve.settings import Settings
from unspool.serve.store import StateStore

SNAPSHOTS = 2**20
"""Bytes that the snapshots of one session may take."""
EVERY = 256
"""So many tokens are read again at most to rewind a session, as long as its snapshots have room."""
Text = Annotated[str, Field(max_length=2**24)]


class NewSession(Body):
    """The body of POST /sessions."""

    model: Name
    text: Text = ""
    state: str | None = Field(None, max_length=100, description="A state that a session has saved.")


class Feed(Body):
    """The body of POST /sessions/{id}/feed."""

    text: Text


class Write(Draws):
    """The body of POST /sessions/{id}/write."""

    max_tokens: int = Field(100, ge=0, le=10**9)
    stream: bool = False


class Rewind(Body):
    """The body of POST /sessions/{id}/rewind."""

    position: int = Field(
        description="How many tokens stay; below zero, how many are taken away.", ge=-(2**53), le=2**53
    )


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


def moved(session: Session, job: Job) -> None:
    """Let a session go on behind what a job has read and written from its state."""
    state = job.states[0]
    if state is not None:
        session.go_on(replace(state, seed=session_seed(session, state)), job.snapshots)


def session_seed(session: Session, state: State) -> int:
    """The seed that a session keeps, whatever seed one text was written with."""
    return state.seed if session.is_empty else session.state.seed


async def feed(session: ServedSession, text: str) -> Job | None:
    """Read a text behind a session; the job that has read it."""
    if not text:
        return None
    model, state = session.model, None if session.session.is_empty else session.session.state
    ids = (await model.encode(text))[0] if state is None else (await asyncio.to_thread(ids_of, model, text))
    job = model.writer.submit(Request(ids, state, length=0, keep=True, every=EVERY))
    await model.writer.finished(job)
    moved(session.session, job)
    return job


def ids_of(model: ServedModel, text: str) -> list[int]:
    """The ids of a text that goes on."""
    return prime(model.engine.model, model.tokenizer, text)[0].tolist()


async def submitted(session: ServedSession, body: Write) -> Job:
    """The job that writes behind a session; an empty one reads a line break first."""
    model, empty = session.model, session.session.is_empty
    state = None if empty else session.session.state
    ids, before = await model.encode("", state)
    request = Request(
        ids,
        state,
        length=body.max_tokens,
        drawing=body.drawing(model),
        seed=body.seed,
        stop=body.stops,
        before=before,
        keep=True,
        every=EVERY,
        buffer=BUFFER if body.stream else 0,
    )
    return model.writer.submit(request)


def written(session: ServedSession, job: Job, reason: str, text: str | None = None) -> dict[str, Any]:
    """What an answer says of what was written."""
    moved(session.session, job)
    reason = reason if reason == "stop" else "length"
    more = {"tokens_written": job.tokens_written, "finish_reason": reason}
    return session.as_dict(job.tokens_read, **({} if text is None else {"text": text}), **more)


def router_of(models: Mapping[str, ServedModel], sessions: Sessions) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.post("/sessions")
    async def create(body: NewSession) -> Response:
        """A new session: empty, behind a text, or behind a saved state."""
        model = known(models, body.model)
        sessions.refuse_more()
        state = None if body.state is None else await restored(sessions.states, model, body.state)
        session = ServedSession(model, Session(model.engine, model.tokenizer, state, SNAPSHOTS))
        job = await feed(session, body.text)
        session.size = session.measured()
        return Answer(sessions.add(session).as_dict(0 if job is None else job.tokens_read))

    @router.get("/sessions/{id}")
    async def show(id: str) -> Response:
        """A session with its text."""
        session = sessions.find(id)
        return Answer(session.as_dict(text=session.session.text))

    @router.delete("/sessions/{id}")
    async def delete(id: str) -> Response:
        """Forget a session."""
        if not sessions.delete(id):
            raise Problem(404, "there is no such session", "id", "session_not_found")
        return Answer({"id": id, "object": "session", "deleted": True})

    @router.post("/sessions/{id}/feed")
    async def read(id: str, body: Feed) -> Response:
        """Read a text."""
        sessions.refuse_more()
        with sessions.using(id) as session:
            job = await feed(session, body.text)
            return Answer(session.as_dict(0 if job is None else job.tokens_read))

    @router.post("/sessions/{id}/write")
    async def write(id: str, body: Write) -> Response:
        """Write on."""
        sessions.refuse_more()
        if body.stream:
            session = sessions.idle(id)
            with sessions.using(id):
                session.job = await submitted(session, body)
            return EventStream(streamed(sessions, session, session.job))
        with sessions.using(id) as session:
            job = await submitted(session, body)
            pieces = await session.model.writer.finished(job)
            return Answer(written(session, job, pieces[-1].finished, "".join(piece.text for piece in pieces)))

    @router.post("/sessions/{id}/fork")
    async def fork(id: str) -> Response:
        """Another session that goes on from here."""
        session = sessions.find(id)
        return Answer(sessions.add(ServedSession(session.model, session.session.fork())).as_dict())

    @router.post("/sessions/{id}/rewind")
    async def rewind(id: str, body: Rewind) -> Response:
        """Go back to an earlier token."""
        with sessions.using(id) as session:
            engine = session.model.engine

            def back() -> int:
                before = engine.tokens_run
                session.session.rewind(body.position)
                return engine.tokens_run - before

            if session.session.is_empty:
                raise Problem(400, "the session is empty", "position")
            return Answer(session.as_dict(await session.model.between_steps(back)))

    @router.post("/sessions/{id}/save")
    async def save(id: str) -> Response:
        """Store the state, to restore it in this or a later server."""
        with sessions.using(id) as session:
            if session.session.is_empty:
                raise Problem(400, "the session is empty", "id")
            store, state = sessions.states, session.session.state
            name = await asyncio.to_thread(store.put, "state", session.model.name, state, {})
            return Answer(session.as_dict(state=name, durable=store.folder is not None))

    @router.delete("/states/{id}")
    async def forget(id: str) -> Response:
        """Delete a stored state."""
        if not id.startswith("state_") or not sessions.states.delete(id):
            raise Problem(404, "there is no such state", "id", "state_not_found")
        return Answer({"id": id, "object": "state", "deleted": True})

    return router


async def restored(store: StateStore, model: ServedModel, name: str) -> State:
    """A state by the name that it was stored under."""
    found = await asyncio.to_thread(store.get, name) if name.startswith("state_") else None
    if found is None:
        raise Problem(404, "there is no such state", "state", "state_not_found")
    if found.model != model.name:
        raise Problem(400, f"the state belongs to the model {found.model}", "state")
    return found.state if found.path is None else await model.load_state(found.path)


async def streamed(sessions: Sessions, session: ServedSession, job: Job) -> AsyncGenerator[bytes, None]:
    """What a session writes, as it comes; whoever leaves before the end leaves the session as it was."""
    reason = ""
    try:
        async with aclosing(session.model.writer.pieces(job)) as parts:
            async for pieces in parts:
                reason = pieces[-1].finished
                text = "".join(piece.text for piece in pieces)
                if text:
                    yield event({"text": text})
        yield event(written(session, job, reason))
    finally:
        session.job = None
        sessions.touch(session)
