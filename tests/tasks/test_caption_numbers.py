"""Captions of a few numbers: what is read, what is refused, and a run from a table to a table."""

import csv
import json

import pytest
import torch

from helpers.commands import run as printed
from unspool import Run, Vectors, build
from unspool.data.captioned_features import CaptionedFeatures
from unspool.data.columns import FIVE, of_table
from unspool.data.predictions import Text
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.data.synthetic.scenes import measured, scene
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.metrics.captions import AGREEMENTS
from unspool.metrics.scene_captions import GRADES
from unspool.recipe import load_recipe
from unspool.runs.examples import examples_of

QUICK = [
    "train.epochs=0",
    "train.steps=3",
    "train.min_steps=0",
    "evaluate.times=1",
    "core.width=32",
    "encoder.width=16",
]


def said(degrees, wind):
    """The weather in words."""
    return f"it is {'warm' if degrees > 15 else 'cold'} and {'windy' if wind > 30 else 'calm'}"


def weather(path, rows=200, header="valid,wind,caption"):
    """A table of weather; the first column is called like a setting of [data]."""
    random = torch.Generator().manual_seed(0)
    found = []
    for degrees, wind in (torch.rand(rows, 2, generator=random) * torch.tensor([30.0, 60.0])).tolist():
        found.append(f"{degrees:.1f},{wind:.1f},{said(degrees, wind).capitalize()}.")
    path.write_text("\n".join([header, *found]))


def test_a_scene_is_a_vector_that_says_what_its_captions_say():
    things = scene(0, 3, most=2)
    found = measured(things, 3, seed=1)
    assert len(found) == 24 and found == measured(things, 3, seed=1) != measured(things, 3, seed=2)
    assert (found["x1"], found["size1"]) == (round(things[0].x, 3), 2 * things[0].radius)
    assert not any(value for name, value in found.items() if name.endswith("3")), "no third thing"
    splits = CaptionedFeatures(scenes=100, valid=0.2, test=0.2).read()
    assert len(splits.train) == 60 and {len(record["features"]) for record in splits.valid} == {16}
    assert {record["unseen"] for record in splits.train} == {False}
    assert sum(record["unseen"] for record in splits.valid) == 10


def test_numbers_go_in_as_one_vector(tmp_path):
    weather(tmp_path / "a.csv")
    splits = CaptionedFeatures(path=str(tmp_path / "a.csv"), valid=0.1).read()
    task = build.task({"task": {"kind": "caption-numbers", "batch_size": 180}}, splits)
    batch = task.train_batches()[0]
    assert task.source == Vectors(2) and batch.source.shape == (180, 1, 2)
    torch.testing.assert_close(batch.source.mean(dim=0), torch.zeros(1, 2), atol=1e-6, rtol=0)
    assert task.summary() == "records: train 180, valid 20"
    assert task.generation_sets("valid")["generated"].drawing([]) == {}
    again = load_preprocessor(save_preprocessor(task.preprocessor), {"tokenizer": task.preprocessor.tokenizer})
    assert torch.equal(again.encode(splits.valid[0]).input, task.preprocessor.encode(splits.valid[0]).input)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("a,caption\n1,x\nmany,y\n", {}, r"line 3: 'many' in the column 'a' is not a number"),
        ("a,caption\n1,x\ninf,y\n", {}, r"line 3: 'inf' in the column 'a' is not a number"),
        ("a,caption\n1,x\n2,\n", {}, "line 3: there is no caption"),
        ("a,b\n1,2\n", {}, "line 2: there is no column 'caption'"),
        ("a,caption\n1,x\n", {"features": ("b",)}, "line 2: there is no column 'b'"),
        ("a,caption\n1,x\n", {"features": ("a", "caption")}, "'caption' is the caption and a feature"),
        ("caption\nx\ny\n", {}, "line 2: there is no column but the caption"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, text, options, sentence):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        CaptionedFeatures(path=str(tmp_path / "a.csv"), valid=0.0, **options).read()


def test_wrong_settings_are_one_sentence():
    with pytest.raises(ConfigError, match="no records are given"):
        CaptionedFeatures()
    with pytest.raises(ConfigError, match=r"room for three things, received data\.things=4"):
        CaptionedFeatures(scenes=10, things=4)


