"""Captions: scores by hand, what counts as right, and a run from scenes or files to what it writes under them."""

import json
from math import log, sqrt

import pytest
import torch
from PIL import Image

from unspool import Run, Vectors, tokenizers
from unspool.batch import Batch
from unspool.build import model as build_model
from unspool.data.pictures import CaptionedImages
from unspool.data.predictions import Failure, Text
from unspool.data.preprocessors.captions import CaptionedImage
from unspool.data.readers.images import read_image
from unspool.data.synthetic.scenes import HELD_OUT, captions, scene
from unspool.data.unseen_bigrams import unseen_bigrams
from unspool.experiment.experiment import Experiment
from unspool.look import plots
from unspool.look.canvas import Picture
from unspool.metrics.captions import cider
from unspool.metrics.drawings import Captioned
from unspool.metrics.scene_captions import SceneAttributes, attribute_counts, attributes, grade, parse_caption
from unspool.metrics.text import bleu, bleus
from unspool.nn.heads import cross_entropy_without, head
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_generation
from unspool.tasks.task import tasks

TINY = [
    "data.scenes=60", "data.valid=0.4", "data.test=0.2", "train.steps=3", "evaluate.times=1",
    "encoder.width=8", "encoder.layers=1", "core.width=8", "core.input_width=8",
]  # fmt: skip


def preprocessor(records, **options):
    made = CaptionedImage(tokenizers.build("tokenizer", "word"), **options)
    made.tokenizer.fit(made.texts(records)["tokenizer"])
    return made


def caption(**options):
    splits = CaptionedImages(scenes=60, things=2, valid=0.4, test=0.2).read()
    given = {"splits": splits, "preprocessor": preprocessor(splits.train)}
    return tasks.build("task", {"kind": "caption", "batch_size": 8, **options}, **given)


def test_bleu_with_several_right_answers_by_hand():
    ours = [["a", "a", "red", "hat"]]
    right = [[["a", "red", "hat"], ["a", "hat", "and", "a", "coat"]]]
    # "a" counts twice, as in the second answer: 4 of 4; runs of two: "a red", "red hat" of 3; of three: 1 of 2
    # both answers are one word off in length: the shorter one is wanted, and nothing is taken off
    wanted = [100.0, 100 * sqrt(1 * 2 / 3), 100 * (1 * 2 / 3 * 1 / 2) ** (1 / 3), 0.0]
    assert bleus(ours, right) == pytest.approx(wanted)
    short = bleus([["a", "red"]], [[["a", "red", "hat"]]])
    assert short[:2] == pytest.approx([100 * 2.718281828459045 ** (1 - 3 / 2)] * 2)
    assert bleus([[]], [[["a"]]]) == [0.0] * 4
    words = ["a", "man", "in", "a", "hat", "sees", "a", "dog"]
    assert bleu([words], [words]) == bleus([words], [[words]])[-1] == pytest.approx(100.0)


def test_cider_by_hand():
    # two images, so a word of one image alone weighs log 2, and a word of both nothing
    ours = [["red", "ring"], ["a", "dog"]]
    right = [[["red", "ring"], ["red", "red"]], [["a", "cat"]]]
    # words, first image: (1, 1) beside (1, 1) and (2, 0): cosines 1 and 1/sqrt(2)
    # words, second: (1, 1, 0) beside (1, 0, 1), "dog" weighing log 2 though it is nowhere: 1/2
    # runs of two, first: "red ring" beside itself and beside "red red": 1 and 0; second: none shared; longer: none
    words, twos = (1 + 1 / sqrt(2)) / 2 + 1 / 2, (1 + 0) / 2
    assert cider(ours, right) == pytest.approx((words + twos) / 4 / 2)
    # a word that both images have weighs nothing, one of three images weighs log 3 or log 1.5
    ours, right = [["a", "cat"], ["x"], ["x"]], [[["a", "cat"]], [["a", "dog"]], [["b"]]]
    assert cider(ours, right) == pytest.approx((1 + 1) / 4 / 3), "the same caption is alike, whatever its words weigh"
    ours[0] = ["a", "dog"]
    rare, often = log(3), log(1.5)
    assert cider(ours, right) == pytest.approx(often**2 / (often**2 + rare**2) / 4 / 3)
    assert cider([["a"]], [[["a"]]]) == 0.0, "one image alone has no rare words"


