"""Server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from unspool.errors import UnspoolError
from unspool.serve.problems import as_problem, error_of, to_json

DONE = b"data: [DONE]\n\n"


def event(content: Any, name: str = "") -> bytes:
    r"""One event.

    >>> event({"a": 1}, "x")
    b'event: x\ndata: {"a":1}\n\n'
    """
    title = f"event: {name}\n" if name else ""
    return f"{title}data: {to_json(content)}\n\n".encode("utf-8", "replace")


class EventStream(StreamingResponse):
    """A response of events; an error on the way is the last one.

    Args:
        events: the bytes of each; they are closed when the client goes away.
    """

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(self._with_errors(events), media_type="text/event-stream")
        self.headers["cache-control"] = "no-store"
        self.headers["x-accel-buffering"] = "no"
        self._events = events

    async def _with_errors(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async for one in events:
                yield one
        except UnspoolError as error:
            problem = as_problem(error)
            yield event({"error": error_of(problem.status, problem.message, problem.param, problem.code)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        async with aclosing(self._events):
            await self.stream_response(send)
