"""eval and sample with --adapt, and tune-state, as a user types them."""

import json
import os
import signal

import pytest

from helpers.commands import TEXT, TINY, run
from unspool import Run
from unspool.training.state_tuning import StateTuner

SHAPES = {
    "lstm": [],
    "transformer": ["core.kind=transformer", "core.cell=", "core.input_width=0", "core.context=16", "core.heads=2"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapting")
    (folder / "good.txt").write_text(TEXT)
    (folder / "voice.txt").write_text("a hen on a ham\nthe team met them at ten\n" * 30)
    os.chdir(folder)
    for name, settings in SHAPES.items():
        words = [*TINY, *settings, "data.test=0.1", "train.steps=20"]
        assert run("train", "char-lm", *words, "--run", name) == 0
    return folder


def weights(folder):
    return {file: file.read_bytes() for file in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", ["dynamic", "cache", "both"])
def test_adapting_has_a_lower_loss_on_a_text_that_repeats_and_leaves_the_run_alone(place, capsys, shape, way):
    before = weights(place / shape)
    assert run("eval", shape, "--split", "test", "--adapt", way, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    kinds = {"loss", "bits_per_character", "bits_per_byte", "perplexity"}
    assert found.keys() == {f"test/{name}/{kind}" for name in ("static", way) for kind in kinds}
    assert found[f"test/{way}/loss"] < found["test/static/loss"]
    assert weights(place / shape) == before


def test_a_text_of_ones_own_is_read_in_place_of_the_split(place, capsys):
    assert run("eval", "lstm", "--adapt", "dynamic", "--adapt-rule", "sgd", "--file", "voice.txt") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["file, static", "file, dynamic"]


def test_a_sample_adapts_to_a_file_and_to_the_prompt(place, capsys):
    texts = {}
    for words in ((), ("--adapt", "both", "--adapt-to", "voice.txt"), ("--adapt", "cache", "--cache-lambda", "0.9")):
        for _ in range(2):
            prompt = ["--prompt", "the team met", "--length", 60, "--seed", 1, "--temperature", 0.5]
            assert run("sample", "lstm", *prompt, *words) == 0
            texts.setdefault(words, set()).add(capsys.readouterr().out)
    assert all(len(same) == 1 for same in texts.values())  # the same seed writes the same
    assert len(set.union(*texts.values())) == 3


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["eval", "lstm", "--adapt", "dynamc"], "dynamic, cache or both"),
        (["eval", "lstm", "--adapt-rate", "0.1"], "--adapt-rate is an option of --adapt"),
        (["eval", "lstm", "--adapt", "dynamic", "--cache-size", "9"], "--cache-size is an option of the cache"),
        (["eval", "lstm", "--adapt", "cache", "--adapt-rule", "sgd"], "--adapt-rule is an option of the weights"),
        (["eval", "lstm", "--adapt", "dynamic", "--adapt-rate", "nan"], "--adapt-rate should be"),
        (["eval", "transformer", "--adapt", "dynamic", "--adapt-rule", "sgd", "--adapt-rate", "1e5"], "diverged"),
        (["eval", "lstm", "--adapt", "dynamic", "--file", "nothing.txt"], "there is no file"),
        (["eval", "lstm", "--file", "voice.txt"], "--file is a text for --adapt"),
        (["eval", "lstm", "--adapt", "dynamic", "--file", "strange.txt"], "the tokenizer does not know"),
        (["eval", "lstm", "--adapt", "dynamic", "--file", "empty.txt"], "it is empty"),
        (["eval", "lstm", "--adapt", "dynamic", "--file", "single.txt"], "too short"),
        (["eval", "lstm", "--adapt", "dynamic", "--examples", "2"], "--examples cannot be used with it"),
        (["sample", "lstm", "--adapt", "dynamic"], "there is nothing to adapt to"),
        (["sample", "lstm", "--adapt", "dynamic", "--prompt", "the", "--save-state", "a.state"], "--save-state cannot"),
        (["sample", "lstm", "--adapt", "dynamic", "--prompt", "the", "--state", "a.state"], "--state cannot"),
        (["sample", "lstm", "--adapt-to", "voice.txt"], "--adapt-to is a text for --adapt"),
        (["tune-state", "lstm"], "there is no text to tune the state on"),
        (["tune-state", "lstm", "core.width=9"], "core is not a setting of the data"),
        (["tune-state", "lstm", "data=x"], "there is no text to tune the state on"),
        (["tune-state", "lstm", "data.path=nothing.txt"], "there is no file"),
        (["tune-state", "lstm", "data.path=single.txt"], "too short"),
        (["tune-state", "lstm", "data.path=strange.txt"], "the tokenizer does not know"),
        (["tune-state", "lstm", "data.path=voice.txt", "--rate", "nan"], "--rate should be"),
        (["tune-state", "lstm", "data.path=voice.txt", "--out", "no/a.state"], "there is no folder no"),
        (["tune-state", "lstm", "data.path=voice.txt", "--out", "a.png"], "is a picture"),
        (["tune-state", "transformer", "data.path=voice.txt"], "nothing can be tuned"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_a_hint(place, capsys, words, complaint):
    for name, text in (("strange.txt", "λ" * 500), ("empty.txt", ""), ("single.txt", "t")):
        (place / name).write_text(text)
    assert run(*words) == 2
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert complaint in error and error.startswith("error: ") and hint.startswith("hint: ")


def test_a_tuned_state_is_a_state_that_sample_goes_on_from(place, capsys):
    assert run("tune-state", "lstm", "data.path=voice.txt", "--out", "hen.state", "--steps", 40, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["bytes"] == (place / "hen.state").stat().st_size < 5000
    assert found["bits_per_character"]["tuned"] < found["bits_per_character"]["zero"]
    assert {len(values) for values in found["bits_per_token_by_position"].values()} == {100}
    assert (place / "hen.png").read_bytes()[:4] == b"\x89PNG"
    assert Run.load("lstm").load_state("hen.state").position == 1
    assert run("sample", "lstm", "--state", "hen.state", "--length", 20, "--seed", 1) == 0
    assert len(capsys.readouterr().out) == 21


def test_ctrl_c_keeps_the_best_state_so_far(place, monkeypatch, capsys):
    learn = StateTuner._learn

    def interrupted(self):
        if self.number == 12:
            os.kill(os.getpid(), signal.SIGINT)
        return learn(self)

    monkeypatch.setattr(StateTuner, "_learn", interrupted)
    assert run("tune-state", "lstm", "data.path=voice.txt") == 130
    assert (place / "voice.state").exists() and (place / "voice.png").exists()
    assert "from the tuned state" in capsys.readouterr().out