def test_what_is_said_is_taken_apart_and_the_nearest_right_caption_is_beside_it():
    assert parse_caption("a small red ring left of a large blue square and above a large orange cross") == {
        "colours": ["red", "blue", "orange"],
        "shapes": ["ring", "square", "cross"],
        "sizes": ["small", "large", "large"],
        "relations": ["left", "above"],
    }
    for number in range(100):
        right = captions(scene(0, number, most=3))
        for one in right:
            assert (
                all(good == of for good, of in attribute_counts(one, right).values())
                and grade(one, right) == "no errors"
            )
    right = ["a red ring left of a small blue square", "a small blue square right of a red ring"]
    turned = attribute_counts("a small green square right of a red ring", right)
    assert turned == {"colours": (1, 2), "shapes": (2, 2), "sizes": (2, 2), "relations": (1, 1)}
    assert attribute_counts("a red ring", right) == {
        "colours": (1, 2),
        "shapes": (1, 2),
        "sizes": (1, 2),
        "relations": (0, 1),
    }
    assert attribute_counts("", right)["colours"] == (0, 2)
    assert attribute_counts("a red ring left of a blue ring", ["a red ring"])["colours"] == (1, 2), (
        "too much is wrong too"
    )
    assert grade(right[1], right) == "no errors"
    assert grade("a red ring above a small blue square", right) == "minor errors"
    assert grade("a red ring", right) == grade("a ring", right) == "unrelated"
    assert grade("a red cross left of a blue square", right) == "somewhat related"
    found = attributes([right[0], "a blue ring"], [right, ["a blue ring"]])
    assert found["attributes"] == found["relations"] == found["no_errors"] == 1.0 and found["unrelated"] == 0.0
    found = attributes(["a blue ring"], [["a red ring"]])
    assert (found["attributes"], found["colours"], found["minor_errors"]) == (pytest.approx(2 / 3), 0.0, 1.0)
    assert "relations" not in found, "one thing has none"


@pytest.mark.parametrize(
    ("caption", "wanted"),
    [
        ("a large red ring left of a small blue square", "no errors"),
        ("a small blue square right of a large red ring", "no errors"),  # any right caption, not the first alone
        ("a large red ring left of a small blue circle", "minor errors"),  # one attribute of seven is wrong
        ("a large red ring above a small blue square", "minor errors"),
        ("a large red ring left of left of a small blue square", "minor errors"),  # none is, and it is no right caption
        ("a small red ring above a small blue square", "somewhat related"),  # two of seven
        ("a large red ring", "unrelated"),  # a missing thing is three wrong attributes and a relation: 3 of 7 right
        ("a large red ring left of a large green cross", "somewhat related"),  # 4 of 7
        ("a small green cross above a small blue square", "unrelated"),  # 3 of 7
        ("", "unrelated"),
    ],
)
def test_the_four_grades_of_the_lecture(caption, wanted):
    right = ["a large red ring left of a small blue square", "a small blue square right of a large red ring"]
    assert grade(caption, right) == wanted
    metric = SceneAttributes(lambda record: [words.split() for words in record["captions"]])
    text = Text(caption, caption.split(), -1.0)
    assert metric.grade(text, {"captions": right}) == wanted
    metric.update(text, {"captions": right})
    assert metric.compute()[wanted.replace(" ", "_")] == 1.0


def test_a_batch_is_images_and_their_captions():
    task = caption()
    assert task.source == Vectors(48)
    seen = set()
    for number in range(task.train_batches().epoch):
        batch = task.train_batches()[number]
        assert batch.source.shape[1:] == (64, 48) and -1 <= batch.source.min() < batch.source.max() <= 1
        assert bool(batch.source_mask.all())
        for row in range(len(batch.inputs)):
            line = task.preprocessor.tokenizer.decode(batch.targets[row, batch.loss_mask[row]])
            assert line.endswith("\n") and "<unk>" not in line
            seen.add(line.strip())
    assert seen == {r["captions"][0] for r in task.records["train"]}, "from left to right"
    assert len(task.rows["train"]) == len(task.records["train"]) == 24 and task.summary().startswith(
        "images: train 24,"
    )
    again = caption().train_batches()[3]
    assert torch.equal(again.source, task.train_batches()[3].source) and torch.equal(
        again.inputs, task.train_batches()[3].inputs
    )


