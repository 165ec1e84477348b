"""What stands before every route: who may ask, how large and how slow a request may be, and when it is given up."""

import asyncio
import hmac
import logging
from secrets import token_hex
from time import monotonic
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from unspool.serve.logs import log
from unspool.serve.numbers import Numbers
from unspool.serve.problems import Answer, Problem
from unspool.serve.settings import Settings

OPEN, OPEN_FOLDER = ("/health", "/"), "/page/"
"""What can be fetched without a token: whether the server answers, and the files of the writing page, which asks for
the token by itself."""
LINGER = 1.0
"""Seconds for which the body of a request that is refused is still read."""


class Gone(Exception):
    """The client has gone away, or takes nothing any more."""


class Guard:
    """An ASGI layer that refuses before anything is parsed, reads the body, and cancels what nobody waits for.

    Args:
        app: what is behind it.
        settings: the limits.
        numbers: where requests are counted.
    """

    def __init__(self, app: ASGIApp, settings: Settings, numbers: Numbers) -> None:
        self.app, self.settings, self.numbers = app, settings, numbers
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        began, seen, self.under_way = monotonic(), Seen(), self.under_way + 1
        self.numbers.open.set(self.under_way)
        try:
            await self._handle(scope, receive, send, seen)
        except Gone:
            seen.status = seen.status or 499
        finally:
            self.under_way -= 1
            self.numbers.open.set(self.under_way)
            self._note(scope, seen, monotonic() - began)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, seen: "Seen") -> None:
        guarded = self._sender(send, seen)
        try:
            self._refuse(scope)
            async with asyncio.timeout(self.settings.body_seconds):
                body = await self._body(scope, receive)
        except TimeoutError:
            late = Problem(408, f"the body did not arrive within {self.settings.body_seconds:g} seconds")
            await closing(late.answer())(scope, receive, guarded)
        except Problem as error:
            await discard(receive)
            await closing(error.answer())(scope, receive, guarded)
        else:
            await self._run(scope, body, receive, guarded)

    def _refuse(self, scope: Scope) -> None:
        """Raise a Problem for a request that is answered without being read."""
        headers = dict(scope["headers"])
        if self.under_way > self.settings.connections:
            raise Problem(429, f"{self.settings.connections:,} requests are under way; try again in a while")
        host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0].lower()
        if self.settings.hosts and host not in self.settings.hosts:
            raise Problem(403, "this server is not known by that name: see --host", code="unknown_host")
        if self.settings.token and not is_open(scope):
            kind, _, given = headers.get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.settings.token.encode()):
                raise Problem(401, "a valid token is needed: Authorization: Bearer TOKEN", code="invalid_api_key")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Problem(400, "compressed bodies are not read", code="unsupported_encoding")
        announced = headers.get(b"content-length", b"0")
        size = int(announced) if announced.isdigit() and len(announced) < 20 else 0
        if size > self.settings.body_bytes:
            raise self._too_large()
        json = headers.get(b"content-type", b"").split(b";")[0].strip().lower() == b"application/json"
        if not json and (size or b"transfer-encoding" in headers):
            raise Problem(400, "the body should be JSON: content-type: application/json", code="unsupported_media_type")

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.settings.body_bytes:,} bytes")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        found, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            found += message.get("body", b"")
            if len(found) > self.settings.body_bytes:
                raise self._too_large()
            more = message.get("more_body", False)
        return bytes(found)

    async def _run(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Run the app; it is cancelled when the client goes away."""
        gone, given = asyncio.Event(), False

        async def replay() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        work, watcher = asyncio.ensure_future(self.app(scope, replay, send)), asyncio.ensure_future(watch())
        try:
            await asyncio.wait([work, watcher], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
                raise Gone
            work.result()
        finally:
            work.cancel()
            watcher.cancel()

    def _sender(self, send: Send, seen: "Seen") -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", seen.id.encode())]
            try:
                async with asyncio.timeout(self.settings.stall_seconds):
                    await send(message)
            except (TimeoutError, OSError):
                raise Gone from None

        return guarded

    def _note(self, scope: Scope, seen: "Seen", seconds: float) -> None:
        path = getattr(scope.get("route"), "path", "other")
        self.numbers.requests.labels(path, scope["method"] if path != "other" else "any", str(seen.status)).inc()
        self.numbers.seconds.labels(path).observe(seconds)
        fields: dict[str, Any] = {"id": seen.id, "method": scope["method"], "path": path, "status": seen.status}
        level = logging.ERROR if seen.status >= 500 else logging.INFO
        log("request", level, **fields, seconds=round(seconds, 4), **scope.get("noted", {}))


def is_open(scope: Scope) -> bool:
    """Whether a request needs no token.

    >>> is_open({"method": "GET", "path": "/"}), is_open({"method": "GET", "path": "/v1/models"})
    (True, False)
    """
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in OPEN or path.startswith(OPEN_FOLDER))


async def discard(receive: Receive) -> None:
    """Throw away what comes of a body, for a while: a client that still sends cannot read the answer."""
    try:
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body", False):
                pass
    except TimeoutError:
        return


class Seen:
    """What is known of a request when it ends."""

    def __init__(self) -> None:
        self.id, self.status = token_hex(8), 0


def closing(answer: Answer) -> Answer:
    """The same answer, behind which the connection is closed: what follows was not read."""
    answer.headers["connection"] = "close"
    return answer
