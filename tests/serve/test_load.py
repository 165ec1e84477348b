"""Many at once: nobody gets another's text, and whoever is slow or gone harms nobody."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from helpers.serving import JSON, serving
from unspool.generate.jobs import Limits


@pytest.fixture
def client():
    with serving(limits=Limits(live=16, length=10**6), stall_seconds=0.5) as found:
        yield found


def alone(client, prompt, **options):
    return "".join(client.server.models["small"].run.stream(prompt, **options))


def begin(client, **body):
    """A stream whose answer nobody reads."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", client.port))
    sent = json.dumps({"model": "small", "stream": True, **body}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(sent)}"
    raw.sendall(head.encode() + b"\r\n\r\n" + sent)
    return raw


def live(client):
    return client.server.models["small"].writer.scheduler.counts()


def test_forty_streams_are_each_its_own(client):
    def ask(number):
        prompt = "abcdefghij"[: 1 + number % 10]
        parts = client.stream("/v1/completions", model="small", prompt=prompt, max_tokens=30 + number, seed=number)
        return "".join(part["choices"][0]["text"] for part in parts)

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(ask, range(40)))
    for number, text in enumerate(found):
        assert text == alone(client, "abcdefghij"[: 1 + number % 10], length=30 + number, seed=number)
    assert live(client) == {"requests": 0, "live": 0}


def test_whoever_reads_nothing_or_is_gone_harms_nobody(client):
    slow = [begin(client, prompt="a", max_tokens=500_000, seed=n, logprobs=5) for n in range(4)]
    gone = [begin(client, prompt="b", max_tokens=500_000, seed=n) for n in range(4)]
    for raw in gone:
        raw.recv(100)
        raw.close()
    quick = client.post("/v1/completions", model="small", prompt="abc", max_tokens=200, seed=1)
    assert quick["choices"][0]["text"] == alone(client, "abc", length=200, seed=1)
    scheduler = client.server.models["small"].writer.scheduler
    for _ in range(2000):  # the slow ones pause as soon as the pipes are full, and the stalled are given up
        if scheduler.counts() == {"requests": 0, "live": 0}:
            break
        client.post("/v1/completions", model="small", prompt="abc", max_tokens=20)
    assert scheduler.counts() == {"requests": 0, "live": 0}
    for raw in slow:
        raw.close()


def test_leaving_before_the_end_cancels(client):
    connection = HTTPConnection("127.0.0.1", client.port)
    connection.request("POST", "/v1/completions", json.dumps({"model": "small", "max_tokens": 10**6}), JSON)
    while not live(client)["live"]:
        pass
    connection.close()
    for _ in range(500):
        if not live(client)["requests"]:
            break
        client.ask("GET", "/health")
    assert not live(client)["requests"]


def test_too_many_get_a_429():
    with serving(limits=Limits(live=2, waiting=1, length=10**6)) as client:
        held = [begin(client, max_tokens=10**6, seed=n) for n in range(3)]
        while live(client)["requests"] < 3:
            pass
        status, answer = client.ask("POST", "/v1/completions", {"model": "small"})
        assert status == 429 and answer["error"]["type"] == "rate_limit_error"
        for raw in held:
            raw.close()
        for _ in range(500):
            if client.ask("POST", "/v1/completions", {"model": "small"})[0] == 200:
                break
        assert client.ask("POST", "/v1/completions", {"model": "small"})[0] == 200
    with serving(connections=0) as client:
        assert client.ask("GET", "/health")[0] == 429


def test_the_numbers_are_kept(client):
    client.post("/v1/completions", model="small", prompt="abc", max_tokens=7)
    connection = HTTPConnection("127.0.0.1", client.port)
    connection.request("GET", "/metrics")
    found = connection.getresponse().read().decode()
    connection.close()
    for line in (
        'unspool_tokens_read_total{model="small"} 3.0',
        'unspool_tokens_written_total{model="small"} 7.0',
        'unspool_requests_total{method="POST",path="/v1/completions",status="200"} 1.0',
        'unspool_live_texts{model="small"} 0.0',
    ):
        assert line in found
