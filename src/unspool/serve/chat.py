"""/v1/chat/completions, for runs whose folder has a chat template."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from secrets import token_hex
from time import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.generate.jobs import Job, Piece, Request
from unspool.serve.completions import BUFFER, known
from unspool.serve.events import DONE, EventStream, event
from unspool.serve.fields import Body, Count, FormattedDraws, Name, StreamOptions, finish_reason, usage_of
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem

USUAL_LENGTH = 256


class ChatMessage(Body):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=2**24)]
    name: str | None = None


class ChatBody(FormattedDraws):
    """The body of /v1/chat/completions."""

    model: Name
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    max_tokens: int | None = Field(None, ge=1, le=10**9)
    max_completion_tokens: int | None = Field(None, ge=1, le=10**9)
    n: Count = 1
    stream: bool = False
    stream_options: StreamOptions | None = None


def router_of(models: Mapping[str, ServedModel]) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.post("/v1/chat/completions")
    async def chat(body: ChatBody) -> Response:
        """Answer the last of some messages."""
        model = known(models, body.model)
        ids, before = await model.encode(rendered(model.template, body.messages))
        length, drawing = body.max_completion_tokens or body.max_tokens or USUAL_LENGTH, body.drawing(model)
        request = Request(
            ids,
            length=length,
            drawing=drawing,
            seed=body.seed,
            stop=body.stops,
            count=body.n,
            before=before,
            buffer=BUFFER * body.n if body.stream else 0,
            constraint=await model.constraint(body.wanted(), drawing),
        )
        job = model.writer.submit(request)
        if body.stream:
            return EventStream(streamed(model, body, job))
        pieces = await model.writer.finished(job)
        choices = [
            {"index": row, "logprobs": None, "finish_reason": reason_of(pieces, row),
             "message": {"role": "assistant", "content": text_of(pieces, row), "refusal": None}}
            for row in range(body.n)
        ]  # fmt: skip
        return Answer({**head(model, "chat.completion"), "choices": choices, "usage": usage(job)})

    return router


def rendered(template: str, messages: list[ChatMessage]) -> str:
    """The prompt that a template makes of messages, as Hugging Face's templates are written.

    Raises:
        Problem: the template does not take these messages.

    >>> template = "{% for one in messages %}<{{ one.role }}>{{ one.content }}{% endfor %}"
    >>> rendered(template, [ChatMessage(role="user", content="hi")])
    '<user>hi'
    """
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    given = [message.model_dump(exclude_none=True) for message in messages]
    try:
        return environment.from_string(template).render(messages=given, add_generation_prompt=True)
    except TemplateError as error:
        raise Problem(400, f"the chat template does not take these messages: {error}"[:300], "messages") from None


def head(model: ServedModel, kind: str) -> dict[str, Any]:
    """What every answer begins with."""
    return {"id": f"chatcmpl-{token_hex(12)}", "object": kind, "created": int(time()), "model": model.name}


def usage(job: Job) -> dict[str, Any]:
    """How many tokens a job has used."""
    return usage_of(len(job.request.ids), job.tokens_written, job.tokens_read)


def text_of(pieces: list[Piece], row: int) -> str:
    """The text of one choice."""
    return "".join(piece.text for piece in pieces if piece.row == row)


def reason_of(pieces: list[Piece], row: int) -> str | None:
    """Why a choice has ended; None: it has not."""
    found = next((piece.finished for piece in pieces if piece.row == row and piece.finished), None)
    return None if found is None else finish_reason(found)


async def streamed(model: ServedModel, body: ChatBody, job: Job) -> AsyncGenerator[bytes, None]:
    """The answer in parts."""
    beginning = head(model, "chat.completion.chunk")

    def part(row: int, delta: dict[str, str], reason: str | None = None) -> bytes:
        return event({**beginning, "choices": [{"index": row, "delta": delta, "finish_reason": reason}]})

    for row in range(body.n):
        yield part(row, {"role": "assistant", "content": ""})
    async with aclosing(model.writer.pieces(job)) as parts:
        async for pieces in parts:
            for row in {piece.row for piece in pieces}:
                text = text_of(pieces, row)
                yield part(row, {"content": text} if text else {}, reason_of(pieces, row))
    if body.stream_options is not None and body.stream_options.include_usage:
        yield event({**beginning, "choices": [], "usage": usage(job)})
    yield DONE
