"""Whatever is sent, the answer is a 4xx with a JSON error, and the server lives."""

import json
import socket
from time import monotonic

import pytest

from helpers.serving import serving

TOKEN = "a-secret-token"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def client():
    with serving(token=TOKEN, hosts=("127.0.0.1",), body_bytes=100_000, body_seconds=0.6, inputs=3) as found:
        yield found


COMPLETIONS, RESPONSES, SESSIONS = "/v1/completions", "/v1/responses", "/sessions"
ELSE = "resp_" + 32 * "A"
IMAGE = {"type": "input_image", "image_url": "file:///etc/passwd"}
DEEP = b'{"model":"small","prompt":' + 50_000 * b"[" + b"}"


def body(**fields):
    return {"model": "small", **fields}


def outputs(**fields):
    return body(structured_outputs=fields)


def form(schema, **more):
    return body(response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema, **more}})


def text_form(**fields):
    return body(text={"format": fields})


OPTIONAL = {"type": "null"}
for _ in range(8):  # written out, every way to leave some out takes more memory than there is
    OPTIONAL = {
        "type": "object",
        "properties": {**{f"p{number}": {"type": "null"} for number in range(10)}, "z": OPTIONAL},
    }
TWICE = {"type": "string"}
for _ in range(90):
    TWICE = {"type": "array", "items": TWICE}
DEEP_SCHEMA = b'{"model":"small","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":'
DEEP_SCHEMA += 3000 * b'{"items":' + b"{}" + 3000 * b"}" + b"}}}"
NAN = b'{"model":"small","text":{"format":{"type":"json_schema","name":"a","schema":{"type":"null","default":NaN}}}}'

