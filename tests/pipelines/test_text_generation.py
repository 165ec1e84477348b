"""One pipeline generates every text from a source: translations, captions, reversed symbols, what a program prints."""

import csv
import json
from io import StringIO

import pytest
import torch

from helpers.commands import run as printed
from unspool import Run
from unspool.data.predictions import Failure, Text
from unspool.data.preprocessors.programs import ProgramText
from unspool.data.preprocessors.symbols import Symbols
from unspool.errors import DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.runs.run import engine_of, load_task

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
        "reverse": ("reverse", ["preprocessor.size=4", "task.length=3", "train.steps=300", "encoder.width=32"]),
        "execute": (
            "execute",
            [
                "task.length=1",
                "task.nesting=1",
                "task.max_new_tokens=22",
                "train.steps=2",
                "task.epoch=1",
                "core.layers=1",
            ],
        ),
        "captions": (
            "captions",
            ["data.scenes=60", "data.side=16", "encoder.columns=4", "train.steps=2"],
        ),
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
    assert run.predict("Zwei, rot!").text == "two, red!"
    assert run.predict("blau , DREI !", beam=3).text == "blue, three!"
    best = run.predict("eins, eins!", beam=4)
    several = [best, *best.alternatives]
    assert len(several) == 4 and len({found.text for found in several}) == 4
    scores = [found.log_probability for found in several]
    assert scores == sorted(scores, reverse=True)
    assert best.tokens == ["one", ",", "one", "!"] and best.columns() == [
        {"text": best.text, "log_probability": scores[0]}
    ]


def test_symbols_are_reversed(runs):
    run, texts = Run.load(runs / "reverse"), ("0 1 2", "3 3 0", "2")
    assert [found.text for found in run.predict(texts)] == ["2 1 0", "0 3 3", "2"]
    assert run.evaluate("valid")["valid/generated/exact_match"] > 0.9


def test_a_program_is_read_and_something_is_said_of_it(runs):
    run = Run.load(runs / "execute")
    one, other = run.predict(["c=1; print((6-c))", "c=1\nprint((6-c))"])
    assert one == other and 0 < len(one.text) <= 22  # untrained, so anything, but no longer than an answer may be


def test_programs_one_by_one_are_programs_in_a_batch(runs):
    run, task = Run.load(runs / "execute"), load_task(Run.load(runs / "execute"))
    sources = [record["source"] for record in task.generation_sets("test")["generated"].records[:30]]
    assert len({len(source) for source in sources}) > 3, "prompts of several lengths"
    sources[7:7] = ["print(x!)"]
    together = list(run.predict(sources, beam=2))
    assert isinstance(together[7], Failure) and "knows no '!'" in together[7].error
    for source, found in zip(sources, together, strict=True):
        if isinstance(found, Text):
            alone = run.predict(source, beam=2)
            assert alone.text == found.text and len(found.alternatives) == 1
            assert alone.log_probability == pytest.approx(found.log_probability, abs=1e-4)


def test_what_is_generated_greedily_is_right_where_every_step_is(runs):
    """Exact matches of generated outputs are the share of rows that are right throughout when they are read."""
    run, task = Run.load(runs / "reverse"), load_task(Run.load(runs / "reverse"))
    generated = task.generation_sets("valid")["generated"]
    rows = [run.preprocessor.encode(record) for record in generated.records]
    batch = run.preprocessor.collate(rows)
    right = ((engine_of(run).forward(batch).argmax(dim=-1) == batch.targets) | ~batch.loss_mask).all(dim=1)
    matches = [
        found.text == one["target"]
        for one, found in zip(generated.records, run.predict(generated.records), strict=True)
    ]
    assert matches == right.tolist()


def test_an_image_file_is_captioned_as_the_training_images_were_read(runs, tmp_path, capsys):
    from functools import partial

    from PIL import Image

    from unspool.data.readers.images import read_image

    run = Run.load(runs / "captions")
    record, pixels = load_task(run).records["valid"][0], partial(read_image, side=run.preprocessor.size)
    Image.frombytes("RGB", (16, 16), pixels(record["image"])).save(tmp_path / "scene.png")
    assert pixels(str(tmp_path / "scene.png")) == pixels(record["image"])
    assert printed("predict", runs / "captions", tmp_path / "scene.png") == 0
    assert json.loads(capsys.readouterr().out)["text"] == run.predict(str(tmp_path / "scene.png")).text
    assert printed("predict", runs / "captions", tmp_path / "nothing.png") == 2
    assert "nothing.png" in capsys.readouterr().err


