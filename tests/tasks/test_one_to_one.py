"""Labels of images, sounds and a few numbers: what is read, what is refused, and that it can be learned."""

import csv
import wave

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.commands import run as printed
from unspool import Run, Vectors, build
from unspool.data.features import Features, chance, student
from unspool.data.pictures import LabelledImages
from unspool.data.preprocessors.preprocessor import load_preprocessor, save_preprocessor
from unspool.data.readers.images import read_image
from unspool.data.sounds import Sounds
from unspool.data.synthetic.scenes import SHAPES
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

QUICK = ["train.epochs=0", "train.steps=3", "evaluate.times=0", "core.width=16"]


def built(kind, splits, preprocessor=None, **options):
    return build.task({"task": {"kind": kind, **options}, "preprocessor": preprocessor or {}}, splits)


def test_rows_of_an_image_are_steps_of_time():
    splits = LabelledImages(scenes=40, side=16, valid=0.5).read()
    rows, pieces = (
        built("classify-images", splits, {"patch_height": 1, "patch_width": 0}, batch_size=5),
        built("classify-images", splits, {"patch_height": 8, "patch_width": 8}, batch_size=5),
    )
    assert rows.inputs == Vectors(48) and pieces.inputs == Vectors(192)
    for task, time in ((rows, 16), (pieces, 4)):
        batch = task.eval_sets("valid")["all"].batches[0]
        assert batch.inputs.shape[1] == time and batch.inputs.dtype == torch.float32 and batch.mask is None
        assert batch.loss_mask.sum(dim=1).tolist() == [1] * 5 and bool(batch.loss_mask[:, -1].all())
    batch = rows.eval_sets("valid")["all"].batches[0]
    image = ((batch.inputs[0] + 1) * 127.5).round().byte().flatten().tolist()
    record = next(r for r in splits.valid if read_image(r["image"], 16) == bytes(image))
    assert record["label"] == rows.labels[int(batch.targets[0, -1])]


def saved(run):
    """The preprocessor of a run as its folder has it, made anew."""
    names = run.preprocessor.tokenizers
    return load_preprocessor(save_preprocessor(run.preprocessor), {n: getattr(run.preprocessor, n) for n in names})


def csv_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def predicted(run, records):
    """The predictions of records one by one; in batches of two and together they are the same."""
    alone = [run.predict(record) for record in records]
    for size in (2, 64):
        for one, other in zip(alone, run.predict(list(records), batch_size=size), strict=True):
            assert one.label == other.label and one.scores == pytest.approx(other.scores, abs=1e-6)
    return alone


def test_a_folder_of_images_is_predicted(tmp_path, capsys):
    options = ["data.scenes=60", "data.side=16", "core.core.layers=1", "core.core.heads=2", "core.core.feed_width=16"]
    list(Experiment.new(load_recipe("shapes", [*QUICK, *options]), tmp_path / "run"))
    (tmp_path / "images/more").mkdir(parents=True)
    array = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for name in ("a.png", "b.JPG", "more/c.bmp"):
        Image.fromarray(array).save(tmp_path / "images" / name)
    (tmp_path / "images/half.png").write_bytes((tmp_path / "images/a.png").read_bytes()[:200])
    assert printed("predict", tmp_path / "run", tmp_path / "images", "--out", tmp_path / "out.csv") == 0
    assert "1 of 4 rows have an error" in capsys.readouterr().err
    header, *rows = csv_rows(tmp_path / "out.csv")
    assert header == ["file", "label", "score", "error"] and len(rows) == 4
    found = {row[0].rpartition("/")[2]: row for row in rows}
    assert "is not a whole image" in found["half.png"][3] and found["half.png"][1] == ""
    assert found["a.png"][1:3] == found["c.bmp"][1:3] and found["a.png"][1] in SHAPES
    run = Run.load(tmp_path / "run")
    png = tmp_path / "images/a.png"
    for one in predicted(run, [{"image": image} for image in (str(png), png, png.read_bytes(), array)]):
        assert one.label == found["a.png"][1] and one.score == pytest.approx(float(found["a.png"][2]), abs=1e-6)
        assert sum(one.scores.values()) == pytest.approx(1.0) and set(one.scores) <= set(SHAPES)
    assert saved(run).size == run.preprocessor.size == 16 and saved(run).inputs == run.preprocessor.inputs
    with pytest.raises(DataError, match=r"there is no file .*gone\.png"):
        run.predict(str(tmp_path / "gone.png"))