def test_seen_and_unseen_are_told_apart():
    task = caption()
    records = task.records["valid"]
    unseen = {c for r in records if r["unseen"] for c in r["captions"]}

    class Said:
        def predict(self, records, batch_size):
            lines = [record["captions"][-1] if record["unseen"] else "a" for record in records]
            return iter([Text(line, line.split(), -1.0) for line in lines])

    found, drawn = evaluate_generation(Said(), task.generation_sets("valid")["generated"])
    words = {word for line in unseen for word in line.split()} - set(task.preprocessor.tokenizer.words)
    assert not words, "every word is in the training captions, only not together"
    assert found[":unseen", "attributes"] == found[":unseen", "no_errors"] == 1.0
    assert found[":seen", "attributes"] == 0.0 and found[":seen", "unrelated"] == 1.0
    assert 0 < found["", "bleu_1"] < 100 and 0 < found["", "cider"] < 1
    assert {(":unseen", name) for name in ("colours", "shapes", "sizes", "relations")} <= set(found)
    shown = drawn["captions"].images
    assert len(shown) == 12 and all(
        one.generated in one.right and torch.tensor(one.image).shape == (32, 32, 3) for one in shown
    )
    pixels = {read_image(record["image"], task.preprocessor.size) for record in records}
    assert bytes(torch.tensor(shown[0].image).flatten().tolist()) in pixels
    assert task.generation_sets("nothing") == {} and task.eval_sets("nothing") == {}


def test_a_run_on_scenes_is_measured_and_drawn(tmp_path, monkeypatch):
    drawn, save = {}, Picture.save
    monkeypatch.setattr(Picture, "save", lambda one, path: drawn.update({path.name: one}) or save(one, path))
    results = list(Experiment.new(load_recipe("captions", TINY), tmp_path / "run"))[-1].results
    names = ("valid/generated/bleu_4", "valid/generated/cider", "valid/generated:unseen/attributes")
    assert set(names) <= set(results)
    assert (tmp_path / "run" / "captions.png").stat().st_size > 1000
    assert sum(bool(axes.images) for axes in drawn["captions.png"].axes) == 12
    run = Run.load(tmp_path / "run")
    assert run.evaluate("valid")["valid/generated/cider"] == pytest.approx(results["valid/generated/cider"])
    assert {name.split("/")[1] for name in run.evaluate("test")} >= {"teacher_forced", "generated"}


def test_a_picture_says_what_would_have_been_right(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, path: drawn.append(picture))
    image = [[[0, 0, 0]] * 4] * 4
    rights = ["a red ring"], ["a blue cross", "a red circle"]
    shown = [Captioned(image, "a red ring", list(right)) for right in rights]
    plots.draw_captions(shown, tmp_path / "a.png", "a run")
    good, bad = drawn[0].axes
    assert [text.get_text() for text in good.texts] == ["a red ring"]
    assert [(text.get_text(), text.get_color()) for text in bad.texts] == [
        ("a red ring", plots.WRONG),
        ("a red circle", plots.RIGHT),
    ]


def test_images_of_files_take_the_place_of_scenes(tmp_path):
    lines = []
    for number in range(30):
        colour = ("red", "blue", "green")[number % 3]
        Image.new("RGB", (20, 10), colour).save(tmp_path / f"{number}.png")
        lines += [f"{number}.png,A {colour} wall", f"{number}.png,All is {colour}"]
    (tmp_path / "captions.csv").write_text("\n".join(["file,caption", *lines]))
    options = [o for o in TINY if "scenes" not in o and "steps" not in o]
    options += [f"data.path={tmp_path}", "preprocessor.side=16", "encoder.columns=4", "train.steps=90"]
    options += ["train.learning_rate=0.02", "task.batch_size=16"]
    results = list(Experiment.new(load_recipe("captions", options), tmp_path / "run"))[-1].results
    assert results["valid/generated/bleu_1"] > 90 and not any("seen" in name for name in results)
    about = json.loads((tmp_path / "run" / "about.json").read_text())
    assert about["source"] == {"kind": "Vectors", "size": 48}
    run = Run.load(tmp_path / "run")
    files = sorted(str(file) for file in tmp_path.glob("*.png"))
    (tmp_path / "text.png").write_text("a text")
    files[5:5] = [str(tmp_path / "gone.png"), str(tmp_path / "text.png")]
    together = list(run.predict(files, batch_size=7))
    assert [n for n, found in enumerate(together) if isinstance(found, Failure)] == [5, 6]
    assert "there is no file" in together[5].error and "text.png is not an image" in together[6].error
    for file, found in zip(files, together, strict=True):
        if isinstance(found, Text):
            alone = run.predict(file)
            assert alone.text == found.text
            assert alone.log_probability == pytest.approx(found.log_probability, abs=1e-4)
    assert "wall" in together[0].text or "all is" in together[0].text
    assert "is missing" in next(run.predict([{}])).error
    with Image.open(files[0]) as image:
        assert run.predict({"image": image.convert("RGB")}).text == together[0].text