def test_a_folder_of_images_is_captioned(runs, tmp_path, capsys):
    from PIL import Image

    for number in range(12):
        Image.new("RGB", (20, 10), (20 * number, 0, 0)).save(tmp_path / f"{number:02}.png")
    (tmp_path / "05.png").write_bytes((tmp_path / "05.png").read_bytes()[:45])
    assert printed("predict", runs / "captions", tmp_path, "--out", tmp_path / "out.csv") == 0
    assert "1 of 12 rows have an error" in capsys.readouterr().err
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(tmp_path / f"{number:02}.png") for number in range(12)]
    assert [n for n, row in enumerate(rows) if row["error"]] == [5] and "not a whole image" in rows[5]["error"]
    assert list(rows[0]) == ["file", "text", "log_probability", "error"]


def test_predict_translates_arguments_lines_and_300_sentences(runs, capsys, monkeypatch, tmp_path):
    assert printed("predict", runs / "translate", "eins, blau!") == 0
    assert json.loads(capsys.readouterr().out)["text"] == "one, blue!"
    monkeypatch.setattr("sys.stdin", StringIO("rot, rot!\nzwei, drei!\n"))
    assert printed("predict", runs / "translate", "--beam", 3, "--top", 1, "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert [line["de"] for line in made] == ["rot, rot!", "zwei, drei!"], "as [data] names the source"
    assert [line["text"] for line in made] == ["red, red!", "two, three!"]
    assert all(len(line["alternatives"]) == 1 for line in made)
    pairs = [(f"{a}, {b}!", f"{x}, {y}!") for a, x in PAIRS.items() for b, y in PAIRS.items()] * 12
    pairs[100] = (" ", "")
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("number", "sentence"), *((n, source) for n, (source, _) in enumerate(pairs))])
    words = ("--file", tmp_path / "in.csv", "--column", "source=sentence", "--out", tmp_path / "out.csv")
    assert printed("predict", runs / "translate", *words) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == [str(n) for n in range(300)] and "is empty" in rows[100]["error"]
    assert [row["text"] for row in rows] == [wanted for _, wanted in pairs]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["translate", " "], "'source' is empty"),
        (["reverse", "1 9"], "'1 9' is not a row of numbers from 0 to"),
        (["reverse", ""], "'source' is empty"),
        (["execute", "print(x!)"], "knows no '!'"),
        (["execute", ";"], "is empty"),
        (["plain", "rot"], "goes on with a text"),
    ],
)
def test_what_cannot_be_read_is_refused(runs, capsys, words, says):
    assert printed("predict", runs / words[0], *words[1:]) == 2
    assert says in capsys.readouterr().err


def test_in_python_too(runs):
    with pytest.raises(DataError, match="not a row"):
        Run.load(runs / "reverse").predict("x")
    empty, good = Run.load(runs / "reverse").predict(["", "1"])
    assert isinstance(empty, Failure) and isinstance(good, Text)


def test_prompts_are_rows_without_targets():
    records = [{"source": "2 0 1", "target": "1 0 2"}, {"source": "3", "target": "3"}]
    symbols = Symbols(4)
    batch = symbols.collate([symbols.encode({"source": record["source"]}) for record in records])
    assert batch.inputs.tolist() == [[4], [4]] and batch.source.tolist() == [[2, 0, 1], [3, 0, 0]]
    programs = ProgramText()
    texts = ["print((3+4))", "c=1\nprint((6-c))"]
    batch = programs.collate([programs.encode({"source": text}) for text in texts])
    assert [programs.text(ids[here].tolist()) for ids, here in zip(batch.inputs, batch.mask, strict=True)] == [
        f"{t}#" for t in texts
    ]
    whole = programs.collate([programs.encode({"source": text, "target": "-12"}) for text in texts])
    assert [programs.text(ids[here].tolist()) for ids, here in zip(whole.targets, whole.loss_mask, strict=True)] == [
        "-12."
    ] * 2
    assert torch.equal(whole.inputs[:, 1:][whole.mask[:, 1:]], whole.targets[:, :-1][whole.mask[:, 1:]])


@pytest.mark.parametrize(
    ("name", "text", "said"), [("translate", "eins, rot!", "one, red!"), ("reverse", "0 1", "1 0")]
)
def test_look_reads_the_models_own_answer_or_another(runs, name, text, said):
    run = Run.load(runs / name)
    own, same = run.look(text), run.look(text, target_text=said)
    assert own.probe.targets == same.probe.targets and len(own.probe.source[0]) == len(
        run.preprocessor.encode({"source": text}).input
    )


def test_look_reads_a_program_and_its_output(runs):
    look = Run.load(runs / "execute").look("print((3+4))", target_text="7")
    assert "".join(look.probe.tokens[0]) == "print((3+4))#7" and "".join(look.probe.targets[0]) == "7."
    assert not any(look.probe.targets[0][:12])
