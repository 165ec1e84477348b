"""/v1/responses: a stored response is a state, so that any earlier turn can be gone on from."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from itertools import count
from secrets import token_hex
from time import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from unspool.generate.draws import Drawing
from unspool.generate.jobs import Job, Request
from unspool.generate.state import State, new_seed
from unspool.serve.completions import BUFFER, known
from unspool.serve.constraints import WantedConstraint
from unspool.serve.events import EventStream, event
from unspool.serve.fields import (
    ANY_OBJECT,
    Body,
    Draws,
    JsonObject,
    Name,
    NamedSchema,
    PlainText,
    finish_reason,
    refuse_two,
)
from unspool.serve.models import ServedModel
from unspool.serve.problems import Answer, Problem
from unspool.serve.store import StateStore, new_name

Text = Annotated[str, Field(max_length=2**24)]
USUAL_LENGTH = 256


class Content(Body):
    """A part of a message."""

    type: Literal["input_text", "output_text", "text"]
    text: Text
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class Message(Body):
    """A message of the input; the model does not see its role, nor its phase."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer", "assistant"]
    content: Text | Annotated[list[Content], Field(max_length=1000)]
    id: str | None = None
    status: str | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    @property
    def text(self) -> str:
        """Its text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class FlatJsonSchema(NamedSchema):
    """JSON that a schema allows, as /v1/responses has it."""

    type: Literal["json_schema"]


class TextOptions(Body):
    """The form of the text."""

    format: Annotated[PlainText | JsonObject | FlatJsonSchema, Field(discriminator="type")] | None = None


class ResponseBody(Draws):
    """The body of POST /v1/responses."""

    model: Name
    input: Text | Annotated[list[Message], Field(max_length=10_000)] = ""
    instructions: Text | None = None
    previous_response_id: str | None = Field(None, max_length=100)
    store: bool = True
    max_output_tokens: int | None = Field(None, ge=1, le=10**9)
    stream: bool = False
    metadata: dict[str, str] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    text: TextOptions | None = None
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None

    def wanted(self) -> WantedConstraint | None:
        """What the text has to match; None: anything. Raises: Problem where two things are asked for."""
        form, found = None if self.text is None else self.text.format, super().wanted()
        if form is None or isinstance(form, PlainText):
            return found
        refuse_two(found, "text.format")
        schema = ANY_OBJECT if isinstance(form, JsonObject) else form.schema_
        return WantedConstraint.of_schema(schema, "text.format")

    @property
    def prompt(self) -> str:
        """What the model reads: the instructions, if any, and the texts of the input, a line break between them."""
        given = [self.input] if isinstance(self.input, str) else [message.text for message in self.input]
        return "\n".join([*([self.instructions] if self.instructions else []), *given])


def router_of(models: Mapping[str, ServedModel], store: StateStore) -> APIRouter:
    """The routes."""
    router = APIRouter()

    @router.post("/v1/responses")
    async def respond(body: ResponseBody) -> Response:
        """Go on with an input, behind an earlier response if one is named."""
        model = known(models, body.model)
        drawing = body.drawing(model)
        before, earlier = None, body.previous_response_id
        if earlier is not None:
            before = await model.stored(store, "resp", earlier, "previous_response_id")
        reply = Reply(model, body, store, before)
        reply.job = model.writer.submit(await request_of(model, body, before, drawing))
        return EventStream(reply.stream()) if body.stream else Answer(await reply.answer())

    @router.get("/v1/responses/{id}")
    async def show(id: str) -> Response:
        """A stored response."""
        found = await asyncio.to_thread(store.get, id) if id.startswith("resp_") else None
        if found is None:
            raise Problem(404, "there is no such response", "id", "response_not_found")
        return Answer({**found.info, "id": id})

    @router.delete("/v1/responses/{id}")
    async def delete(id: str) -> Response:
        """Forget a stored response; those that went on from it stay."""
        if not id.startswith("resp_") or not await asyncio.to_thread(store.delete, id):
            raise Problem(404, "there is no such response", "id", "response_not_found")
        return Answer({"id": id, "object": "response", "deleted": True})

    return router


async def request_of(model: ServedModel, body: ResponseBody, before: State | None, drawing: Drawing) -> Request:
    """The request of the scheduler."""
    prompt = body.prompt
    ids, spelt_behind = await model.encode(prompt, before)
    length = body.max_output_tokens or min(USUAL_LENGTH, model.writer.scheduler.limits.length)
    return Request(
        ids,
        before,
        length=length,
        drawing=drawing,
        seed=new_seed() if body.seed is None else body.seed,
        stop=body.stops,
        before=spelt_behind,
        keep=True,
        buffer=BUFFER if body.stream else 0,
        constraint=await model.constraint(body.wanted(), drawing),
    )


class Reply:
    """A response while it comes.

    Args:
        model: that generates.
        body: what was asked.
        store: where it goes in the end.
        before: the state behind the earlier response; None: there is none.
    """

    job: Job

    def __init__(self, model: ServedModel, body: ResponseBody, store: StateStore, before: State | None) -> None:
        self.model, self.body, self.store = model, body, store
        self.cached = 0 if before is None else before.position
        self.id, self.message = new_name("resp"), f"msg_{token_hex(16)}"
        self.created, self.text, self.reason = int(time()), "", ""
        form = None if body.text is None else body.text.format
        self.form = {"type": "text"} if form is None else form.model_dump(by_alias=True, exclude_none=True)

    def as_dict(self, status: str) -> dict[str, Any]:
        """The response as JSON holds it."""
        body = self.body
        ended = status in ("completed", "incomplete")
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": int(time()) if ended else None,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": self.model.name,
            "output": [self.item(status)] if ended else [],
            "parallel_tool_calls": False,
            "previous_response_id": body.previous_response_id,
            "reasoning": None,
            "store": body.store,
            "temperature": body.temperature,
            "text": {"format": self.form},
            "tool_choice": "none",
            "tools": [],
            "top_p": body.top_p,
            "truncation": "disabled",
            "background": False,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "top_logprobs": 0,
            "max_tool_calls": None,
            "service_tier": "default",
            "user": body.user,
            "safety_identifier": None,
            "prompt_cache_key": None,
            "usage": self.usage() if ended else None,
            "metadata": body.metadata or {},
        }

    def item(self, status: str) -> dict[str, Any]:
        """The message that was generated."""
        content = [self.part(self.text)] if status != "in_progress" else []
        return {"id": self.message, "type": "message", "status": status, "role": "assistant", "content": content}

    @staticmethod
    def part(text: str) -> dict[str, Any]:
        """A text as a part of a message."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def usage(self) -> dict[str, Any]:
        """Tokens: those of the state that was gone on from are `cached_tokens`, as nobody reads them again."""
        new, written = len(self.job.request.ids), self.job.tokens_written
        return {
            "input_tokens": self.cached + new,
            "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.cached + new + written,
            "tokens_read": self.job.tokens_read,
        }

    async def answer(self) -> dict[str, Any]:
        """The response at the end."""
        pieces = await self.model.writer.finished(self.job)
        self.text, self.reason = "".join(piece.text for piece in pieces), pieces[-1].finished
        return await self.stored()

    async def stored(self) -> dict[str, Any]:
        """The response when all has been generated; it is kept where that is wanted."""
        limited = self.body.max_output_tokens is not None or self.job.request.constraint is not None
        cut = finish_reason(self.reason) != "stop" and limited
        found = self.as_dict("incomplete" if cut else "completed")
        state = self.job.states[0]
        if self.body.store and state is not None:
            await asyncio.to_thread(self.store.put, "resp", self.model.name, state, found, self.id)
        return found

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The events of the response, as they come."""
        numbers, place = count(), {"item_id": self.message, "output_index": 0, "content_index": 0}

        def numbered(name: str, **content: Any) -> bytes:
            return event({"type": name, "sequence_number": next(numbers), **content}, name)

        yield numbered("response.created", response=self.as_dict("in_progress"))
        yield numbered("response.in_progress", response=self.as_dict("in_progress"))
        yield numbered("response.output_item.added", output_index=0, item=self.item("in_progress"))
        yield numbered("response.content_part.added", **place, part=self.part(""))
        async with aclosing(self.model.writer.pieces(self.job)) as parts:
            async for pieces in parts:
                delta = "".join(piece.text for piece in pieces)
                self.text, self.reason = self.text + delta, pieces[-1].finished
                if delta:
                    yield numbered("response.output_text.delta", **place, delta=delta, logprobs=[])
        found = await self.stored()
        yield numbered("response.output_text.done", **place, text=self.text, logprobs=[])
        yield numbered("response.content_part.done", **place, part=self.part(self.text))
        yield numbered("response.output_item.done", output_index=0, item=self.item(found["status"]))
        yield numbered(f"response.{found['status']}", response=found)
