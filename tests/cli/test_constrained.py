"""`unspool score`, and `unspool sample` with constraints, choices, biases, groups of beams and log-probabilities."""

import io
import json
import re
import sys
from math import exp, log

import pytest

from helpers.commands import TEXT, TINY, run

SCHEMA = {"type": "object", "properties": {"a": {"enum": ["t", "h"]}}, "required": ["a"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("constrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "good.txt").write_text(TEXT + 'x{"a": "t"}\n' * 3)
        assert run("train", "char-lm", *TINY, "data.test=0.1", "--run", "run") == 0
        (folder / "schema.json").write_text(json.dumps(SCHEMA))
    return folder


@pytest.fixture(autouse=True)
def inside(place, monkeypatch):
    monkeypatch.chdir(place)


def printed(capsys, *words):
    capsys.readouterr()
    assert run(*words) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def refused(capsys, *words):
    capsys.readouterr()
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 2 and err.startswith("error: ")
    return err


def test_a_score_is_the_loss_of_the_evaluation(place, capsys):
    from unspool.cli.evaluate import split_text
    from unspool.runs.run import Run

    (place / "test.txt").write_text(split_text(Run.load("run"), "test"))
    measured = json.loads(printed(capsys, "eval", "run", "--split", "test", "--json"))
    (one,) = json.loads(printed(capsys, "score", "run", "--file", "test.txt", "--total", "--json"))
    assert one["loss"] == pytest.approx(measured["test/contiguous/loss"], abs=1e-5)
    assert one["bits_per_character"] == pytest.approx(measured["test/contiguous/bits_per_character"], abs=1e-5)
    (one,) = json.loads(printed(capsys, "score", "run", "--file", "test.txt", "--window", 64, "--json"))
    assert one["loss"] == pytest.approx(measured["test/windowed/loss"], abs=1e-5)
    assert one["scored_tokens"] == len(one["tokens"]) - 1


def test_scores_of_texts_are_tables_or_json(capsys, monkeypatch):
    made = json.loads(printed(capsys, "score", "run", "the cat", "hat", "--top", 2, "--json"))
    assert [one["text"] for one in made] == ["the cat", "hat"]
    tokens = made[0]["tokens"]
    assert "".join(one["text"] for one in tokens) == "the cat" and tokens[0]["log_probability"] is None
    known = [one["log_probability"] for one in tokens[1:]]
    assert sum(known) == pytest.approx(made[0]["log_probability"]) and all(len(one["top"]) == 2 for one in tokens[1:])
    assert made[0]["bits_per_character"] == pytest.approx(-sum(known) / log(2) / 6)
    assert made[0]["perplexity"] == pytest.approx(exp(-sum(known) / 6))
    table = printed(capsys, "score", "run", "the cat").splitlines()
    assert len(table) == 9 and table[4].startswith("␣") and table[-1].startswith("6 tokens scored: log probability -")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"the cat")))
    assert printed(capsys, "score", "run").splitlines() == table


def test_a_prompt_and_a_state_come_before_what_is_scored(capsys):
    (whole,) = json.loads(printed(capsys, "score", "run", "the cat", "--json"))
    (rest,) = json.loads(printed(capsys, "score", "run", " cat", "--prompt", "the", "--json"))
    assert len(rest["tokens"]) == 4 == rest["scored_tokens"]
    for one, other in zip(rest["tokens"], whole["tokens"][3:], strict=True):
        assert one["log_probability"] == pytest.approx(other["log_probability"], abs=1e-5)
    printed(capsys, "sample", "run", "--prompt", "the", "--length", 1, "--save-state", "state")
    assert json.loads(printed(capsys, "score", "run", "x", "--state", "state", "--json"))[0]["scored_tokens"] == 1


def test_what_is_sampled_matches(capsys):
    for seed in range(3):
        text = printed(capsys, "sample", "run", "--prompt", "the ", "--regex", "[act]{2,5}", "--seed", seed)
        assert re.fullmatch("the [act]{2,5}\n", text)
    for words in (["--count", 4], ["--beam", 4, "--count", 2]):
        made = json.loads(printed(capsys, "sample", "run", "--json-schema", "schema.json", *words, "--json"))
        assert len(made) == words[-1] and all(json.loads(one["text"])["a"] in ("t", "h") for one in made)


def test_choices_come_with_their_probabilities(capsys):
    words = ("sample", "run", "--prompt", "the ", "--choice", "cat", "--choice", "hat", "--choice", "c", "--seed", 4)
    made = json.loads(printed(capsys, *words, "--json"))
    assert made["text"] == "the " + made["choice"] and {one["text"] for one in made["choices"]} == {"cat", "hat", "c"}
    assert sum(one["probability"] for one in made["choices"]) == pytest.approx(1)
    lines = printed(capsys, *words).splitlines()
    assert lines[0] == made["text"] and len(lines) == 6 and lines[3].endswith(repr(made["choices"][0]["text"]))
    (scored,) = json.loads(printed(capsys, "score", "run", "cat", "--prompt", "the ", "--json"))
    (cat,) = [one for one in made["choices"] if one["text"] == "cat"]
    assert cat["log_probability"] == pytest.approx(scored["log_probability"], abs=1e-4)


