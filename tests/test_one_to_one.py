"""Labels of images and of a few numbers: what is read, what is refused, and that it can be learned."""

import pytest
import torch

from unspool import Run, Vectors
from unspool.data.features import Features, chance, student
from unspool.errors import ConfigError, DataError
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe
from unspool.tasks.task import tasks


def built(kind, splits, **options):
    from unspool.data.tokenizer import tokenizers

    texts = tasks.find(kind).texts(splits.train)
    labels = tokenizers.build("labels", "label").fit(texts["labels"])
    return tasks.build("task", {"kind": kind, **options}, splits=splits, labels=labels)


def test_rows_of_an_image_are_steps_of_time():
    from unspool.data.pictures import LabelledImages

    splits = LabelledImages(scenes=40, side=16, valid=0.5).read()
    rows, pieces = (
        built("classify-images", splits, patch_height=1, patch_width=0, batch_size=5),
        built("classify-images", splits, patch_height=8, patch_width=8, batch_size=5),
    )
    assert rows.inputs == Vectors(48) and pieces.inputs == Vectors(192)
    for task, time in ((rows, 16), (pieces, 4)):
        batch = task.exams("valid")["all"][0]
        assert batch.inputs.shape[1] == time and batch.inputs.dtype == torch.float32 and batch.mask is None
        assert batch.loss_mask.sum(dim=1).tolist() == [1] * 5 and bool(batch.loss_mask[:, -1].all())
    batch = rows.exams("valid")["all"][0]
    image = ((batch.inputs[0] + 1) * 127.5).round().byte().flatten().tolist()
    record = next(r for r in splits.valid if r["pixels"] == bytes(image))
    assert record["label"] == rows.labels.labels[int(batch.targets[0, -1])]


def test_a_vision_transformer_learns_two_colours(tmp_path):
    from PIL import Image

    for colour in ("red", "blue"):
        (tmp_path / colour).mkdir()
        for number in range(30):
            Image.new("RGB", (8, 8), colour).save(tmp_path / colour / f"{number}.png")
    options = [f"data.path={tmp_path}", "data.side=8", "train.epochs=0", "train.steps=30", "evaluate.times=1"]
    options += ["core.width=16", "core.core.layers=1", "core.core.feed_width=16", "core.core.heads=2"]
    results = list(Experiment.new(load_recipe("shapes", options), tmp_path / "run"))[-1].results
    assert results["valid_all_accuracy"] == 1.0
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
    assert bool(((batch.inputs[:, 0, 1] > 0) == (batch.targets[:, 0] == task.labels.ids["yes"])).all())


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
    assert results["valid_all_accuracy"] > sum(best) / len(best) - 0.03
    assert Run.load(tmp_path / "run").evaluate("valid")["all"]["accuracy"] == results["valid_all_accuracy"]
