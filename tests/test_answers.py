"""A source that somebody types is answered: translated, reversed, executed."""

import json
from io import StringIO

import pytest
import torch

from unspool import Run, cli
from unspool.build import dataset
from unspool.errors import CheckpointError, DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

QUICK = ["train.minutes=0", "train.epochs=0", "train.precision=float32", "train.threads=1", "evaluate.times=1"]
PAIRS = {"eins": "one", "zwei": "two", "drei": "three", "rot": "red", "blau": "blue"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Models that have learned their small task: a dictionary, saying three symbols backwards; and one that has not."""
    folder = tmp_path_factory.mktemp("answers")
    for part, times in (("train", 20), ("valid", 1)):
        lines = [(f"{a.title()}, {b}!", f"{x.title()}, {y}!") for a, x in PAIRS.items() for b, y in PAIRS.items()]
        (folder / f"{part}.de").write_text("\n".join(line for line, _ in lines * times))
        (folder / f"{part}.en").write_text("\n".join(line for _, line in lines * times))
    small = {
        "translate": ("translate-attention", ["data.path=" + str(folder), "train.steps=150", "encoder.width=32"]),
        "reverse": ("reverse", ["task.size=4", "task.length=3", "train.steps=300", "encoder.width=32"]),
        "execute": ("execute", ["task.length=1", "task.nesting=1", "train.steps=2", "task.epoch=1", "core.layers=1"]),
        "captions": ("captions", ["data.scenes=60", "data.side=16", "train.steps=2"]),
        "plain": ("char-lm", ["data.limit=3000", "train.steps=1", "sample.times=0"]),
    }
    for name, (recipe, options) in small.items():
        narrow = ["core.width=32", "core.input_width=0", "train.learning_rate=0.01", "model.dropout=0"]
        if name in ("translate", "reverse"):
            narrow.append("encoder.input_width=0")
        list(Experiment.new(load_recipe(recipe, [*QUICK, *narrow, *options]), folder / name))
    for part in ("train.de", "train.en"):
        (folder / part).unlink()  # who asks needs no data
    return folder


def test_a_typed_sentence_is_translated_as_the_files_were(runs):
    run = Run.load(runs / "translate")
    assert run.answer("Zwei, rot!")[0].text == "two, red!"
    assert run.answer("blau , DREI !", width=3)[0].text == "blue, three!"
    several = run.answer("eins, eins!", width=4)
    assert len(several) == 4 and len({answer.text for answer in several}) == 4
    scores = [answer.log_probability for answer in several]
    assert scores == sorted(scores, reverse=True)


def test_symbols_are_reversed(runs):
    run = Run.load(runs / "reverse")
    assert [run.answer(text)[0].text for text in ("0 1 2", "3 3 0", "2")] == ["2 1 0", "0 3 3", "2"]


def test_a_program_is_read_and_something_is_said_of_it(runs):
    run = Run.load(runs / "execute")
    one, other = (run.answer(text)[0] for text in ("c=1; print((6-c))", "c=1\nprint((6-c))"))
    assert one == other and 0 < len(one.text) <= 22  # untrained, so anything, but no longer than an answer may be


def told(*words):
    with pytest.raises(SystemExit) as stop:
        cli.main([str(word) for word in words])
    return stop.value.code or 0


def test_an_image_file_is_captioned_as_the_training_images_were_read(runs, tmp_path, capsys):
    from PIL import Image

    run = Run.load(runs / "captions")
    record = run.task().records["valid"][0]
    Image.frombytes("RGB", (16, 16), record["pixels"]).save(tmp_path / "scene.png")
    seen = run.task().ask(str(tmp_path / "scene.png"), dataset(run.recipe)).source
    assert torch.equal(seen, run.task().seen(run.task().images["valid"][0]))
    assert told("sample", runs / "captions", "--source", tmp_path / "scene.png") == 0
    assert capsys.readouterr().out.strip() == run.answer(str(tmp_path / "scene.png"))[0].text
    assert told("sample", runs / "captions", "--source", tmp_path / "nothing.png") == 2
    assert "nothing.png" in capsys.readouterr().err


def test_sample_answers_a_source_or_lines(runs, capsys, monkeypatch):
    assert told("sample", runs / "translate", "--source", "eins, blau!") == 0
    assert capsys.readouterr().out == "one, blue!\n"
    monkeypatch.setattr("sys.stdin", StringIO("rot, rot!\nzwei, drei!\n"))
    assert told("sample", runs / "translate", "--source", "-", "--beam", 3, "--count", 2, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [line["source"] for line in made] == ["rot, rot!", "zwei, drei!"]
    assert [line["answers"][0]["text"] for line in made] == ["red, red!", "two, three!"]
    assert all(len(line["answers"]) == 2 for line in made)


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["translate"], "answers a source, and none is given", "--source TEXT"),
        (["translate", "--source", "rot", "--prompt", "x"], "takes no prompt", "--source TEXT"),
        (["translate", "--source", "rot", "--count", 2], "finds at most 1", "--beam 2"),
        (["translate", "--source", " "], "nothing to translate", "a sentence"),
        (["reverse", "--source", "1 9"], "'1 9' is not a row of symbols", "below 4"),
        (["reverse", "--source", ""], "is not a row of symbols", "below 4"),
        (["execute", "--source", "print(x!)"], "knows no '!'", "print"),
        (["execute", "--source", ";"], "is empty", "print"),
        (["plain", "--source", "rot"], "looks at no source", "leave --source out"),
    ],
)
def test_what_cannot_be_asked_is_refused(runs, capsys, words, says, hint):
    assert told("sample", runs / words[0], *words[1:]) == 2
    out, err = capsys.readouterr()
    error, advice = err.splitlines()
    assert out == "" and says in error and error.startswith("error: ") and hint in advice


def test_in_python_too(runs):
    with pytest.raises(CheckpointError, match="looks at no source"):
        Run.load(runs / "plain").answer("rot")
    with pytest.raises(DataError, match="not a row"):
        Run.load(runs / "reverse").answer("x")