REQUESTS = {
    "malformed JSON": (400, "POST", COMPLETIONS, b'{"model": "small", '),
    "no body": (400, "POST", COMPLETIONS, b""),
    "not an object": (400, "POST", COMPLETIONS, [1, 2]),
    "null": (400, "POST", COMPLETIONS, b"null"),
    "invalid UTF-8": (400, "POST", COMPLETIONS, b'{"model":"small","prompt":"\xff\xfe"}'),
    "half a surrogate pair": (400, "POST", COMPLETIONS, b'{"model":"small","prompt":"\\ud800"}'),
    "half a pair in a name": (400, "POST", COMPLETIONS, b'{"model":"\\ud800"}'),
    "deep nesting": (400, "POST", COMPLETIONS, DEEP),
    "a huge number": (400, "POST", COMPLETIONS, b'{"model":"small","seed":' + 9000 * b"9" + b"}"),
    "not a number": (400, "POST", COMPLETIONS, b'{"model":"small","temperature":NaN}'),
    "infinite": (400, "POST", COMPLETIONS, b'{"model":"small","temperature":1e999}'),
    "a body too large": (413, "POST", COMPLETIONS, body(prompt=200_000 * "a")),
    "too many tokens": (413, "POST", COMPLETIONS, body(max_tokens=10**9)),
    "too many texts": (413, "POST", COMPLETIONS, body(n=1000)),
    "negative": (400, "POST", COMPLETIONS, body(max_tokens=-1)),
    "a text for a number": (400, "POST", COMPLETIONS, body(max_tokens="5")),
    "true for a number": (400, "POST", COMPLETIONS, body(max_tokens=True)),
    "an object for a text": (400, "POST", COMPLETIONS, body(prompt={"a": 1})),
    "mixed prompts": (400, "POST", COMPLETIONS, body(prompt=["a", 1])),
    "no prompts": (400, "POST", COMPLETIONS, body(prompt=[])),
    "an empty list of ids": (400, "POST", COMPLETIONS, body(prompt=[[]])),
    "no such id": (400, "POST", COMPLETIONS, body(prompt=[10**6])),
    "a negative id": (400, "POST", COMPLETIONS, body(prompt=[[-1]])),
    "an id beyond 64 bits": (400, "POST", COMPLETIONS, body(prompt=[2**70])),
    "a character that is not known": (400, "POST", COMPLETIONS, body(prompt="\u4e16")),
    "a seed beyond 64 bits": (400, "POST", COMPLETIONS, body(seed=2**64)),
    "an empty stop": (400, "POST", COMPLETIONS, body(stop="")),
    "a bias of nothing": (400, "POST", COMPLETIONS, body(logit_bias={"x": 1})),
    "a bias beyond the vocabulary": (400, "POST", COMPLETIONS, body(logit_bias={"99": 1})),
    "everything banned": (400, "POST", COMPLETIONS, body(ban=list("abcdefghijklmnopqrstuvwxyz \nTé"))),
    "a strange field": (400, "POST", COMPLETIONS, body(tools=[])),
    "no such model": (404, "POST", COMPLETIONS, {"model": "../../etc/passwd"}),
    "a stream of the best": (400, "POST", COMPLETIONS, body(best_of=3, stream=True)),
    "no chat template": (400, "POST", "/v1/chat/completions", body(messages=[{"role": "user", "content": "a"}])),
    "another's response": (404, "GET", f"{RESPONSES}/{ELSE}", None),
    "another's response as a beginning": (404, "POST", RESPONSES, body(previous_response_id=ELSE)),
    "a path as a response": (404, "GET", f"{RESPONSES}/..%2f..%2fetc%2fpasswd", None),
    "a path as a beginning": (404, "POST", RESPONSES, body(previous_response_id="resp_../../../etc/passwd")),
    "a path as a state": (404, "POST", SESSIONS, body(state="state_/../../x")),
    "another's session": (404, "POST", f"{SESSIONS}/session_{32 * 'A'}/write", {}),
    "a session that nobody has": (404, "DELETE", f"{SESSIONS}/x", None),
    "an image to a response": (400, "POST", RESPONSES, body(input=[{"role": "user", "content": [IMAGE]}])),
    "a tool": (400, "POST", RESPONSES, body(tools=[{"type": "function"}])),
    "a prediction of a writer": (400, "POST", "/predict", body(inputs=["a"])),
    "no pattern": (400, "POST", COMPLETIONS, outputs(regex="(a")),
    "a pattern that is a number": (400, "POST", COMPLETIONS, outputs(regex=5)),
    "a pattern that looks back": (400, "POST", COMPLETIONS, outputs(regex=r"(a)\1")),
    "a pattern that closes the group around it": (400, "POST", COMPLETIONS, outputs(regex="a)|(b")),
    "a pattern of nothing": (400, "POST", COMPLETIONS, outputs(regex="")),
    "a pattern that nothing matches": (400, "POST", COMPLETIONS, outputs(regex="[^\x00-\U0010ffff]")),
    "a pattern of a million states": (400, "POST", COMPLETIONS, outputs(regex="((a{100}){100}){100}")),
    "a pattern that doubles": (400, "POST", COMPLETIONS, outputs(regex="(?:a|b)*a(?:a|b){20}")),
    "a pattern of 90,000 characters": (400, "POST", COMPLETIONS, outputs(regex=90_000 * "[")),
    "a pattern of half a pair": (400, "POST", COMPLETIONS, outputs(regex="\ud800")),
    "a pattern that cannot be written": (400, "POST", COMPLETIONS, outputs(regex="[0-9]+")),
    "two constraints": (400, "POST", COMPLETIONS, outputs(regex="a", choice=["a"])),
    "two constraints in two fields": (400, "POST", COMPLETIONS, form(True) | outputs(regex="a")),
    "no constraint": (400, "POST", COMPLETIONS, outputs()),
    "no JSON object": (400, "POST", COMPLETIONS, outputs(json_object=False)),
    "a grammar": (400, "POST", COMPLETIONS, outputs(grammar="root ::= a")),
    "an old name": (400, "POST", COMPLETIONS, body(guided_regex="a")),
    "no choices": (400, "POST", COMPLETIONS, outputs(choice=[])),
    "an empty choice": (400, "POST", COMPLETIONS, outputs(choice=["a", ""])),
    "choices that are none": (400, "POST", COMPLETIONS, outputs(choice=[None])),
    "choices beyond all": (400, "POST", COMPLETIONS, outputs(choice=["a" * 30_000 + "b", "a"])),
    "a schema that is no JSON": (400, "POST", COMPLETIONS, outputs(json="{")),
    "a schema that is a number": (400, "POST", COMPLETIONS, outputs(json="5")),
    "no schema": (400, "POST", COMPLETIONS, body(response_format={"type": "json_schema"})),
    "a schema without a name": (400, "POST", COMPLETIONS, form({}, name=None)),
    "a strange name": (400, "POST", COMPLETIONS, form({}, name="../a")),
    "a schema that is a list": (400, "POST", COMPLETIONS, form([])),
    "a schema with another field": (400, "POST", COMPLETIONS, form({}, depth=3)),
    "a format that there is not": (400, "POST", COMPLETIONS, body(response_format={"type": "xml"})),
    "a format that is a text": (400, "POST", COMPLETIONS, body(response_format="json_object")),
    "a keyword that cannot be kept": (400, "POST", COMPLETIONS, form({"type": "array", "uniqueItems": True})),
    "lists for names": (400, "POST", COMPLETIONS, form({"properties": {}, "required": [{}]})),
    "a list for a format": (400, "POST", COMPLETIONS, form({"type": "string", "format": []})),
    "a list among the types": (400, "POST", COMPLETIONS, form({"enum": [1], "type": [[]]})),
    "a schema in itself": (400, "POST", COMPLETIONS, form({"$ref": "#"})),
    "a schema elsewhere": (400, "POST", COMPLETIONS, form({"$ref": "file:///etc/passwd"})),
    "optional properties in optional ones": (400, "POST", COMPLETIONS, form(OPTIONAL)),
    "lists in lists": (400, "POST", COMPLETIONS, form(TWICE)),
    "a deep schema": (400, "POST", COMPLETIONS, DEEP_SCHEMA),
    "a number of a thousand digits": (400, "POST", COMPLETIONS, form({"type": "integer", "minimum": 10**1000})),
    "a million letters": (400, "POST", COMPLETIONS, form({"type": "string", "minLength": 10**6})),
    "a quotation mark in a string": (400, "POST", COMPLETIONS, form({"type": "string", "pattern": "a.b"})),
    "JSON without its characters": (400, "POST", COMPLETIONS, body(response_format={"type": "json_object"})),
    "a schema to a response": (400, "POST", RESPONSES, text_form(type="json_schema", name="a", schema={"not": {}})),
    "a schema of chats to a response": (400, "POST", RESPONSES, text_form(type="json_schema", json_schema={})),
    "not a number in a schema": (400, "POST", RESPONSES, NAN),
    "a pattern to a session": (404, "POST", f"{SESSIONS}/x/write", {"structured_outputs": {"regex": "("}}),
    "no such path": (404, "GET", "/../../etc/passwd", None),
    "no such method": (405, "PUT", COMPLETIONS, body()),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_what_is_wrong_is_a_4xx(client, name):
    status, method, path, sent = REQUESTS[name]
    found, answer = client.ask(method, path, sent, **BEARER)
    assert (found, set(answer)) == (status, {"error"})
    assert set(answer["error"]) == {"message", "type", "param", "code"} and len(answer["error"]["message"]) > 8
    assert client.ask("POST", COMPLETIONS, body(max_tokens=2), **BEARER)[0] == 200


HEAD = f"POST {COMPLETIONS} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n".encode()
KIND = b"content-type: application/json\r\n"
RAW = {
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    "a line without an end": (400, b"GET /" + 100_000 * b"a"),
    "many headers": (400, HEAD + 50_000 * b"a: bbbbbbbb\r\n" + b"connection: close\r\n\r\n"),
    "a length that is no number": (400, HEAD + KIND + b"content-length: many\r\n\r\n"),
    "a negative length": (400, HEAD + KIND + b"content-length: -5\r\n\r\n"),
    "two lengths": (400, HEAD + KIND + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    "a length beyond all": (413, HEAD + KIND + b"content-length: 99999999999999\r\n\r\n"),
    "chunks beyond all": (
        413,
        HEAD + KIND + b"transfer-encoding: chunked\r\n\r\n" + 30 * (b"1000\r\n" + 4096 * b"a" + b"\r\n"),
    ),
    "chunks that are none": (400, HEAD + KIND + b"transfer-encoding: chunked\r\n\r\nxyz\r\n"),
    "a body that never comes": (408, HEAD + KIND + b'content-length: 100\r\n\r\n{"model'),
    "headers that never end": (408, HEAD),
    "nothing at all": (408, b""),
    "a form": (400, HEAD + b"content-type: text/plain\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"),
    "a compressed body": (
        400,
        HEAD + KIND + b"content-encoding: gzip\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
    ),
    "another name": (403, b"GET /health HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n"),
    "no name": (400, b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n"),
}


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_wrong_are_a_4xx(client, name):
    status, sent = RAW[name]
    found, answer = client.send(sent)
    assert found == status and answer["error"]["message"]
    assert client.ask("GET", "/health")[0] == 200


def test_no_token_no_answer(client):
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"authorization": "Bearer \xff"}):
        status, answer = client.ask("POST", COMPLETIONS, body(max_tokens=2), **headers)
        assert status == 401 and answer["error"]["code"] == "invalid_api_key"
    assert client.ask("GET", "/metrics")[0] == 401 and client.ask("GET", "/health")[0] == 200


def test_no_other_site_may_read_the_answers(client):
    with socket.create_connection(("127.0.0.1", client.port)) as raw:
        raw.sendall(HEAD.replace(b"POST", b"OPTIONS") + b"origin: http://evil.example\r\nconnection: close\r\n\r\n")
        assert b"access-control" not in raw.recv(65536).lower()


def test_what_comes_in_drops_is_given_up(client):
    """A byte now and then does not keep a request open."""
    with socket.create_connection(("127.0.0.1", client.port)) as raw:
        raw.sendall(HEAD + KIND + b"content-length: 1000\r\n\r\n")
        raw.settimeout(0.1)
        began, found = monotonic(), b""
        while not found and monotonic() - began < 20:
            raw.sendall(b" ")
            try:
                found = raw.recv(65536)
            except TimeoutError:
                continue
    assert b" 408 " in found


def test_logs_have_no_text_in_them(client, caplog):
    with caplog.at_level("INFO", "unspool.serve"):
        client.ask("POST", COMPLETIONS, body(prompt="mysecret", max_tokens=2), **BEARER)
        noted = []
        while COMPLETIONS not in [fields["path"] for fields in noted]:  # it is written behind the answer
            noted = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert "mysecret" not in json.dumps(noted)
