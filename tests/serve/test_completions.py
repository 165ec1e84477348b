"""/v1/models and /v1/completions, in OpenAI's form, and what their own client makes of it."""

import pytest

from helpers.serving import CHAR, serving, text_run
from unspool import Sampling
from unspool.generate.scoring import id_scores
from unspool.runs.run import engine_of


@pytest.fixture(scope="module")
def client():
    with serving({"small": text_run(), "grid": text_run(core="transformer", layers=1, heads=2, context=16)}) as found:
        yield found


def alone(client, prompt, name="small", **options):
    """What the run itself writes."""
    sampling = Sampling(options.pop("temperature", 1.0))
    return "".join(client.server.models[name].run.stream(prompt, sampling=sampling, **options))


def test_models_are_listed(client):
    status, found = client.ask("GET", "/v1/models")
    assert status == 200 and [one["id"] for one in found["data"]] == ["small", "grid"]
    assert client.ask("GET", "/v1/models/grid")[1]["object"] == "model"


@pytest.mark.parametrize("model", ["small", "grid"])
def test_a_text_is_the_one_that_the_run_writes(client, model):
    asked = {"model": model, "prompt": "the end", "max_tokens": 40, "seed": 3, "temperature": 0.8}
    found = client.post("/v1/completions", **asked)
    text = alone(client, "the end", model, length=40, seed=3, temperature=0.8)
    (choice,) = found["choices"]
    assert choice == {"index": 0, "text": text, "logprobs": None, "finish_reason": "length"}
    assert found["usage"] == {"prompt_tokens": 7, "completion_tokens": 40, "total_tokens": 47, "tokens_read": 7}
    parts = client.stream("/v1/completions", **asked, stream_options={"include_usage": True})
    assert "".join(part["choices"][0]["text"] for part in parts[:-1]) == text
    assert parts[-2]["choices"][0]["finish_reason"] == "length" and parts[-1]["usage"]["completion_tokens"] == 40


def test_prompts_are_texts_or_ids_and_may_be_several(client):
    ids = [CHAR.encode(text).tolist() for text in ("ab", "the")]
    texts = client.post("/v1/completions", model="small", prompt=["ab", "the"], max_tokens=9, seed=1, n=2)
    same = client.post("/v1/completions", model="small", prompt=ids, max_tokens=9, seed=1, n=2)
    assert [one["text"] for one in texts["choices"]] == [one["text"] for one in same["choices"]]
    assert [one["index"] for one in texts["choices"]] == [0, 1, 2, 3]
    assert texts["choices"][0]["text"] == alone(client, "ab", length=9, seed=1)
    assert texts["choices"][2]["text"] == alone(client, "the", length=9, seed=1)
    one = client.post("/v1/completions", model="small", prompt=ids[0], max_tokens=9, seed=1)
    assert one["choices"][0]["text"] == texts["choices"][0]["text"]
    assert client.post("/v1/completions", model="small", prompt="", max_tokens=4, seed=1)["usage"]["prompt_tokens"] == 1
    parts = client.stream("/v1/completions", model="small", prompt=["ab", "the"], max_tokens=9, seed=1, n=2)
    for choice in texts["choices"]:
        own = [part["choices"][0] for part in parts if part["choices"][0]["index"] == choice["index"]]
        assert "".join(one["text"] for one in own) == choice["text"]


def test_a_stop_string_ends_a_text(client):
    text = alone(client, "the", length=60, seed=5)
    stop = text[20:22]
    found = client.post("/v1/completions", model="small", prompt="the", max_tokens=60, seed=5, stop=[stop, "§"])
    assert found["choices"][0]["text"] == text[: text.index(stop)] and found["choices"][0]["finish_reason"] == "stop"
    assert client.post("/v1/completions", model="small", prompt="a", stop="zz", max_tokens=3)["choices"]


@pytest.mark.parametrize("model", ["small", "grid"])
@pytest.mark.parametrize("length", [0, 1])
def test_echo_scores_the_prompt(client, model, length):
    """What lm-eval asks for: token ids, echo, one token or none, logprobs."""
    run = client.server.models[model].run
    ids = CHAR.encode("the quick brown fox jumps over the lazy dog " * 3).tolist()
    found = client.post(
        "/v1/completions", model=model, prompt=[ids], max_tokens=length, echo=True, logprobs=1, temperature=0.0, seed=1
    )
    wanted = list(id_scores(engine_of(run), CHAR, ids, top=1))
    scores = found["choices"][0]["logprobs"]
    assert len(scores["tokens"]) == len(ids) + length and scores["token_logprobs"][0] is None
    values = [one.log_probability for one in wanted[1:]]
    assert scores["token_logprobs"][1 : len(ids)] == pytest.approx(values, abs=1e-4)
    for top, one in zip(scores["top_logprobs"][1 : len(ids)], wanted[1:], strict=True):
        assert list(top) == list(one.top)
    assert "".join(scores["tokens"]) == found["choices"][0]["text"]
    offsets = scores["text_offset"]
    assert [found["choices"][0]["text"][at] for at in offsets] == scores["tokens"]


def test_the_best_of_several_comes_first(client):
    asked = {"model": "small", "prompt": "ab", "max_tokens": 6, "seed": 2, "logprobs": 0}
    every = client.post("/v1/completions", **asked, n=5)["choices"]
    best = client.post("/v1/completions", **asked, n=2, best_of=5)["choices"]
    means = {one["text"]: sum(one["logprobs"]["token_logprobs"]) / 6 for one in every}
    assert [one["text"] for one in best] == sorted(means, key=means.get, reverse=True)[:2]
    assert [one["index"] for one in best] == [0, 1]


def test_bias_and_bans_change_the_draw(client):
    e = str(CHAR.encode("e")[0])
    biased = client.post("/v1/completions", model="small", prompt="ab", max_tokens=9, logit_bias={e: 100})
    assert biased["choices"][0]["text"] == "e" * 9
    letters = list("abcdefghijklmnopqrstuvwxyz\nTé")
    banned = client.post("/v1/completions", model="small", prompt="ab", max_tokens=9, ban=letters)
    assert banned["choices"][0]["text"] == " " * 9


def test_the_openai_client_is_content(client):
    openai = pytest.importorskip("openai")
    api = openai.OpenAI(base_url=f"http://127.0.0.1:{client.port}/v1", api_key="none", max_retries=0)
    assert [one.id for one in api.models.list()] == ["small", "grid"]
    found = api.completions.create(model="small", prompt="ab", max_tokens=8, n=4, logprobs=2, seed=1)
    assert len(found.choices) == 4 and all(len(one.logprobs.token_logprobs) == 8 for one in found.choices)
    stream = api.completions.create(model="small", prompt="ab", max_tokens=8, seed=1, stream=True)
    assert "".join(part.choices[0].text for part in stream) == found.choices[0].text
    first = api.responses.create(model="small", input="ab", max_output_tokens=8, extra_body={"seed": 1})
    assert first.output_text == found.choices[0].text
    second = api.responses.create(
        model="small", input="", previous_response_id=first.id, max_output_tokens=5, extra_body={"seed": 1}
    )
    assert first.output_text + second.output_text == alone(client, "ab", length=13, seed=1)
    assert second.usage.input_tokens_details.cached_tokens == 10
    events = list(api.responses.create(model="small", input="ab", max_output_tokens=8, stream=True))
    assert events[0].type == "response.created" and events[-1].type == "response.incomplete"
    with pytest.raises(openai.NotFoundError, match="there is no model"):
        api.completions.create(model="other", prompt="ab")