def wav(path, samples, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", ""))
        sound.writeframes(samples)


def tone(hertz, seconds=0.2, rate=8000):
    time = torch.arange(int(seconds * rate)) / rate
    return (0.5 * 2**15 * torch.sin(2 * torch.pi * hertz * time)).to(torch.int16).numpy().tobytes()


def test_a_folder_of_sounds_is_predicted(tmp_path, capsys):
    for number in range(12):
        wav(tmp_path / f"train/high_{number}.wav", tone(2000 + 10 * number, 0.1 + number / 100))
        wav(tmp_path / f"train/low_{number}.wav", tone(200 + 10 * number, 0.2))
    options = [f"data.path={tmp_path / 'train'}", "data.test_names=", "core.input_width=8", "model.dropout=0"]
    made = load_recipe("spoken-digits", [*QUICK, *options, "train.steps=30", "evaluate.times=1"])
    results = list(Experiment.new(made, tmp_path / "run"))[-1].results
    assert results["valid/all/accuracy"] == 1.0
    for name, samples in (("x", tone(2055)), ("y", tone(255, 0.5))):
        wav(tmp_path / f"new/{name}.wav", samples)
    wav(tmp_path / "new/fast.wav", tone(255), rate=16000)
    (tmp_path / "new/broken.wav").write_bytes(b"RIFF")
    assert printed("predict", tmp_path / "run", tmp_path / "new", "--out", tmp_path / "out.csv") == 0
    assert "1 of 4 rows have an error" in capsys.readouterr().err
    header, *rows = csv_rows(tmp_path / "out.csv")
    assert header == ["file", "label", "score", "error"]
    found = {row[0].rpartition("/")[2]: row[1:] for row in rows}
    assert (found["x.wav"][0], found["y.wav"][0]) == ("high", "low")
    assert "broken.wav is not a sound that can be read" in found["broken.wav"][2]
    assert found["fast.wav"][0] == "low"  # of another sampling rate than the training sounds
    run, path = Run.load(tmp_path / "run"), tmp_path / "new/x.wav"
    array = np.frombuffer(tone(2055), np.int16)
    sounds = (str(path), path, path.read_bytes(), array, array / 2**15)
    assert {one.label for one in predicted(run, [{"sound": sound} for sound in sounds])} == {"high"}
    again = saved(run)
    assert again.rate == run.preprocessor.rate == 8000 and again.options() == run.preprocessor.options()
    assert torch.equal(again.mean, run.preprocessor.mean) and torch.equal(again.scale, run.preprocessor.scale)
    record = {"sound": path}
    assert torch.equal(again.encode(record).input, run.preprocessor.encode(record).input)


def test_sounds_are_standardized_by_training_and_cut(tmp_path):
    for number in range(6):
        wav(tmp_path / f"{'ab'[number % 2]}_{number}.wav", tone(300 * (number + 1), 0.1 + number / 20))
    splits = Sounds(path=str(tmp_path), valid=0.3).read()
    task = built("classify-sounds", splits, {"bands": 10, "hop": 0.02})
    frames = torch.cat([row.input for row in task.rows["train"]])
    torch.testing.assert_close(frames.mean(dim=0), torch.zeros(10), atol=1e-4, rtol=0)
    assert task.inputs == Vectors(10) and task.preprocessor.rate == 8000
    short = built("classify-sounds", splits, {"bands": 10, "hop": 0.02, "max_length": 4})
    assert {len(row.input) for row in short.rows["train"]} == {4}


def test_a_vision_transformer_learns_two_colours(tmp_path):
    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        for number in range(30):
            Image.new("RGB", (8, 8), colour).save(tmp_path / colour / f"{number}.png")
    options = [f"data.path={tmp_path}", "data.side=8", "train.epochs=0", "train.steps=30", "evaluate.times=1"]
    options += ["core.width=16", "core.core.layers=1", "core.core.feed_width=16", "core.core.heads=2"]
    results = list(Experiment.new(load_recipe("shapes", options), tmp_path / "run"))[-1].results
    assert results["valid/all/accuracy"] == 1.0
    assert (tmp_path / "run" / "confusion.png").exists()


def test_students_are_made_up_by_number_and_pass_as_chance_has_it():
    assert student(5) == student(5) != student(6)
    for low, high in ((0.0, 0.1), (0.45, 0.55), (0.9, 1.0)):
        chosen = [s for s in map(student, range(3000)) if low <= chance(s["lectures"], s["hours"]) <= high]
        passed = sum(s["label"] == "pass" for s in chosen) / len(chosen)
        assert low - 0.12 <= passed <= high + 0.12
    found = Features(students=100, valid=0.2).read()
    assert len(found.train) == 80 and found.train[0]["features"].keys() == {"lectures", "hours"}
    assert found.fingerprint == Features(students=100, valid=0.2).read().fingerprint


def test_numbers_are_read_from_columns_and_scaled_by_training(tmp_path):
    lines = [f"{n},{n % 2},7,{'yes' if n % 2 else 'no'},x" for n in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["size,odd,same,big,name", *lines]))
    splits = Features(path=str(tmp_path / "a.csv"), features=("size", "odd", "same"), label="big").read()
    task = built("classify-numbers", splits, batch_size=30)
    batch = task.train_batches()[0]
    assert batch.inputs.shape == (18, 1, 3) and task.inputs == Vectors(3)
    torch.testing.assert_close(batch.inputs.mean(dim=0), torch.zeros(1, 3), atol=1e-6, rtol=0)
    assert batch.inputs[:, 0, 1].unique().numel() == 2 and bool((batch.inputs[:, 0, 2] == 0).all())
    assert bool(((batch.inputs[:, 0, 1] > 0) == (batch.targets[:, 0] == task.preprocessor.labels.ids["yes"])).all())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a,label\n1,x\nmany,y\n", r"line 3: 'many' in the column 'a' is not a number"),
        ("a,label\n1,x\nnan,y\n", r"line 3: 'nan' in the column 'a' is not a number"),
        ("a,label\n1,x\n2,\n", "line 3: there is no label"),
        ("a,b\n1,2\n", "line 2: there is no column 'label'"),
        ("label\nx\ny\n", "line 2: there is no column but the label"),
        ("a,label\n1,x\n2,x\n3,x\n", "one label only"),
    ],
)
def test_wrong_numbers_are_one_sentence(tmp_path, text, sentence):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        built("classify-numbers", Features(path=str(tmp_path / "a.csv"), valid=0.0).read())
    with pytest.raises(ConfigError, match="no records are given"):
        Features()


