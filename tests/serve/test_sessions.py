"""/sessions: every turn says how much was read, and nothing is read twice in silence."""

import json
from http.client import HTTPConnection

import pytest
import torch

from helpers.serving import JSON, serving, text_run
from unspool import Sampling


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with serving(states=tmp_path_factory.mktemp("states")) as found:
        yield found


def state_of(client, session):
    return client.server.sessions.find(session["id"]).session.state


def alone(client, prompt, **options):
    return "".join(client.server.models["small"].run.stream(prompt, sampling=Sampling(0.9), **options))


def test_a_session_is_one_text(client):
    session = client.post("/sessions", model="small", text="the ")
    assert (session["position"], session["tokens_read"]) == (4, 4)
    first = client.post(f"/sessions/{session['id']}/write", max_tokens=11, seed=3, temperature=0.9)
    assert (first["position"], first["tokens_read"], first["tokens_written"]) == (15, 0, 11)
    parts = client.stream(f"/sessions/{session['id']}/write", max_tokens=9, seed=3, temperature=0.9)
    assert parts[-1]["position"] == 24 and parts[-1]["finish_reason"] == "length"
    text = first["text"] + "".join(part["text"] for part in parts[:-1])
    assert text == alone(client, "the ", length=20, seed=3)
    fed = client.post(f"/sessions/{session['id']}/feed", text=" and so")
    assert (fed["position"], fed["tokens_read"]) == (31, 7)
    assert client.post(f"/sessions/{session['id']}/feed", text="")["tokens_read"] == 0
    status, shown = client.ask("GET", f"/sessions/{session['id']}")
    assert status == 200 and shown["text"] == "the " + text + " and so" and shown["tokens_read"] == 0


def test_an_empty_session_reads_a_line_break_first(client):
    session = client.post("/sessions", model="small")
    assert session["position"] == 0
    found = client.post(f"/sessions/{session['id']}/write", max_tokens=5, seed=1, temperature=0.9)
    assert found["tokens_read"] == 1 and found["text"] == alone(client, "", length=5, seed=1)


def test_a_fork_goes_its_own_way(client):
    session = client.post("/sessions", model="small", text="abc")
    fork = client.post(f"/sessions/{session['id']}/fork")
    assert fork["tokens_read"] == 0 and fork["position"] == 3 and fork["id"] != session["id"]
    client.post(f"/sessions/{fork['id']}/feed", text="xyz")
    assert client.ask("GET", f"/sessions/{session['id']}")[1]["text"] == "abc"
    assert client.ask("GET", f"/sessions/{fork['id']}")[1]["text"] == "abcxyz"


def test_rewinding_says_what_it_read_again(client):
    session = client.post("/sessions", model="small", text="abcdefghij" * 60)
    back = client.post(f"/sessions/{session['id']}/rewind", position=-40)
    assert back["position"] == 560 and back["tokens_read"] == 560 - 512
    fresh = client.server.models["small"].run.read(("abcdefghij" * 60)[:560])
    torch.testing.assert_close(state_of(client, session).logits, fresh.logits, atol=1e-5, rtol=1e-5)
    assert client.ask("POST", f"/sessions/{session['id']}/rewind", {"position": 561})[0] == 400


def test_a_state_outlives_its_session(client):
    session = client.post("/sessions", model="small", text="once upon")
    saved = client.post(f"/sessions/{session['id']}/save")
    assert saved["durable"] and saved["state"].startswith("state_")
    wanted = client.post(f"/sessions/{session['id']}/write", max_tokens=7, seed=2)["text"]
    assert client.ask("DELETE", f"/sessions/{session['id']}")[1]["deleted"]
    assert client.ask("GET", f"/sessions/{session['id']}")[0] == 404
    again = client.post("/sessions", model="small", state=saved["state"])
    assert (again["position"], again["tokens_read"]) == (9, 0)
    found = client.post(f"/sessions/{again['id']}/write", max_tokens=7, seed=2)
    assert found["text"] == wanted and found["tokens_read"] == 0
    assert client.ask("DELETE", f"/states/{saved['state']}")[1]["deleted"]
    assert client.ask("POST", "/sessions", {"model": "small", "state": saved["state"]})[0] == 404


def test_a_later_server_restores_bit_for_bit(tmp_path):
    run = text_run()
    with serving({"small": run}, states=tmp_path) as first:
        session = first.post("/sessions", model="small", text="the quick brown")
        name = first.post(f"/sessions/{session['id']}/save")["state"]
        before = state_of(first, session)
    with serving({"small": run}, states=tmp_path) as second:
        again = second.post("/sessions", model="small", state=name)
        after = state_of(second, again)
    assert again["tokens_read"] == 0
    assert all(torch.equal(value, after.tensors()[key]) for key, value in before.tensors().items())
    with serving({"small": text_run(cell="gru")}, states=tmp_path) as other:
        status, answer = other.ask("POST", "/sessions", {"model": "small", "state": name})
    assert (status, answer["error"]["code"]) == (400, "unusable_state") and str(tmp_path) not in answer["error"][
        "message"
    ]


def test_whoever_leaves_a_stream_leaves_the_session_as_it_was(client):
    session = client.post("/sessions", model="small", text="abc")
    connection = HTTPConnection("127.0.0.1", client.port, timeout=120)
    body = json.dumps({"max_tokens": 16_000, "stream": True})
    connection.request("POST", f"/sessions/{session['id']}/write", body, JSON)
    answer = connection.getresponse()
    answer.readline()
    assert client.ask("POST", f"/sessions/{session['id']}/feed", {"text": "x"})[0] == 409
    answer.close()
    connection.close()
    for _ in range(200):
        status, found = client.ask("POST", f"/sessions/{session['id']}/feed", {"text": "x"})
        if status == 200:
            break
    assert status == 200 and found["position"] == 4


def test_sessions_are_bounded_and_expire():
    with serving(session_bytes=4000) as small:
        made = [small.ask("POST", "/sessions", {"model": "small", "text": "abc"}) for _ in range(40)]
        assert made[0][0] == 200 and made[-1][0] == 429
        assert "all the memory" in made[-1][1]["error"]["message"]
        small.ask("DELETE", f"/sessions/{made[0][1]['id']}")
        assert small.ask("POST", "/sessions", {"model": "small", "text": "abc"})[0] == 200
    with serving(keep=0.0) as short:
        session = short.post("/sessions", model="small", text="abc")
        assert short.ask("GET", f"/sessions/{session['id']}")[0] == 404
