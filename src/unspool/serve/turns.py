"""What a session reads and writes, through the scheduler of its model."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from unspool.generate.jobs import Job, Request
from unspool.generate.session import Session
from unspool.generate.state import State
from unspool.generate.text import prime
from unspool.serve.completions import BUFFER
from unspool.serve.events import event
from unspool.serve.fields import Body, FormattedDraws, finish_reason
from unspool.serve.models import ServedModel
from unspool.serve.sessions import ServedSession, Sessions

EVERY = 256
"""So many tokens are read again at most to rewind a session, as long as its snapshots fit."""
Text = Annotated[str, Field(max_length=2**24)]


class Feed(Body):
    """The body of POST /sessions/{id}/feed."""

    text: Text


class Write(FormattedDraws):
    """The body of POST /sessions/{id}/write."""

    max_tokens: int = Field(100, ge=0, le=10**9)
    stream: bool = False


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
    drawing = body.drawing(model)
    request = Request(
        ids,
        state,
        length=body.max_tokens,
        drawing=drawing,
        seed=body.seed,
        stop=body.stops,
        before=before,
        keep=True,
        every=EVERY,
        buffer=BUFFER if body.stream else 0,
        constraint=await model.constraint(body.wanted(), drawing),
    )
    return model.writer.submit(request)


def written(session: ServedSession, job: Job, reason: str, text: str | None = None) -> dict[str, Any]:
    """What an answer says of what was written."""
    moved(session.session, job)
    more = {"tokens_written": job.tokens_written, "finish_reason": finish_reason(reason)}
    return session.as_dict(job.tokens_read, **({} if text is None else {"text": text}), **more)


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
