"""/sessions: texts that are read and written in turns, forked, rewound, saved and restored."""

import asyncio
from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.generate.session import Session
from unspool.serve.completions import known
from unspool.serve.events import EventStream
from unspool.serve.fields import Body, Name
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem
from unspool.serve.sessions import ServedSession, Sessions
from unspool.serve.turns import Feed, Text, Write, feed, streamed, submitted, written

SNAPSHOTS = 2**20
"""Bytes that the snapshots of one session may take."""


class NewSession(Body):
    """The body of POST /sessions."""

    model: Name
    text: Text = ""
    state: str | None = Field(None, max_length=100, description="A state that a session has saved.")


class Rewind(Body):
    """The body of POST /sessions/{id}/rewind."""

    position: int = Field(
        description="How many tokens stay; below zero, how many are taken away.", ge=-(2**53), le=2**53
    )


def router_of(models: Mapping[str, ServedModel], sessions: Sessions) -> APIRouter:
    """All routes."""
    router = APIRouter()
    add_turns(router, sessions)

    @router.post("/sessions")
    async def create(body: NewSession) -> Response:
        """A new session: empty, behind a text, or behind a saved state."""
        model = known(models, body.model)
        sessions.refuse_more()
        state = None if body.state is None else await model.stored(sessions.states, "state", body.state, "state")
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
        sessions.delete(sessions.find(id).id)
        return Answer({"id": id, "object": "session", "deleted": True})

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


def add_turns(router: APIRouter, sessions: Sessions) -> None:
    """The routes that change a session."""

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
