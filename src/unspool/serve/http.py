"""Runs the application with uvicorn, hardened where uvicorn waits for ever or answers without JSON."""

import asyncio
import signal
import socket
from threading import Thread
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from unspool.serve.app import Server, create_app
from unspool.serve.logs import log
from unspool.serve.problems import problem
from unspool.serve.settings import Settings

UNREAD = 131_072
"""So many bytes of an answer wait in the system for a client that does not read."""
LINGER = 1.0
"""Seconds for which a connection that was refused stays open, so that the client can read why."""
HEADERS = 32_768
"""So many bytes the headers of a request have at most."""


def protocol_of(settings: Settings) -> type[H11Protocol]:
    """uvicorn's protocol with a deadline for the headers, and JSON for what is no HTTP."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            """Begin to wait for the headers of the first request."""
            super().connection_made(transport)
            self.refused = False
            self.late = self.loop.call_later(settings.body_seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            """Wait no more."""
            self.late.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            """Read on, unless the answer is on its way already."""
            if not self.refused:
                super().data_received(data)

        def _give_up(self) -> None:
            if self.cycle is None:
                self._refuse(408, "the request did not arrive in time")

        def send_400_response(self, msg: str) -> None:
            """Answer what is no HTTP, or has a line that is too long."""
            self._refuse(400, "this is not a valid HTTP/1.1 request")

        def _refuse(self, status: int, message: str) -> None:
            if self.refused or self.transport.is_closing():
                return
            self.refused = True
            body = problem(status, message).body
            headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            headers.append((b"content-length", str(len(body)).encode()))
            try:
                for event in (
                    h11.Response(status_code=status, headers=headers, reason=b""),
                    h11.Data(data=bytes(body)),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event))
            except h11.LocalProtocolError:
                pass  # an answer is on its way already
            self.transport.write_eof()  # and what still comes is thrown away: a reset would take the answer with it
            self.loop.call_later(LINGER, self.transport.close)

    return Protocol


class Quiet(uvicorn.Server):
    """uvicorn's server, which does not raise a signal again: the first ends it gently, the second at once."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self.served = server

    async def startup(self, sockets: Any = None) -> None:
        """Log the address."""
        await super().startup(sockets)
        for one in self.servers:
            for found in one.sockets:
                host, port = found.getsockname()[:2]
                log("serving", host=host, port=port, models=sorted(self.served.models))

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop gently, or at once when asked again."""
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = True
        log("stopping", signal=signal.Signals(sig).name, seconds=self.served.settings.stop_seconds)
        Thread(target=self.served.stop, args=(self.served.settings.stop_seconds,), daemon=True).start()


def uvicorn_of(server: Server) -> Quiet:
    """The uvicorn server around the application."""
    settings = server.settings
    config = uvicorn.Config(
        create_app(server),
        http=protocol_of(settings),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_graceful_shutdown=int(settings.stop_seconds) + 2,
        h11_max_incomplete_event_size=HEADERS,
    )
    return Quiet(config, server)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address; port 0 is a free one. Raises: OSError where it cannot be used.

    >>> with listening("127.0.0.1", 0) as found:
    ...     found.getsockname()[0]
    '127.0.0.1'
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sends at once where it knows TCP
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD)  # of every connection that comes of it
    try:
        found.bind((host, port))
        found.listen(2048)
    except OSError:
        found.close()
        raise
    return found


def run(server: Server, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        server: what is served.
        host: the address to listen at.
        port: 0 is a free one, which the log says.

    Raises:
        OSError: the address cannot be used.
    """
    with listening(host, port) as found:
        asyncio.run(uvicorn_of(server).serve([found]))
    log("stopped")
