"""What the writing page asks of the server, and how it is refused."""

import json
import math
import threading

import numpy as np
import pytest
import torch

from helpers.editing import CORES, TEXT, document_of, run_of
from helpers.models import small
from unspool import Tokens, tokenizers
from unspool.data.keypad import keys_of
from unspool.generate.engine import Engine
from unspool.generate.scoring import read_scored
from unspool.runs.run import Run
from unspool.serve.editor import editor
from unspool.serve.open_documents import OpenDocuments

fastapi = pytest.importorskip("fastapi")
testclient = pytest.importorskip("fastapi.testclient")
LONG = (TEXT * 300)[:20_000]


def client_of(run):
    app = fastapi.FastAPI(openapi_url=None)
    app.include_router(editor(run, threading.Lock()))
    return testclient.TestClient(app)


@pytest.fixture(scope="module")
def client():
    return client_of(run_of())


def opened(client, text="", **look):
    answer = client.post("/editor/documents", json={"text": text, "look": look})
    assert answer.status_code == 200
    return answer.json()


def edit(client, id, length, start, removed=0, inserted="", **more):
    body = {"length": length, "start": start, "removed": removed, "inserted": inserted, **more}
    return client.post(f"/editor/documents/{id}/edit", json=body)


def test_editing_the_middle_of_20_000_characters_reads_what_follows(client):
    one = opened(client, LONG)
    assert one["tokens"] == one["tokens_read"] == 20_000
    answer = edit(client, one["id"], 20_000, 12_000, 2, "an odd").json()
    follows = 20_004 - 12_000
    assert answer["length"] == 20_004 and follows <= answer["tokens_read"] <= follows + math.isqrt(20_000)
    typed = edit(client, one["id"], 20_004, 20_004, 0, "a").json()
    assert typed["tokens_read"] == 1 and len(typed["bits"]) == 1
    other = opened(client, LONG[:12_000] + "an odd" + LONG[12_002:] + "a")
    first = answer["first"]
    np.testing.assert_allclose([*one["bits"][:first], *answer["bits"], *typed["bits"]], other["bits"], atol=1e-5)
    assert [*one["ends"][:first], *answer["ends"], *typed["ends"]] == other["ends"]


def test_an_answer_has_suggestions_with_probabilities_given_what_was_typed(client):
    one = opened(client, TEXT)
    answer = edit(client, one["id"], len(TEXT), len(TEXT), 0, "a goo", caret=len(TEXT) + 5, suggestions=3).json()
    found, run = answer["suggestions"], run_of()
    assert answer["tokens_read"] == 5 and all(other["word"] == "goo" + other["rest"] for other in found)
    engine = Engine(run.model)
    state = engine.read(torch.as_tensor(run.tokenizer.encode("\n" + TEXT + "a goo"))[None])
    _, rest = read_scored(engine, state, torch.as_tensor(run.tokenizer.encode(found[0]["rest"]))[None])
    assert found[0]["probability"] <= math.exp(float(rest.sum())) * 1.001  # and the word has to end there
    on_keys = client.post(f"/editor/documents/{one['id']}/offers", json={"caret": len(TEXT) + 2, "keys": "4663"}).json()
    assert {keys_of(other["word"]) for other in on_keys["suggestions"]} == {"4663"}


@pytest.mark.parametrize("core", CORES)
def test_what_is_shown_can_be_forced_and_let_go(core):
    client = client_of(run_of(core))
    places = client.get("/editor/about").json()["places"]
    one = opened(client, TEXT, layer=places[0]["layer"])
    assert one["activity"][places[0]["path"]]["bytes"]
    forced = {"place": places[0]["path"], "unit": 1, "value": 0.0, "begin": 10}
    answer = client.put(f"/editor/documents/{one['id']}/switches", json={"switches": [forced]}).json()
    assert answer["first"] == 10 and answer["switches"] == [forced | {"end": None}]
    back = client.put(f"/editor/documents/{one['id']}/switches", json={"switches": []}).json()
    np.testing.assert_allclose(back["bits"], one["bits"][10:], atol=1e-5)
    unit = next(place for place in places if place["kind"] != "attention")
    seen = client.put(f"/editor/documents/{one['id']}/look", json={"place": unit["path"], "unit": 2}).json()
    assert len(seen["values"]) == len(TEXT)


