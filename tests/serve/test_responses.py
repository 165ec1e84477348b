"""/v1/responses: every stored response is a state that can be forked."""

import pytest

from helpers.serving import serving, text_run

NEEDED = {
    "id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id",
    "instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p",
    "presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "user", "usage",
    "max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata", "safety_identifier",
    "prompt_cache_key",
}  # fmt: skip
"""What every response must have (Open Responses, ResponseResource)."""


@pytest.fixture(scope="module", params=["memory", "disk"])
def client(request, tmp_path_factory):
    folder = None if request.param == "memory" else tmp_path_factory.mktemp("states")
    with serving({"small": text_run(), "other": text_run(cell="gru")}, states=folder) as found:
        yield found


def text_of(response):
    return response["output"][0]["content"][0]["text"]


def alone(client, prompt, **options):
    return "".join(client.server.models["small"].run.stream(prompt, **options))


def test_turns_go_on_from_turns(client):
    first = client.post("/v1/responses", model="small", input="the", max_output_tokens=9, seed=4)
    assert first["status"] == "incomplete" and first["usage"]["tokens_read"] == 3
    ends = []
    for _ in range(2):  # any earlier turn can be forked, as often as one likes
        second = client.post(
            "/v1/responses", model="small", input="", previous_response_id=first["id"], max_output_tokens=8, seed=4
        )
        assert second["usage"]["tokens_read"] == 0
        assert second["usage"]["input_tokens"] == second["usage"]["input_tokens_details"]["cached_tokens"] == 12
        ends.append(text_of(second))
    assert ends[0] == ends[1] and text_of(first) + ends[0] == alone(client, "the", length=17, seed=4)
    third = client.post(
        "/v1/responses", model="small", input="xy", previous_response_id=first["id"], max_output_tokens=8, seed=4
    )
    assert third["usage"]["tokens_read"] == 2 and third["previous_response_id"] == first["id"]


def test_a_response_can_be_fetched_and_forgotten(client):
    made = client.post("/v1/responses", model="small", input="the", max_output_tokens=3)
    assert client.ask("GET", f"/v1/responses/{made['id']}") == (200, made)
    assert client.ask("DELETE", f"/v1/responses/{made['id']}")[1]["deleted"]
    assert client.ask("GET", f"/v1/responses/{made['id']}")[0] == 404
    body = {"model": "small", "previous_response_id": made["id"]}
    status, found = client.ask("POST", "/v1/responses", body)
    assert status == 404 and found["error"]["code"] == "previous_response_not_found"
    secret = client.post("/v1/responses", model="small", input="the", max_output_tokens=3, store=False)
    assert client.ask("GET", f"/v1/responses/{secret['id']}")[0] == 404


def test_a_response_belongs_to_its_model(client):
    made = client.post("/v1/responses", model="small", input="the", max_output_tokens=3)
    body = {"model": "other", "previous_response_id": made["id"]}
    status, found = client.ask("POST", "/v1/responses", body)
    assert status == 400 and "small" in found["error"]["message"]


def test_messages_and_instructions_are_read_in_order(client):
    parts = [{"type": "input_text", "text": "c"}, {"type": "input_text", "text": "d"}]
    given = [{"role": "user", "content": "ab"}, {"type": "message", "role": "assistant", "content": parts}]
    made = client.post("/v1/responses", model="small", instructions="x", input=given, max_output_tokens=9, seed=1)
    assert text_of(made) == alone(client, "x\nab\ncd", length=9, seed=1)


def test_the_phase_of_a_message_is_taken_and_not_read(client):
    """What a client sends back of an earlier turn may say which part of an answer it was."""
    given = [{"role": "assistant", "content": "ab", "phase": "final_answer"}, {"role": "user", "content": "cd"}]
    made = client.post("/v1/responses", model="small", input=given, max_output_tokens=9, seed=1)
    assert text_of(made) == alone(client, "ab\ncd", length=9, seed=1)
    given[0]["phase"] = "other"
    assert client.ask("POST", "/v1/responses", {"model": "small", "input": given})[0] == 400


def test_a_stop_string_completes_it(client):
    text = alone(client, "the", length=60, seed=5)
    stop = text[20:22]
    made = client.post("/v1/responses", model="small", input="the", max_output_tokens=60, seed=5, stop=stop)
    assert made["status"] == "completed" and text_of(made) == text[: text.index(stop)]


def test_the_text_tests_of_open_responses_are_completed(client):
    """One message, a system prompt, several turns, and a stream: without a limit of length, each to its usual end."""
    turns = [[("user", "count to five")], [("system", "be kind"), ("user", "hello")]]
    turns.append([("user", "i am ann"), ("assistant", "hello ann"), ("user", "who am i")])
    for given in turns:
        messages = [{"type": "message", "role": role, "content": text} for role, text in given]
        made = client.post("/v1/responses", model="small", input=messages)
        assert made["status"] == "completed" and made["output"][0]["type"] == "message" and set(made) >= NEEDED
    last = client.stream("/v1/responses", model="small", input=messages)[-1]
    assert last["type"] == "response.completed" and set(last["response"]) >= NEEDED


def test_the_events_of_a_stream(client):
    events = client.stream("/v1/responses", model="small", input="the", max_output_tokens=9, seed=4)
    names = [one["type"].removeprefix("response.") for one in events]
    assert names[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert names[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    text = "".join(one["delta"] for one in events if one["type"].endswith("delta"))
    assert text == alone(client, "the", length=9, seed=4) == text_of(events[-1]["response"])
    assert client.ask("GET", f"/v1/responses/{events[-1]['response']['id']}")[0] == 200
