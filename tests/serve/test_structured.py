"""Texts that match a pattern, a JSON schema or a choice: over HTTP as `unspool sample` writes them."""

import json
from concurrent.futures import ThreadPoolExecutor
from re import fullmatch
from threading import Event

import pytest

from helpers.serving import serving, text_run
from unspool import cli, tokenizers
from unspool.generate import pattern_worker, patterns
from unspool.generate.automaton import MOST_STATES
from unspool.generate.constraints import Constraint
from unspool.runs.run import Run
from unspool.serve.constraints import WAITING, WantedConstraint
from unspool.serve.models import TEMPLATE

BYTE = tokenizers.build("tokenizer", "byte")
PATTERN = "(cat|dog)( and (cat|dog)){0,3}"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
NAMED = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
COMPLETIONS, CHAT, RESPONSES = "/v1/completions", "/v1/chat/completions", "/v1/responses"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose tokens are bytes, with a chat template."""
    found = tmp_path_factory.mktemp("structured") / "small"
    text_run(BYTE).save(found)
    (found / TEMPLATE).write_text("{% for one in messages %}{{ one.content }}: {% endfor %}")
    (found / "schema.json").write_text(json.dumps(PERSON))
    return found


@pytest.fixture(scope="module")
def client(folder):
    with serving({"small": Run.load(folder)}) as found:
        yield found


def sampled(capsys, folder, *options):
    """What `unspool sample --json` writes behind its prompt, "the "."""
    capsys.readouterr()
    words = ["sample", str(folder), "--prompt", "the ", "--length", "80", "--json", *map(str, options)]
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert end.value.code == 0
    return [one["text"].removeprefix("the ") for one in json.loads(capsys.readouterr().out)]


DRAWS = [
    ({"temperature": 1.0}, ["--temperature", 1]),
    ({"temperature": 0.7, "top_k": 20}, ["--temperature", 0.7, "--top-k", 20]),
    ({"temperature": 0.0}, ["--temperature", 0]),
    ({"temperature": 1.0, "top_p": 0.9, "repetition_penalty": 1.4},
     ["--temperature", 1, "--top-p", 0.9, "--repetition-penalty", 1.4]),
    ({"temperature": 1.0, "min_p": 0.02, "ban": ["dog a", "d", "<unk>"]},
     ["--temperature", 1, "--min-p", 0.02, "--ban", "dog a", "--ban", "d"]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "options"), DRAWS)
@pytest.mark.parametrize("kind", ["regex", "schema"])
def test_a_text_is_the_one_that_sample_writes(client, folder, capsys, kind, fields, options):
    pattern = PATTERN.replace("d", "D") if "ban" in fields else PATTERN
    own = {"structured_outputs": {"regex": pattern}} if kind == "regex" else {"response_format": NAMED}
    words = ["--regex", pattern] if kind == "regex" else ["--json-schema", folder / "schema.json"]
    for seed in range(3):
        asked = {"model": "small", "prompt": "the ", "max_tokens": 80, "seed": seed, **fields, **own}
        (choice,) = client.post(COMPLETIONS, **asked)["choices"]
        assert [choice["text"]] == sampled(capsys, folder, *options, *words, "--seed", seed)
        assert choice["finish_reason"] == "stop"
        parts = client.stream(COMPLETIONS, **asked)
        assert "".join(part["choices"][0]["text"] for part in parts) == choice["text"]
        assert parts[-1]["choices"][0]["finish_reason"] == "stop"


def test_several_texts_are_those_that_sample_writes(client, folder, capsys):
    asked = {"model": "small", "prompt": "the ", "max_tokens": 80, "seed": 5, "n": 6}
    asked["structured_outputs"] = {"regex": "[a-e]{3,8}"}
    found = [one["text"] for one in client.post(COMPLETIONS, **asked)["choices"]]
    wanted = sampled(capsys, folder, "--temperature", 1, "--regex", "[a-e]{3,8}", "--seed", 5, "--count", 6)
    assert sorted(found) == sorted(wanted) and len(set(found)) > 2
    parts = [part["choices"][0] for part in client.stream(COMPLETIONS, **asked)]
    for row, text in enumerate(found):
        assert "".join(part["text"] for part in parts if part["index"] == row) == text
    best = client.post(COMPLETIONS, **{**asked, "n": 2}, best_of=6)["choices"]
    assert {one["text"] for one in best} <= set(found)


def test_json_comes_at_every_route(client):
    form = {"type": "json_object"}
    texts = [client.post(COMPLETIONS, model="small", max_tokens=90, seed=1, response_format=form)["choices"][0]["text"]]
    chat = client.post(CHAT, model="small", messages=HELLO, max_tokens=90, seed=2, n=2, response_format=NAMED)
    texts += [one["message"]["content"] for one in chat["choices"]]
    assert {one["finish_reason"] for one in chat["choices"]} == {"stop"}
    flat = {"type": "json_schema", "name": "person", "schema": PERSON}
    answer = client.post(RESPONSES, model="small", input="a", max_output_tokens=90, seed=3, text={"format": flat})
    assert answer["status"] == "completed" and answer["text"]["format"] == flat
    texts.append(answer["output"][0]["content"][0]["text"])
    session = client.post("/sessions", model="small", text="ab")["id"]
    wrote = client.post(f"/sessions/{session}/write", max_tokens=90, structured_outputs={"json": PERSON}, seed=4)
    texts.append(wrote["text"])
    made = [json.loads(text) for text in texts]
    assert all(isinstance(one, dict) for one in made)
    assert all(set(one) == {"name", "age"} and 0 <= one["age"] <= 99 for one in made[1:])
    for text in ({}, {"format": {"type": "text"}}):
        free = client.post(RESPONSES, model="small", input="a", max_output_tokens=5, seed=3, text=text)
        assert free["text"]["format"] == {"type": "text"} and free["status"] == "incomplete"


def test_streams_of_chats_and_responses_match_too(client):
    parts = client.stream(CHAT, model="small", messages=HELLO, max_tokens=90, seed=2, response_format=NAMED)
    assert set(json.loads("".join(part["choices"][0]["delta"].get("content", "") for part in parts))) == {"name", "age"}
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    form = {"format": {"type": "json_schema", "name": "person", "schema": PERSON}}
    events = client.stream(RESPONSES, model="small", input="a", max_output_tokens=90, seed=3, text=form)
    assert events[-1]["type"] == "response.completed"
    assert json.loads("".join(one["delta"] for one in events if one["type"].endswith("delta")))["age"] >= 0


def test_the_next_turn_goes_on_behind_what_was_written(client):
    """The end of a constraint is no token: the state has read the text, and nothing else."""
    asked = {"model": "small", "max_output_tokens": 40, "seed": 3}
    first = client.post(RESPONSES, **asked, input="the ", structured_outputs={"regex": "(cat|dog)*"})
    text = first["output"][0]["content"][0]["text"]
    assert first["status"] == "completed" and len(text) % 3 == 0
    second = client.post(RESPONSES, **asked, input="", previous_response_id=first["id"])
    same = client.post(RESPONSES, **asked, input=f"the {text}")
    assert second["usage"]["input_tokens_details"]["cached_tokens"] == len(f"the {text}")
    assert second["output"][0]["content"][0]["text"] == same["output"][0]["content"][0]["text"]


def test_a_choice_is_one_of_the_texts(client):
    texts, found = ["yes", "no", "no, never"], set()
    for seed in range(12):
        asked = {"model": "small", "prompt": "a", "seed": seed, "logprobs": 1}
        (choice,) = client.post(COMPLETIONS, **asked, structured_outputs={"choice": texts})["choices"]
        found.add(choice["text"])
        scores = choice["logprobs"]["token_logprobs"]
        assert choice["finish_reason"] == "stop" and len(scores) == len(choice["text"])
    assert found <= set(texts) and len(found) > 1


def test_a_text_is_complete_where_the_length_ends(client):
    for seed in range(5):
        asked = {"model": "small", "prompt": "a", "max_tokens": 9, "seed": seed}
        (choice,) = client.post(COMPLETIONS, **asked, structured_outputs={"regex": "(abc|d)+"})["choices"]
        assert fullmatch("(abc|d)+", choice["text"]) and len(choice["text"]) <= 9


def test_a_text_that_is_too_short_is_cut(client):
    """As OpenAI's API does: what is there begins what would have come, and the answer says that it was cut."""
    digits = {"structured_outputs": {"regex": "[0-9]{40}"}}
    asked = {"model": "small", "prompt": "a", "seed": 3, **digits}
    (whole,), (cut,) = (client.post(COMPLETIONS, **asked, **more)["choices"] for more in ({"max_tokens": 40}, {}))
    assert (whole["finish_reason"], cut["finish_reason"]) == ("stop", "length")
    assert len(cut["text"]) == 16 and whole["text"].startswith(cut["text"])
    parts = client.stream(COMPLETIONS, **asked)
    assert "".join(part["choices"][0]["text"] for part in parts) == cut["text"]
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    chat = client.post(CHAT, model="small", messages=HELLO, max_tokens=5, response_format=NAMED)
    assert chat["choices"][0]["finish_reason"] == "length"
    cut = client.post(RESPONSES, model="small", input="a", max_output_tokens=5, **digits)
    assert cut["status"] == "incomplete" and cut["incomplete_details"] == {"reason": "max_output_tokens"}
    usual = client.post(RESPONSES, model="small", input="a", structured_outputs={"regex": "[0-9]{300}"})
    assert usual["status"] == "incomplete" and len(usual["output"][0]["content"][0]["text"]) == 256
    session = client.post("/sessions", model="small", text="ab")["id"]
    wrote = client.post(f"/sessions/{session}/write", max_tokens=7, **digits)
    assert wrote["finish_reason"] == "length" and fullmatch("[0-9]{7}", wrote["text"])