def test_a_table_is_learned_and_another_one_is_described(tmp_path, capsys):
    weather(tmp_path / "a.csv")
    options = [f"data.path={tmp_path / 'a.csv'}", "train.steps=250", "data.valid=0.1"]
    results = list(Experiment.new(load_recipe("caption-numbers", [*QUICK, *options]), tmp_path / "run"))[-1].results
    assert results["valid/generated/bleu_1"] > 90 and not any("seen" in name for name in results)
    rows = ["town,wind,valid", "a,5,29", "b,55,1", "c,many,3", "d,,3", "e,nan,3", "f,1", "g,50,28"]
    (tmp_path / "new.csv").write_text("\n".join(rows))
    assert printed("predict", tmp_path / "run", "--file", tmp_path / "new.csv", "--out", tmp_path / "out.csv") == 0
    assert "4 of 7 rows have an error" in capsys.readouterr().err
    with open(tmp_path / "out.csv", newline="") as file:
        header, *found = csv.reader(file)
    assert header == ["town", "wind", "valid", "text", "log_probability", "error"]
    assert [row[3] for row in found] == [f"{said(29, 5)}.", f"{said(1, 55)}.", "", "", "", "", f"{said(28, 50)}."]
    for row, sentence in zip(found[2:6], ("'many' in the field 'wind'", "empty", "'nan'", "2 fields"), strict=True):
        assert sentence in row[-1]
    run = Run.load(tmp_path / "run")
    for record in ({"valid": 29, "wind": "5"}, {"features": {"valid": 29, "wind": 5}}):
        assert run.predict(record).text == f"{said(29, 5)}."
    (tmp_path / "other.csv").write_text("wind\n3\n")
    assert printed("predict", tmp_path / "run", "--file", tmp_path / "other.csv") == 2
    assert "has no column 'valid'" in capsys.readouterr().err


def test_a_number_may_be_called_like_a_field_of_ours(tmp_path):
    weather(tmp_path / "a.csv", header="target,path,what")
    options = [f"data.path={tmp_path / 'a.csv'}", "data.caption=what"]
    list(Experiment.new(load_recipe("caption-numbers", [*QUICK, *options]), tmp_path / "run"))
    (found,) = Run.load(tmp_path / "run").predict([{"target": 3, "path": 4}])
    assert isinstance(found, Text)


def test_a_table_of_numbers_with_captions_is_recognized(tmp_path):
    rows = [{"degrees": f"{n}.5", "wind": f"{n * 7 % 60}.2", "caption": f"it is {n} degrees"} for n in range(40)]
    assert of_table(rows, "a.csv")[:3] == ("numbers with captions", "caption-numbers", ())
    rows = [{"town": "abc"[n % 3], **row} for n, row in enumerate(rows)]
    assert of_table(rows, "a.csv")[1:3] == ("caption-numbers", ('data.features=["degrees", "wind"]',))


def test_features_of_images_are_told_from_images():
    rows = [
        {"file": f"{n}.jpg", "a": n / 7, "b": n / 3, "one": f"A man {n} .", "two": f"The men {n} ."} for n in range(9)
    ]
    assert of_table(rows, "a.csv")[1:3] == ("photographs", ("data.caption=one,two",))
    rows = [{"photo": row["file"], "a": row["a"], "b": row["b"], **dict.fromkeys(FIVE, row["one"])} for row in rows]
    assert of_table(rows, "a.csv")[1:3] == ("photographs", ("data.name=photo",))
    assert of_table([{"file": row["photo"], "caption": row["caption1"]} for row in rows], "a.csv")[1] == "caption"


def test_eval_shows_examples_of_every_grade(tmp_path, capsys):
    options = ["data.scenes=120", "data.valid=0.4", "train.steps=60"]
    list(Experiment.new(load_recipe("caption-numbers", [*QUICK, *options]), tmp_path / "run"))
    run = Run.load(tmp_path / "run")
    found = examples_of(run, "valid", 12)["generated"]
    results = run.evaluate("valid")
    assert list(found.grades) == list(GRADES) and sum(found.grades.values()) == found.number == 48
    for name, count in found.grades.items():
        assert results[f"valid/generated/{name.replace(' ', '_')}"] == pytest.approx(count / 48)
    assert len(found.shown) == 12
    assert [one.grade for one in found.shown] == sorted((one.grade for one in found.shown), key=GRADES.index)
    assert {one.grade for one in found.shown} == {name for name, count in found.grades.items() if count}
    for one in found.shown:
        assert one.name.startswith("scene ") and (one.generated == one.right) == (one.grade == "no errors")
    capsys.readouterr()
    assert printed("eval", tmp_path / "run", "--examples", 12) == 0
    shown = capsys.readouterr().out.splitlines()
    assert any(line.startswith("valid, generated: 48 texts, no errors ") for line in shown)
    assert sum(line.startswith(GRADES) for line in shown) == 12
    assert printed("eval", tmp_path / "run", "--examples", 3, "--json") == 0
    shown = json.loads(capsys.readouterr().out)["examples"]["generated"]["shown"]
    assert len(shown) == 3 and shown[0].keys() == {"name", "generated", "right", "grade"}


