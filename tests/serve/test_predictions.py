"""/predict is `Run.predict`; files of the server are nobody's business. And chat, where a run has a template."""

from base64 import b64encode

import pytest

from helpers.models import small
from helpers.serving import CHAR, serving, text_run
from unspool import preprocessors, tokenizers
from unspool.data.readers.images import netpbm
from unspool.errors import ConfigError
from unspool.runs.run import Run
from unspool.serve.models import TEMPLATE, names_of

LABELS = tokenizers.build("labels", "label").fit("neg\npos\n")


def classifier():
    preprocessor = preprocessors.build("preprocessor", "labelled-text", tokenizer=CHAR, labels=LABELS)
    model = small("pooled", preprocessor.inputs, preprocessor.targets, width=8)
    return Run(model, preprocessor, name="classes")


def seer():
    preprocessor = preprocessors.build("preprocessor", "labelled-image", labels=LABELS, side=4, patch_height=2)
    model = small("pooled", preprocessor.inputs, preprocessor.targets, width=8)
    return Run(model, preprocessor, name="images")


@pytest.fixture(scope="module")
def client():
    with serving({"classes": classifier(), "images": seer()}) as found:
        yield found


def test_predictions_are_those_of_the_run(client):
    run = client.server.models["classes"].run
    found = client.post("/predict", model="classes", inputs=["a fine film", {"text": "bad"}, "", "\u4e16", {"x": 1}])
    for text, one in zip(("a fine film", "bad"), found["predictions"], strict=False):
        wanted = run.predict(text).as_dict()
        assert one["label"] == wanted["label"] and one["scores"] == pytest.approx(wanted["scores"])
    assert all("error" in one for one in found["predictions"][2:])
    assert len(client.post("/predict", model="classes", inputs=["a"], top=1)["predictions"][0]["scores"]) == 1


def test_images_come_as_content_and_never_as_names(client, tmp_path):
    image = netpbm(bytes(range(48)))
    (tmp_path / "a.ppm").write_bytes(image)
    given = [{"base64": b64encode(image).decode()}, str(tmp_path / "a.ppm"), {"image": str(tmp_path / "a.ppm")}]
    found = client.post("/predict", model="images", inputs=[*given, {"base64": "??"}, {"base64": "AAAA"}])
    first, *others = found["predictions"]
    assert first["label"] in ("neg", "pos") and all(set(one) == {"error"} for one in others)


@pytest.mark.parametrize("inputs", [[], "a", [1], [{"text": {"a": 1}}], [None]])
def test_what_is_no_input_is_a_400(client, inputs):
    assert client.ask("POST", "/predict", {"model": "classes", "inputs": inputs})[0] == 400
    assert client.ask("POST", "/v1/completions", {"model": "classes"})[0] == 400
    assert client.ask("POST", "/sessions", {"model": "classes"})[0] == 400


def test_chat_needs_a_template_and_uses_it(tmp_path):
    run = text_run().save(tmp_path / "run")
    template = "{% for one in messages %}{{ one.content }}\n{% endfor %}"
    template += "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    (tmp_path / "run" / TEMPLATE).write_text(template)
    messages = [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}]
    with serving({"small": run}) as client:
        asked = {"model": "small", "messages": messages, "max_tokens": 12, "seed": 1, "n": 2}
        found = client.post("/v1/chat/completions", **asked)
        text = "".join(run.stream("ab\ncd\n", length=12, seed=1))
        message = {"role": "assistant", "content": text, "refusal": None}
        assert found["choices"][0]["message"] == message and len(found["choices"]) == 2
        parts = [part["choices"][0] for part in client.stream("/v1/chat/completions", **asked)]
        assert "".join(part["delta"].get("content", "") for part in parts if part["index"] == 0) == text
        refused = {"model": "small", "messages": [{"role": "system", "content": "x"}]}
        assert client.ask("POST", "/v1/chat/completions", refused)[0] == 400


def test_two_runs_of_one_name_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="two runs are called a"):
        names_of([tmp_path / "x/a", tmp_path / "y/a"])