def test_a_stop_string_ends_it_before(client):
    asked = {"model": "small", "prompt": "a", "max_tokens": 9, "stop": "b"}
    (choice,) = client.post(COMPLETIONS, **asked, structured_outputs={"regex": "ab"})["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("a", "stop")
    asked["stop"] = "bc"  # held back until the end, which the constraint is
    (choice,) = client.post(COMPLETIONS, **asked, structured_outputs={"regex": "ab"})["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("ab", "stop")


def test_rows_with_and_without_a_constraint_step_side_by_side(client):
    """Twenty at once, each of which writes what it writes alone."""

    def ask(number):
        asked = {"model": "small", "prompt": "abc"[: 1 + number % 3], "max_tokens": 40, "seed": number}
        kinds = [{}, {"structured_outputs": {"regex": "[a-f ]{20,30}"}}, {"response_format": NAMED, "max_tokens": 90}]
        return client.post(COMPLETIONS, **{**asked, **kinds[number % 3]})["choices"][0]["text"]

    alone = [ask(number) for number in range(20)]
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == alone
    assert client.server.models["small"].writer.scheduler.counts() == {"requests": 0, "live": 0}


def test_compiling_holds_up_nobody_else_and_many_wait_in_vain(monkeypatch):
    begun, go_on = Event(), Event()

    def compiled(wanted):
        begun.set()
        assert go_on.wait(60)
        return Constraint.choices(["ab"])

    monkeypatch.setattr(WantedConstraint, "compiled", compiled)
    with serving() as client, ThreadPoolExecutor(WAITING) as pool:
        slow = {"model": "small", "structured_outputs": {"regex": "ab"}}
        held = [pool.submit(client.ask, "POST", COMPLETIONS, slow) for _ in range(WAITING)]
        assert begun.wait(60)
        try:
            assert client.post(COMPLETIONS, model="small", max_tokens=8)["usage"]["completion_tokens"] == 8
            while client.server.constraints._waiting < WAITING:
                client.ask("GET", "/health")
            status, answer = client.ask("POST", COMPLETIONS, slow)
            assert status == 429 and "wait to be compiled already" in answer["error"]["message"]
        finally:
            go_on.set()
        for one in held:
            status, answer = one.result()
            assert status == 200 and answer["choices"][0]["text"] == "ab"


def test_constraints_take_bounded_memory(monkeypatch):
    def ask(table, _):
        return pattern_worker.automaton(table, MOST_STATES)

    monkeypatch.setattr(patterns, "_ask", ask)  # small patterns need no process of their own
    with serving(constraint_bytes=200_000) as client:
        for number in range(1, 40):  # about 11 kB for each repetition
            asked = {"model": "small", "structured_outputs": {"regex": f"a{{{number % 9 + 1}}}b"}}
            assert client.post(COMPLETIONS, **asked)["choices"][0]["text"] == "a" * (number % 9 + 1) + "b"
            assert 0 < client.server.constraints.size <= 200_000
        asked = {"model": "small", "structured_outputs": {"regex": "a{200}b"}, "max_tokens": 300}
        status, answer = client.ask("POST", COMPLETIONS, asked)
        assert status == 429 and "all the memory" in answer["error"]["message"]


def test_the_openai_client_is_content(client):
    openai, pydantic = pytest.importorskip("openai"), pytest.importorskip("pydantic")

    class Person(pydantic.BaseModel):
        age: int
        kind: list[bool]

    api = openai.OpenAI(base_url=f"http://127.0.0.1:{client.port}/v1", api_key="none", max_retries=0)
    asked = {"model": "small", "seed": 1}
    found = api.chat.completions.create(**asked, messages=HELLO, response_format=NAMED, max_completion_tokens=90)
    assert set(json.loads(found.choices[0].message.content)) == {"name", "age"}
    parsed = api.chat.completions.parse(**asked, messages=HELLO, response_format=Person, max_tokens=120)
    assert isinstance(parsed.choices[0].message.parsed, Person)
    parsed = api.responses.parse(model="small", input="hello", text_format=Person, max_output_tokens=120)
    assert isinstance(parsed.output_parsed, Person)
    with api.chat.completions.stream(**asked, messages=HELLO, response_format=Person, max_tokens=120) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)
    outputs = {"structured_outputs": {"choice": ["yes", "no"]}}
    found = api.completions.create(**asked, prompt="a", n=3, extra_body=outputs)
    assert {one.text for one in found.choices} <= {"yes", "no"} and found.choices[0].finish_reason == "stop"
    with pytest.raises(openai.LengthFinishReasonError):
        api.chat.completions.parse(**asked, messages=HELLO, response_format=Person, max_tokens=5)
    with pytest.raises(openai.BadRequestError, match="cannot be used"):
        api.completions.create(model="small", prompt="a", extra_body={"structured_outputs": {"regex": "("}})