def test_eval_without_generated_texts_says_so(tmp_path, capsys):
    made = load_recipe("pass", ["data.students=50", "train.epochs=0", "train.steps=2", "evaluate.times=0"])
    list(Experiment.new(made, tmp_path / "run"))
    assert printed("eval", tmp_path / "run", "--examples", 3) == 2
    assert "generates no texts on its valid split" in capsys.readouterr().err


def photographs(folder, rows=60):
    """Tables of two places of two numbers for each photograph, with two captions, of which one may be missing."""
    random = torch.Generator().manual_seed(0)
    for part, number in (("train", rows), ("valid", 12), ("test", 12)):
        lines = ["file,a1,b1,a2,b2,caption1,caption2"]
        for row, numbers in enumerate(torch.rand(number, 4, generator=random).round(decimals=3).tolist()):
            side = "left" if numbers[0] > numbers[2] else "right"
            second = "" if row == 1 else f"Somebody is on the {side} ."
            lines.append(f"{part} {row}.JPG,{','.join(map(str, numbers))},A man stands {side} .,{second}")
        (folder / f"{part}.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    return [
        f"data.path={folder}",
        "data.caption=caption1,caption2",
        "tokenizer.min_count=1",
        "train.steps=3",
        *QUICK[:-3],
        "core.width=16",
    ]


def test_photographs_have_several_captions_and_a_name(tmp_path, capsys):
    options = photographs(tmp_path)
    list(Experiment.new(load_recipe("photographs", options), tmp_path / "run"))
    run = Run.load(tmp_path / "run")
    task = build.task(run.recipe, build.dataset(run.recipe).read())
    assert len(task.records["train"]) == 60 and len(task.rows["train"]) == 119
    assert task.source == Vectors(4) and task.rows["train"][0].input.shape == (1, 4)
    results = run.evaluate("test")
    shares = [results[f"test/generated/{name.replace(' ', '_')}"] for name in AGREEMENTS]
    assert sum(shares) == pytest.approx(1) and "test/generated/cider" in results
    assert printed("eval", tmp_path / "run", "--split", "test", "--examples", 12) == 0
    shown = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(AGREEMENTS) and ".JPG]" in line for line in shown) == 12
    assert printed("predict", tmp_path / "run", "--file", tmp_path / "test.csv", "--out", tmp_path / "out.csv") == 0
    with open(tmp_path / "out.csv", newline="") as file:
        assert next(csv.DictReader(file))["file"] == "test 0.JPG"


def test_numbers_are_several_vectors_that_a_core_attends_to(tmp_path):
    options = [*photographs(tmp_path), "preprocessor.vectors=2", 'core={kind="attention-rnn", cell="gru", width=16}']
    made = load_recipe("photographs", options)
    list(Experiment.new(made, tmp_path / "run"))
    splits = build.dataset(made).read()
    task = build.task(made, splits)
    assert task.source == Vectors(2)
    record = task.records["train"][0]
    row, flat = task.rows["train"][0].input, task.preprocessor.numbers.vector(record)
    assert row.shape == (2, 2) and torch.equal(row[1], flat[2:]), "the numbers of a place stand together"
    found = Run.load(tmp_path / "run").pipeline(attention=True).predict([record])
    assert next(found).attention.shape[1] == 2
    with pytest.raises(ConfigError, match="4 numbers are not 3 vectors of one size"):
        build.task({"task": {"kind": "caption-numbers"}, "preprocessor": {"vectors": 3}}, splits)


def test_a_cell_may_hold_a_list_of_captions(tmp_path):
    lines = [json.dumps({"a": n, "said": [f"it is {n}", "", "a number"]}) for n in range(10)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    splits = CaptionedFeatures(path=str(tmp_path / "a.jsonl"), caption=("said",), valid=0.0).read()
    assert {len(record["captions"]) for record in splits.train} == {2}
    assert splits.train[0]["features"] == {"a": float(splits.train[0]["captions"][0][6:])}
    again = CaptionedFeatures(path=str(tmp_path / "a.jsonl"), caption=("said",), valid=0.0).read()
    assert again.fingerprint == splits.fingerprint
    (tmp_path / "a.jsonl").write_text("\n".join([lines[0].replace("0", "0.5", 1), *lines[1:]]))
    other = CaptionedFeatures(path=str(tmp_path / "a.jsonl"), caption=("said",), valid=0.0).read()
    assert other.fingerprint != splits.fingerprint
