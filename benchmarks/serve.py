"""`unspool serve` under load: many streams, idle sessions, and a server that is killed.

    python benchmarks/serve.py RUN [--streams 200] [--seconds 60] [--sessions 10000]

RUN is a trained run that goes on with text, such as `unspool train char-lm` makes. The server is a process of its own;
the clients are coroutines of this one, so both share the machine. Every text is compared with the one that `Run.stream`
gives alone for its prompt and seed. While the streams run, some clients read nothing and some vanish.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from common import environment, report, say

LENGTH = 400
SEEDS = 48
"""So many different texts are asked for again and again."""
PROMPTS = ("The ", "A function", "In", "class Foo:\n    def", "The value of the argument is ")
TEMPERATURE = 0.8
SLOW, GONE = 8, 8
WARM = 15.0
"""Seconds after which memory should be flat."""


@dataclass
class Server:
    """A server in a process of its own."""

    process: subprocess.Popen
    port: int
    model: str

    @property
    def memory(self) -> float:
        """Resident memory, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far, of all its threads: on a busy machine it says more than a clock."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, connection: HTTPConnection, method: str, path: str, body: object = None) -> dict:
        """The JSON of an answer that should be a good one."""
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(found)
        return found


def start(run: Path, states: Path) -> Server:
    """A server of a run, when it answers."""
    command = [sys.executable, "-m", "unspool", "serve", str(run), "--port", "0", "--states", str(states)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        noted = json.loads(line) if line.startswith("{") else {}
        if noted.get("event") == "serving":
            break
    else:
        raise SystemExit("the server did not start")
    drain = ["cat"]
    subprocess.Popen(drain, stdin=process.stderr, stdout=subprocess.DEVNULL)  # its logs
    return Server(process, noted["port"], noted["models"][0])


@dataclass
class Load:
    """What many streams have received."""

    texts: list[tuple[int, str]] = field(default_factory=list)  # (the number of what was asked, the text)
    lost: int = 0
    first: list[float] = field(default_factory=list)  # seconds to the first piece
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds, MB)
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of the server

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return len(self.texts) * LENGTH / self.seconds

    @property
    def speed_by_cpu(self) -> float:
        """Tokens for each second of the server's CPU time."""
        return len(self.texts) * LENGTH / self.cpu_seconds


def asked(server: Server, number: int) -> dict:
    """The body of a request for text of that number."""
    return {
        "model": server.model,
        "prompt": PROMPTS[number % len(PROMPTS)],
        "seed": number,
        "max_tokens": LENGTH,
        "temperature": TEMPERATURE,
        "stream": True,
    }


async def begin(server: Server, body: dict) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await send(writer, body)
    return reader, writer


async def send(writer: asyncio.StreamWriter, body: dict) -> None:
    sent = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(sent)}\r\n"
    writer.write(head.encode() + b"content-type: application/json\r\n\r\n" + sent)
    await writer.drain()


async def receive(reader: asyncio.StreamReader, load: Load, began: float) -> str | None:
    """The text of a stream; None where it did not come to its end."""
    text, finished = "", False
    while line := await reader.readline():
        if line == b"0\r\n":  # the last chunk
            await reader.readline()
            return text if finished else None
        if not line.startswith(b"data: {"):
            continue
        (choice,) = json.loads(line[6:]).get("choices", [{}])
        if not text:
            load.first.append(time.monotonic() - began)
        text += choice.get("text", "")
        finished = finished or choice.get("finish_reason") == "length"
    return None