def test_a_choice_of_words_stands_behind_a_space(capsys):
    assert run("train", "char-lm", *TINY, "tokenizer.kind=word", "--run", "words") == 0
    made = json.loads(printed(capsys, "sample", "words", "--prompt", "the", "--choice", "cat", "--json"))
    assert (made["text"], made["choice"]) == ("the cat", "cat")


def test_log_probabilities_are_shown_and_stay_the_models_own(capsys):
    words = ("sample", "run", "--prompt", "the ", "--length", 6, "--seed", 1, "--bias", "c=+50", "--logprobs")
    (made,) = json.loads(printed(capsys, *words, "--json"))
    assert made["text"] == "the cccccc"
    (scored,) = json.loads(printed(capsys, "score", "run", "cccccc", "--prompt", "the ", "--json"))
    own = [one["log_probability"] for one in scored["tokens"]]
    assert [one["log_probability"] for one in made["tokens"]] == pytest.approx(own, abs=1e-4)
    lines = printed(capsys, *words).splitlines()
    assert lines[0] == "the cccccc" and lines[2].split() == ["token", "log-probability", "probability"]
    assert lines[3].split()[:2] == ["c", f"{own[0]:.4f}"]


def test_groups_of_beams_find_other_texts(capsys):
    words = ("sample", "run", "--prompt", "the ", "--length", 5, "--beam", 4, "--count", 4, "--json")
    plain = {one["text"] for one in json.loads(printed(capsys, *words))}
    apart = json.loads(printed(capsys, *words, "--diverse-groups", 4, "--diversity", 20))
    assert len({one["text"][4] for one in apart}) == 4 and {one["text"] for one in apart} != plain


BAD = [
    (["sample", "run", "--regex", "(a"], "cannot be used: missing )"),
    (["sample", "run", "--regex", "Ω+"], "the model does not know 'Ω'"),
    (["sample", "run", "--regex", "a" * 1_000_001], "the pattern is too large"),
    (["sample", "run", "--regex", "[act]{9}", "--length", "4"], "needs up to 9 tokens, more than 4"),
    (["sample", "run", "--regex", ""], "no text but the empty one"),
    (["sample", "run", "--regex", "a", "--json-schema", "schema.json"], "two constraints"),
    (["sample", "run", "--json-schema", "nope.json"], "there is no file nope.json"),
    (["sample", "run", "--json-schema", "run"], "there is no file run"),
    (["sample", "run", "--json-schema", "good.txt"], "is not JSON"),
    (["sample", "run", "--choice", "cat", "--choice", "cat"], "given twice"),
    (["sample", "run", "--choice", "cat", "--choice", "Ω"], "does not know 'Ω'"),
    (["sample", "run", "--choice", ""], "empty text is no choice"),
    (["sample", "run", "--choice", "a", "--regex", "a"], "--choice draws one of some texts"),
    (["sample", "run", "--choice", "a", "--count", "2"], "--count cannot be used"),
    (["sample", "run", "--bias", "a"], "cannot read --bias a"),
    (["sample", "run", "--bias", "a=1e9"], "beyond -100.0 and 100.0"),
    (["sample", "run", "--bias", "Ω=1"], "cannot spell 'Ω'"),
    (["sample", "run", "--diverse-groups", "2"], "groups of beams"),
    (["sample", "run", "--beam", "5", "--diverse-groups", "2"], "5 beams cannot be kept in 2 equal groups"),
    (["sample", "run", "--to", "folder", "--regex", "a"], "--to writes whole documents, and --regex"),
    (["sample", "run", "--to", "folder", "--beam", "2"], "--to writes whole documents, and --beam"),
    (["sample", "run", "--beam", "2", "--precision", "int8"], "--to, --beam and --choice run in float32"),
    (["score", "run", "Ω"], "does not know 'Ω'"),
    (["score", "run", "a", "--file", "good.txt"], "texts and --file are both given"),
    (["score", "run", "--file", "nope.txt"], "there is no file 'nope.txt'"),
    (["score", "run", "a", "--prompt", "c", "--window", "3"], "a window begins with an empty state"),
    (["score", "nope", "a"], "nope does not exist"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=[" ".join(words)[:40] for words, _ in BAD])
def test_what_makes_no_sense_is_refused_in_a_sentence(words, message, capsys):
    assert message in refused(capsys, *words)