def test_writing_goes_on_from_the_text_and_the_seed_says_how(client):
    one = opened(client, TEXT)
    path = f"/editor/documents/{one['id']}/write"
    events = [json.loads(line) for line in client.post(path, json={"length": 30, "seed": 4}).text.splitlines()]
    written = "".join(event.get("text", "") for event in events)
    assert events[-1] == {"done": "length", "length": len(TEXT) + 30, "tokens_read": 30} and len(written) == 30
    assert all(event["bits"] >= 0 for event in events[:-1])
    edit(client, one["id"], len(TEXT) + 30, len(TEXT), 30)
    again = [json.loads(line) for line in client.post(path, json={"length": 30, "seed": 4}).text.splitlines()]
    assert "".join(event.get("text", "") for event in again) == written
    greedy = client.post(path, json={"length": 5, "temperature": 0, "top_p": 0.5, "pace": 1000})
    assert greedy.status_code == 200 and client.post(path.replace("write", "stop")).json() == {"stopped": True}


def test_characters_beyond_the_first_plane_count_as_one():
    client = client_of(run_of(kind="byte"))
    one = opened(client, "a😀b")
    assert one["length"] == 3 and one["tokens"] == 6 and one["ends"] == [1, 1, 1, 1, 2, 3]
    assert edit(client, one["id"], 3, 1, 1, "é").json()["ends"] == [1, 2, 3]


def test_who_is_out_of_step_sends_the_text(client):
    one = opened(client, TEXT)
    refused = edit(client, one["id"], 5, 0)
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "out_of_step"
    whole = client.put(f"/editor/documents/{one['id']}", json={"text": TEXT + "a"}).json()
    assert whole["tokens_read"] == 1 and whole["length"] == len(TEXT) + 1