def test_smoothed_targets_are_for_training_alone():
    from unspool import Tokens

    end = head(Tokens(5), 3)
    y, targets, loss_mask = (
        torch.randn(1, 4, 3),
        torch.tensor([[0, 1, 2, 4]]),
        torch.tensor([[True, True, True, False]]),
    )
    likely = end(y)[0, :3].log_softmax(dim=-1)
    plain = -likely[torch.arange(3), targets[0, :3]].mean()
    end.smoothing = 0.2
    torch.testing.assert_close(end.loss(y, targets, loss_mask), 0.8 * plain - 0.2 * likely.mean())
    end.eval()
    torch.testing.assert_close(end.loss(y, targets, loss_mask), plain)


def test_what_never_followed_a_word_is_a_gap_if_it_followed_words_like_it():
    splits = CaptionedImages(scenes=400, things=2, valid=0.1).read()
    words = preprocessor(splits.train).tokenizer
    lines = [torch.from_numpy(words.encode(f"\n{r['trained'][0]}\n")).long() for r in splits.train]
    unseen = unseen_bigrams(lines, words.size).nonzero()
    found = {(words.decode([a]).strip(), words.decode([b]).strip()) for a, b in unseen}
    assert found == HELD_OUT, "and no word where the grammar has none"
    a, b, c, d, e = range(5)
    few = [torch.tensor(pair) for pair in ((a, c), (a, d), (b, c), (b, e))]
    assert not unseen_bigrams(few, 5).any(), "a third of what follows either follows both"
    assert unseen_bigrams([*few, torch.tensor([b, d])], 5).nonzero().tolist() == [[a, e]]


def test_excluded_words_are_left_out_of_the_training_loss():
    task, plain = caption(exclude_unseen_bigrams=True), caption()
    assert plain.excluded is None and task.excluded.any()
    recipe = {"core": {"kind": "attention-rnn", "width": 8}, "encoder": {"kind": "recurrent", "width": 8}}
    model = build_model(recipe, task.inputs, task.targets, task.source)
    batch = task.train_batches()[0]
    excluded = task.excluded[batch.inputs]
    assert not excluded[batch.loss_mask].gather(1, batch.targets[batch.loss_mask].unsqueeze(1)).any()
    logits = model.head(model.hidden_states_of(batch)[0]).masked_fill(excluded, float("-inf"))[batch.loss_mask]
    wanted = torch.nn.functional.cross_entropy(logits, batch.targets[batch.loss_mask])
    torch.testing.assert_close(task.training_loss(model, batch)[0], wanted)
    torch.testing.assert_close(plain.training_loss(model, batch)[0], model.loss(batch)[0])
    assert wanted < model.loss(batch)[0]
    # with scheduled sampling the reference, not the generated tokens, says what is excluded
    mixed = Batch(batch.inputs.roll(1, 1), batch.targets, batch.loss_mask, batch.mask, batch.source, batch.source_mask)
    assert task.training_loss(model, mixed)[0].isfinite()


def test_the_loss_without_excluded_tokens():
    from unspool import Tokens

    end = head(Tokens(4), 3)
    y, targets, loss_mask = torch.randn(1, 3, 3), torch.tensor([[0, 1, 2]]), torch.tensor([[True, True, False]])
    excluded = torch.tensor([[[False, False, True, True], [False, False, False, False], [True, True, True, True]]])
    some, every = end(y)[0, 0, :2].log_softmax(dim=-1), end(y)[0, 1].log_softmax(dim=-1)
    logits, targets, excluded = end(y)[loss_mask], targets[loss_mask], excluded[loss_mask]
    torch.testing.assert_close(cross_entropy_without(logits, targets, excluded), -(some[0] + every[1]) / 2)
    wanted = -(0.8 * (some[0] + every[1]) + 0.2 * (some.mean() + every.mean())) / 2
    torch.testing.assert_close(cross_entropy_without(logits, targets, excluded, smoothing=0.2), wanted)
    nothing = torch.zeros_like(excluded)
    torch.testing.assert_close(
        cross_entropy_without(logits, targets, nothing), torch.nn.functional.cross_entropy(logits, targets)
    )