def test_a_feed_forward_net_learns_who_passes(tmp_path):
    results = list(Experiment.new(load_recipe("pass", ["data.students=1500"]), tmp_path / "run"))[-1].results
    best = [max(p, 1 - p) for p in (chance(s["lectures"], s["hours"]) for s in map(student, range(1500)))]
    assert results["valid/all/accuracy"] > sum(best) / len(best) - 0.03
    assert Run.load(tmp_path / "run").evaluate("valid")["valid/all/accuracy"] == results["valid/all/accuracy"]


def test_a_table_of_numbers_is_predicted(tmp_path, capsys):
    made = load_recipe("pass", [*QUICK, "data.students=1500", "train.steps=200"])
    list(Experiment.new(made, tmp_path / "run"))
    rows = ["who,hours,lectures", "a,60,20", "b,0,0", "c,many,3", "d,,3", "e,nan,3", "f,1", "g,59,19"]
    (tmp_path / "new.csv").write_text("\n".join(rows))
    assert printed("predict", tmp_path / "run", "--file", tmp_path / "new.csv", "--out", tmp_path / "out.csv") == 0
    assert "4 of 7 rows have an error" in capsys.readouterr().err
    header, *found = csv_rows(tmp_path / "out.csv")
    assert header == ["who", "hours", "lectures", "label", "score", "error"]
    assert [row[3] for row in found] == ["pass", "fail", "", "", "", "", "pass"]
    for row, sentence in zip(found[2:6], ("'many' in the field 'hours'", "empty", "'nan'", "2 fields"), strict=True):
        assert sentence in row[-1]
    run = Run.load(tmp_path / "run")
    records = [
        {"hours": 60, "lectures": 20},
        {"hours": "0", "lectures": "0"},
        {"features": {"hours": 59, "lectures": 19}},
    ]
    assert [one.label for one in predicted(run, records)] == ["pass", "fail", "pass"]
    again = saved(run)
    assert list(again.fields) == list(run.preprocessor.fields) == ["lectures", "hours"]
    assert torch.equal(again.encode(records[0]).input, run.preprocessor.encode(records[0]).input)
    (tmp_path / "other.csv").write_text("hours\n3\n")
    assert printed("predict", tmp_path / "run", "--file", tmp_path / "other.csv") == 2
    assert "has no column 'lectures'" in capsys.readouterr().err