async def stream(server: Server, load: Load, number: int, apart: int, until: float) -> None:
    """One client, which asks again and again until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    while time.monotonic() < until:
        began = time.monotonic()
        await send(writer, asked(server, number % SEEDS))
        text = await receive(reader, load, began)
        if text is None:
            load.lost += 1
            break
        load.texts.append((number % SEEDS, text))
        number += apart
    writer.close()


async def disturb(server: Server, until: float) -> None:
    """Clients that read nothing, and clients that vanish at once, as long as the load lasts."""
    slow = [await begin(server, {**asked(server, n), "max_tokens": 16_000, "logprobs": 5}) for n in range(SLOW)]
    while time.monotonic() < until:
        gone = [await begin(server, {**asked(server, n), "max_tokens": 16_000}) for n in range(GONE)]
        await asyncio.sleep(0.5)
        for _, writer in gone:
            writer.close()
        await asyncio.sleep(0.5)
    for _, writer in slow:
        writer.close()


async def watch(server: Server, load: Load, until: float) -> None:
    began = time.monotonic()
    while time.monotonic() < until:
        load.memory.append((time.monotonic() - began, server.memory))
        await asyncio.sleep(1)


async def loaded(server: Server, streams: int, seconds: float, disturbed: bool) -> Load:
    """Many streams for a while, to the end of the last."""
    load, began, before = Load(), time.monotonic(), server.cpu_seconds
    until = began + seconds
    others = [asyncio.ensure_future(watch(server, load, until))]
    others += [asyncio.ensure_future(disturb(server, until))] if disturbed else []
    await asyncio.gather(*(stream(server, load, number, streams, until) for number in range(streams)))
    load.seconds, load.cpu_seconds = time.monotonic() - began, server.cpu_seconds - before
    for other in others:
        with suppress(ConnectionError):
            await other
    return load


def mixed_up(run: Path, load: Load) -> int:
    """How many texts differ from what the run writes alone."""
    from unspool import Run, Sampling

    loaded, alone = Run.load(run), {}
    for number, _ in load.texts:
        if number not in alone:
            prompt = PROMPTS[number % len(PROMPTS)]
            sampling = Sampling(temperature=TEMPERATURE)
            alone[number] = "".join(loaded.stream(prompt, length=LENGTH, seed=number, sampling=sampling))
    return sum(text != alone[number] for number, text in load.texts)


def idle_sessions(server: Server, count: int) -> dict:
    """The memory of sessions that read a text and then do nothing."""
    connection, before, text = HTTPConnection("127.0.0.1", server.port), server.memory, "The value is " * 8
    ids = [
        server.ask(connection, "POST", "/sessions", {"model": server.model, "text": text})["id"] for _ in range(count)
    ]
    after = server.memory
    written = server.ask(connection, "POST", f"/sessions/{ids[0]}/write", {"max_tokens": 5})
    for id in ids:
        server.ask(connection, "DELETE", f"/sessions/{id}")
    return {
        "sessions": count,
        "megabytes": round(after - before, 1),
        "tokens_read_by_the_first": written["tokens_read"],
    }


def killed(run: Path, states: Path) -> dict:
    """Save a session, kill the server, and go on in another one."""
    server = start(run, states)
    connection = HTTPConnection("127.0.0.1", server.port)
    session = server.ask(connection, "POST", "/sessions", {"model": server.model, "text": "The quick brown " * 20})
    name = server.ask(connection, "POST", f"/sessions/{session['id']}/save")["state"]
    wanted = server.ask(connection, "POST", f"/sessions/{session['id']}/write", {"max_tokens": 200, "seed": 1})["text"]
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server = start(run, states)
    connection = HTTPConnection("127.0.0.1", server.port)
    fresh = server.ask(connection, "POST", "/sessions", {"model": server.model, "text": "warm"})
    server.ask(connection, "POST", f"/sessions/{fresh['id']}/write", {"max_tokens": 5})
    again, seconds, texts = [], [], []
    for _ in range(9):
        restored = server.ask(connection, "POST", "/sessions", {"model": server.model, "state": name})
        path, began = f"/sessions/{restored['id']}/write", time.monotonic()
        first = server.ask(connection, "POST", path, {"max_tokens": 1, "seed": 1})
        seconds.append(time.monotonic() - began)
        rest = server.ask(connection, "POST", path, {"max_tokens": 199, "seed": 1})
        again.append(restored["tokens_read"] + first["tokens_read"] + rest["tokens_read"])
        texts.append(first["text"] + rest["text"])
    server.process.send_signal(signal.SIGTERM)
    return {
        "same_text": all(text == wanted for text in texts),
        "tokens_read_again": max(again),
        "milliseconds_to_the_next_token": [round(1000 * one, 2) for one in (min(seconds), median(seconds))],
        "exit_status_of_sigterm": server.process.wait(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--sessions", type=int, default=10_000)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="serve-") as folder:
        states = Path(folder)
        server = start(options.run, states)
        asyncio.run(loaded(server, 1, 2.0, disturbed=False))  # the first steps are slower
        single = asyncio.run(loaded(server, 1, 10.0, disturbed=False))
        say(f"one stream: {single.speed:,.0f} tokens/s, {single.speed_by_cpu:,.0f} for each CPU second")
        load = asyncio.run(loaded(server, options.streams, options.seconds, disturbed=True))
        say(f"{options.streams} streams: {load.speed:,.0f} tokens/s, {load.speed_by_cpu:,.0f} for each CPU second")
        settled = [megabytes for at, megabytes in load.memory if at >= min(WARM, options.seconds / 2)]
        server.process.send_signal(signal.SIGTERM)
        server.process.wait()
        fresh = start(options.run, states)
        idle = idle_sessions(fresh, options.sessions)
        say(f"{idle}")
        fresh.process.send_signal(signal.SIGTERM)
        fresh.process.wait()
        restored = killed(options.run, states)
        say(f"{restored}")
        wrong = mixed_up(options.run, load) + mixed_up(options.run, single)
    report(
        {
            "benchmark": "serve",
            **environment(),
            "one_stream_tokens_per_second": round(single.speed, 1),
            "one_stream_tokens_per_cpu_second": round(single.speed_by_cpu, 1),
            "streams": options.streams,
            "seconds": round(load.seconds, 1),
            "tokens_per_second": round(load.speed, 1),
            "tokens_per_cpu_second": round(load.speed_by_cpu, 1),
            "times_one_stream": round(load.speed / single.speed, 2),
            "times_one_stream_by_cpu": round(load.speed_by_cpu / single.speed_by_cpu, 2),
            "texts": len(load.texts),
            "lost": load.lost,
            "mixed_up": wrong,
            "median_seconds_to_the_first_piece": round(median(load.first), 3),
            "megabytes_after_warming": [round(settled[0], 1), round(max(settled), 1), round(settled[-1], 1)],
            "idle": idle,
            "killed": restored,
        }
    )


if __name__ == "__main__":
    main()