BAD = {
    "no json": ("edit", b"{", 400),
    "no utf-8": ("edit", b'{"length": "\xff"}', 400),
    "no object": ("edit", b"[]", 400),
    "nothing": ("edit", b"", 400),
    "deep": ("edit", b"[" * 100_000, 400),
    "half a character": ("edit", b'{"length": 3, "start": 0, "inserted": "\\ud800"}', 400),
    "another type": ("edit", b'{"length": "three", "start": 0}', 400),
    "below zero": ("edit", b'{"length": 3, "start": -1}', 400),
    "behind the end": ("edit", b'{"length": 3, "start": 2, "removed": 5}', 400),
    "an unknown field": ("edit", b'{"length": 3, "start": 0, "password": ""}', 400),
    "a number too long": ("edit", b'{"length": 3, "start": 1' + b"0" * 5000 + b"}", 400),
    "too much": ("edit", b'{"length": 3, "start": 0, "inserted": "' + b"a" * 100_001 + b'"}', 400),
    "more than fits": ("edit", b'{"length": 3, "start": 0, "inserted": "' + b"a" * 100_000 + b'"}', 413),
    "a long body": ("edit", b" " * 2_000_000, 413),
    "no temperature": ("write", b'{"temperature": NaN}', 400),
    "cold": ("write", b'{"temperature": -1}', 400),
    "no top-p": ("write", b'{"top_p": 0}', 400),
    "for ever": ("write", b'{"length": 1000000000}', 400),
    "a large seed": ("write", b'{"seed": 1e300}', 400),
    "no keys": ("offers", b'{"caret": 0, "keys": "abc"}', 400),
    "many keys": ("offers", b'{"caret": 0, "keys": "' + b"2" * 500 + b'"}', 400),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused_in_one_sentence(client, name):
    verb, body, status = BAD[name]
    id = opened(client, "cat")["id"]
    answer = client.post(f"/editor/documents/{id}/{verb}", content=body)
    assert answer.status_code == status and answer.json()["error"]["message"]
    assert edit(client, id, 3, 3, 0, "s").status_code == 200  # and nothing has changed


def test_places_that_are_not_there_are_refused(client):
    id = opened(client, "cat")["id"]
    path = client.get("/editor/about").json()["places"][0]["path"]
    for body in ({"place": "core.nothing"}, {"place": path, "unit": 1000}, {"place": "../../etc/passwd"}):
        answer = client.put(f"/editor/documents/{id}/look", json=body)
        switch = client.put(f"/editor/documents/{id}/switches", json={"switches": [{"unit": 0, **body}]})
        assert answer.status_code == switch.status_code == 400 and "error" in switch.json()
    for path in ("look", "switches", "edit", "write", "stop", "offers"):
        method = "PUT" if path in ("look", "switches") else "POST"
        answer = client.request(method, f"/editor/documents/nobody/{path}", json={})
        assert 400 <= answer.status_code < 500 and answer.json()["error"]["message"]
    for path in ("/page/nothing.js", "/page/..%2feditor.py", "/page/%2e%2e", "/page/__init__.py"):
        assert client.get(path).status_code == 404
    assert client.delete(f"/editor/documents/{id}").json() == {"closed": True}
    gone = edit(client, id, 3, 0)
    assert gone.status_code == 404 and gone.json()["error"]["code"] == "closed"


def test_other_sites_may_not_ask(client):
    headers = {"sec-fetch-site": "cross-site"}
    assert client.post("/editor/documents", json={}, headers=headers).status_code == 403
    assert client.get("/", headers=headers).status_code == 200  # a link from elsewhere


def test_what_the_page_forces_nobody_else_sees():
    run = run_of()
    client = client_of(run)
    place = client.get("/editor/about").json()["places"][2]
    one = opened(client, TEXT)
    forced = [{"place": place["path"], "unit": unit, "value": 0.0, "begin": 0} for unit in range(place["size"])]
    events = []

    def watcher(name, value):
        events.append(name)
        return value

    run.model.get_submodule(place["layer"]).watcher = watcher
    client.put(f"/editor/documents/{one['id']}/switches", json={"switches": forced})
    run.model.get_submodule(place["layer"]).watcher = None
    assert events == []


def test_the_page_and_its_files_name_no_network(client):
    index = client.get("/")
    assert index.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in index.headers["content-security-policy"] and "http" not in index.text
    assert client.get("/page/main.js").headers["content-type"].startswith("text/javascript")
    assert client.get("/page/page.css").headers["content-type"].startswith("text/css")


def test_a_run_that_does_not_write_says_what_to_use():
    domain = Tokens(5)
    run = Run(
        small(inputs=domain, bidirectional=True), tokenizers.build("tokenizer", "char").fit("abcd\n"), name="both"
    )
    about = client_of(run).get("/editor/about").json()
    assert "reads both ways" in about["error"] and about["hint"]
    assert client_of(run).post("/editor/documents", json={}).status_code == 400


def test_notes_of_a_tune_as_far_as_it_goes(client):
    tune = "X:1\nT:One\nM:2/4\nL:1/8\nK:G\n|:G2 A2:|B2 ["
    found = client.post("/editor/notes", json={"text": tune, "caret": 30}).json()
    assert found["notes"] == [[0.0, 1.0, 67], [1.0, 1.0, 69], [2.0, 1.0, 67], [3.0, 1.0, 69]]
    assert found["title"] == "One" and found["error"].startswith("line 6")
    for text in (
        "",
        "no tune",
        "X:1",
        "X:1\nK:C\n" + "|" * 5000,
        tune.replace(":|", ":" * 4000 + "|"),
        "X:1\nL:1/0\nK:C\nC",
    ):
        assert client.post("/editor/notes", json={"text": text, "caret": 0}).json()["error"]


def test_documents_are_bounded_and_expire():
    now, made = [0.0], []

    def make():
        made.append(document_of())
        return made[-1]

    documents = OpenDocuments(make, most=2, idle=10.0, clock=lambda: now[0])
    first, second = documents.open()[0], documents.open()[0]
    now[0] = 5.0
    assert documents.find(first) is made[0]
    third, _ = documents.open()
    assert documents.find(second) is None and made[1].turn == 1 and len(documents) == 2
    now[0] = 14.0
    assert documents.find(third) is made[2] and documents.find(first) is made[0]
    now[0] = 100.0
    assert documents.find(first) is None and not documents.close(third)


def test_the_page_is_served_beside_everything_else():
    from unspool.serve.app import Server, create_app

    server = Server({"small": run_of()})
    try:
        client = testclient.TestClient(create_app(server))
        assert client.get("/").text.startswith("<!doctype html>")
        assert client.get("/editor/about").json()["name"] == "a small lstm"
        assert client.get("/v1/models").json()["data"][0]["id"] == "small"
    finally:
        server.stop()
