"""Servers of small models on a free port, and the little that is needed to talk to them."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from threading import Thread
from time import sleep
from typing import Any

import torch

from helpers.models import small
from unspool import Tokens, tokenizers
from unspool.data.tokenizer import Tokenizer
from unspool.runs.run import Run
from unspool.serve.app import Server
from unspool.serve.http import listening, uvicorn_of
from unspool.serve.settings import Settings

CHAR = tokenizers.build("tokenizer", "char").fit("abcdefghijklmnopqrstuvwxyz \nTé")
JSON = {"content-type": "application/json"}


def text_run(tokenizer: Tokenizer = CHAR, **options: Any) -> Run:
    """A run of an untrained model that goes on with text, an LSTM unless options say otherwise."""
    core = {"core": "recurrent", "cell": "lstm", **options} if "core" not in options else options
    model = small(inputs=Tokens(tokenizer.size), width=12, **core)
    with torch.no_grad():
        model.head.weight.mul_(3)
    return Run(model, tokenizer, name="small")


@dataclass(frozen=True)
class Client:
    """Talks to a server at a port of this machine."""

    port: int
    server: Server

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer; a body that is bytes is sent as it is."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, sent, JSON | headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a request that should work."""
        status, found = self.ask("POST", path, body)
        assert status == 200, found
        return found

    def stream(self, path: str, **body: Any) -> list[Any]:
        """The data of every event of a stream, without the last [DONE]."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.request("POST", path, json.dumps({**body, "stream": True}), JSON)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        lines = [line[6:] for line in answer.read().decode().splitlines() if line.startswith("data: ")]
        connection.close()
        return [json.loads(line) for line in lines if line != "[DONE]"]

    def send(self, data: bytes) -> tuple[int, Any]:
        """The status and the JSON of the answer to bytes that may be anything."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as raw:
            raw.sendall(data)
            found = b""
            while part := raw.recv(65536):
                found += part
        head, _, body = found.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


@contextmanager
def serving(runs: dict[str, Run] | None = None, **settings: Any) -> Iterator[Client]:
    """A server in a thread of its own; it is stopped behind the block."""
    server = Server(runs or {"small": text_run()}, Settings(**settings))
    with listening("127.0.0.1", 0) as found:
        uvicorn = uvicorn_of(server)
        thread = Thread(target=lambda: asyncio.run(uvicorn.serve([found])), daemon=True)
        thread.start()
        while not uvicorn.started:
            sleep(0.01)
        try:
            yield Client(found.getsockname()[1], server)
        finally:
            uvicorn.should_exit = True
            server.stop()
            thread.join()
