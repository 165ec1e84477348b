"""Sequence classification: padding, the loss mask, metrics, and that it can be learned."""

import json
from math import isfinite

import pytest
import torch

from unspool import build
from unspool.batch import Batch
from unspool.data.batching.buckets import Buckets, padded
from unspool.data.batching.collate import one_target
from unspool.data.labelled import Labelled
from unspool.data.preprocessors.labels import unseen_labels
from unspool.data.preprocessors.text import LabelledText
from unspool.data.splits import Splits
from unspool.data.tokenizer import load_text, save_text, tokenizers
from unspool.errors import DataError
from unspool.experiment.events import Finished
from unspool.experiment.experiment import Experiment
from unspool.look import plots
from unspool.look.canvas import Picture
from unspool.metrics.labels import Accuracy, ConfusionMatrix, SpanF1
from unspool.nn.core import cores
from unspool.recipe import load_recipe
from unspool.runs.evaluation import evaluate_run
from unspool.runs.run import Run, load_task
from unspool.tasks.task import tasks
from unspool.training.evaluate import evaluate_set
from unspool.training.trainer import Trainer

sides = pytest.mark.parametrize("side", ["left", "right"])
WORDS = ["good", "fine", "bad", "poor"]


def rows(number=23, seed=0):
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (number,), generator=random).tolist()
    return [(torch.full((size,), index + 1), torch.tensor(index)) for index, size in enumerate(lengths)]


def bucketed(rows, batch_size, side="right", masked=True, padding_id=0, **options):
    """Batches of rows, each an input and its one target."""

    def gather(numbers):
        inputs, targets = zip(*(rows[number] for number in numbers.tolist()), strict=True)
        return one_target(inputs, targets, side, masked, padding_id)

    return Buckets([len(row) for row, _ in rows], batch_size, gather, **options)


@pytest.mark.parametrize("pool", [0, 1, 2, 50])
@pytest.mark.parametrize("size", [1, 4, 23, 99])
def test_every_row_comes_once_an_epoch(pool, size):
    batches = bucketed(rows(), size, pool=pool, seed=3)
    orders = []
    for epoch in range(3):
        seen = []
        for number in range(epoch * batches.epoch, (epoch + 1) * batches.epoch):
            batch = batches[number]
            seen += batch.targets[batch.loss_mask].tolist()
            assert torch.equal(batch.inputs, bucketed(rows(), size, pool=pool, seed=3)[number].inputs)
        assert sorted(seen) == list(range(23)), "each once, and all count"
        orders.append(seen)
    assert (orders[0] != orders[1]) == (pool > 0)
    if pool and size < 23:
        assert bucketed(rows(), size, pool=pool, seed=4)[0].targets.tolist() != batches[0].targets.tolist()


def test_lengths_in_a_batch_are_alike_and_batches_are_shuffled():
    def waste(pool):
        batches = bucketed(rows(400), 8, pool=pool)
        numbers = range(batches.epoch)
        there = sum(batches[n].inputs.ne(0).sum().item() for n in numbers)
        return 1 - there / sum(batches[n].inputs.numel() for n in numbers)

    assert waste(1) > 0.3 and waste(50) < 0.03
    widths = [bucketed(rows(400), 8)[n].inputs.shape[1] for n in range(50)]
    assert widths != sorted(widths)


@sides
def test_padding_is_on_its_side_and_the_last_present_place_counts(side):
    batches = bucketed(rows(), 5, side)
    for number in range(batches.epoch):
        batch = batches[number]
        there = torch.ones_like(batch.loss_mask) if batch.mask is None else batch.mask
        assert (batch.inputs != 0).equal(there)
        assert batch.loss_mask.sum(dim=1).tolist() == [1] * len(batch.inputs)
        for ids, loss_mask, mask in zip(batch.inputs, batch.loss_mask, there, strict=True):
            places = mask.nonzero().flatten()
            assert int(loss_mask.nonzero()) == int(places[-1]) and len(set(ids[mask].tolist())) == 1
            assert bool(mask[-1 if side == "left" else 0])


@sides
def test_padding_that_is_shown_is_there(side):
    batch = bucketed(rows(), 23, side, masked=False, padding_id=77)[0]
    assert batch.mask is None and bool(batch.loss_mask[:, -1].all()) and batch.positions == 23
    assert int((batch.inputs == 77).sum()) > 20


def test_numbers_are_padded_too():
    together, mask = padded([torch.ones(3, 2), torch.ones(1, 2)], side="left")
    assert together.tolist() == [[[1, 1]] * 3, [[0, 0], [0, 0], [1, 1]]]
    assert mask.tolist() == [[True] * 3, [False, False, True]]


def examples(number, seed):
    random = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(number):
        size = int(torch.randint(1, 9, (1,), generator=random))
        ids = torch.randint(6, (size,), generator=random).tolist()
        mood = int(torch.randint(4, (1,), generator=random))
        ids.insert(int(torch.randint(size + 1, (1,), generator=random)), 6 + mood)
        text = " ".join([*"abcdef", *WORDS][id] for id in ids)
        found.append({"text": text, "label": "pos" if mood < 2 else "neg", "number": len(ids)})
    return found


def made(kind="classify", preprocessor=(), **options):
    splits = Splits(examples(300, 1), examples(60, 2), examples(60, 3))
    return build.task({"task": {"kind": kind, **options}, "preprocessor": dict(preprocessor), "seed": 0}, splits)


CORES = {
    "last": {"kind": "recurrent", "cell": "gru"},
    "mean": {"kind": "pooled", "core": {"kind": "recurrent", "bidirectional": True}},
    "max": {"kind": "pooled", "by": "max"},
    "attention": {"kind": "pooled", "by": "attention"},
}


def model(task, core):
    return build.model({"core": {"width": 16, **CORES[core]}}, task.inputs, task.targets)


@sides
@pytest.mark.parametrize("core", CORES)
def test_a_row_alone_is_told_the_same_as_in_a_padded_batch(core, side):
    task = made(preprocessor={"padding": side}, batch_size=60)
    net = model(task, core).eval()
    batch = task.eval_sets("valid")["all"].batches[0]
    rows = sorted(task.rows["valid"], key=lambda row: len(row.input))
    with torch.no_grad():
        together = net(batch.inputs, net.start(batch.inputs), batch.mask)[0][batch.loss_mask]
        alone = [net(row.input[None], net.start(row.input[None]))[0][0, -1] for row in rows]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("by", ["mean", "max", "attention", "last"])
def test_pooling_is_what_it_says(by):
    core = cores.build("core", {"kind": "pooled", "by": by}, width=6)
    x, mask = torch.randn(2, 7, 6), torch.rand(2, 7) < 0.6
    mask[:, 2] = True
    h, _ = core.core(x, core.core.start(x), mask)
    y, _ = core(x, core.start(x), mask)
    for row, t in mask.nonzero().tolist():
        so_far = h[row, : t + 1][mask[row, : t + 1]]
        if by == "attention":
            weights = (15 * torch.tanh(so_far @ core.score.weight[0] / 15)).softmax(dim=0)
            wanted = weights @ so_far
        else:
            wanted = {"mean": so_far.mean(dim=0), "max": so_far.max(dim=0).values, "last": so_far[-1]}[by]
        torch.testing.assert_close(y[row, t], wanted, atol=1e-6, rtol=1e-5)
    assert not y[~mask].any()


@pytest.mark.parametrize("core", CORES)
def test_a_tiny_model_learns_which_words_are_kind(core, tmp_path):
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(record) for record in examples(600, 4)))
    recipe = {
        "data": {"path": str(tmp_path / "data.jsonl"), "test": 0.1},
        "task": {"kind": "classify", "batch_size": 32},
        "core": {"width": 16, **CORES[core]},
        "train": {"steps": 120, "learning_rate": 0.02, "precision": "float32", "threads": 1},
        "evaluate": {"times": 2},
    }
    finished = list(Experiment.new(recipe, tmp_path / "run"))[-1]
    assert isinstance(finished, Finished)
    assert finished.results["valid/all/accuracy"] == finished.results["valid/all/macro_f1"] == 1.0
    confusion = json.loads((tmp_path / "run/confusion.json").read_text())
    assert confusion["labels"] == ["neg", "pos"] and sum(map(sum, confusion["matrix"])) == 60
    assert (tmp_path / "run/confusion.png").read_bytes().startswith(b"\x89PNG")
    run = Run.load(tmp_path / "run")
    assert run.evaluate("test")["test/all/accuracy"] > 0.95
    drawn = [evaluate_run(run.model, load_task(run), split, "cpu", run.pipeline)[1] for split in ("valid", "test")]
    assert drawn[0]["confusion"].matrix == confusion["matrix"] != drawn[1]["confusion"].matrix


def test_numbers_are_learned_in_their_own_unit(tmp_path):
    (tmp_path / "data.jsonl").write_text("\n".join(json.dumps(record) for record in examples(600, 4)))
    recipe = load_recipe("names", [f"data.path={tmp_path / 'data.jsonl'}", "task.kind=regress", "data.label=number"])
    recipe |= {
        "core": {"kind": "recurrent", "width": 16},
        "train": {"steps": 150, "learning_rate": 0.02, "precision": "float32", "threads": 1},
        "model": {},
    }
    finished = list(Experiment.new(recipe, tmp_path / "run"))[-1]
    assert finished.results["valid/all/mean_absolute_error"] < 0.7  # letters and spaces are two a word: 2 to 9 words
    assert not (tmp_path / "run/confusion.json").exists()
    with pytest.raises(DataError, match="the label 'pos' is not a number"):
        made("regress")


def scored(said, due):
    """A batch of one label for each of as many rows as are named, and logits that say others."""
    targets = torch.tensor(due).unsqueeze(1)
    logits = torch.nn.functional.one_hot(torch.tensor(said), 2).float().unsqueeze(1)
    return logits, Batch(targets, targets, torch.ones_like(targets, dtype=torch.bool))


def test_the_figures_are_those_of_the_definition():
    metric = ConfusionMatrix(["neg", "pos"])
    metric.update(*scored(said=[0, 0, 0, 1, 1, 1, 1, 0], due=[0, 0, 0, 0, 1, 1, 1, 1]))
    assert metric.compute() == {"accuracy": 6 / 8, "macro_f1": pytest.approx(0.75)}
    assert metric.drawing()["confusion"].matrix == [[3, 1], [1, 3]]
    rare = ConfusionMatrix(["neg", "pos"])
    rare.update(*scored(said=[0] * 10, due=[0] * 9 + [1]))
    assert rare.compute()["macro_f1"] == pytest.approx((2 * 9 / 19 + 0) / 2)


def test_counts_add_up_over_batches():
    task = made(batch_size=7)
    values, (metric,) = evaluate_set(model(task, "mean"), task.eval_sets("valid")["all"])
    matrix = metric.drawing()["confusion"].matrix
    assert sum(map(sum, matrix)) == 60
    assert values["accuracy"] == pytest.approx(sum(matrix[i][i] for i in range(2)) / 60)
    assert set(values) == {"loss", "accuracy", "macro_f1"}


def test_only_so_many_tokens_are_read():
    task = made(preprocessor={"max_length": 3})
    assert max(len(row.input) for row in task.rows["train"]) == 3
    assert made(preprocessor={"mask_padding": False}).inputs.size == made().inputs.size + 1


def test_labels_come_back_and_a_strange_one_is_named():
    labels = tokenizers.build("labels", "label").fit("10\n9\n10\n-1\n")
    assert labels.labels == ["-1", "9", "10"], "numbers are sorted as numbers"
    again = load_text(save_text(labels))
    assert again.encode("9\n10").tolist() == [1, 2]
    with pytest.raises(DataError, match="the label '7' is not among those of the training data: '-1', '9', '10'"):
        again.encode("9\n7")
    with pytest.raises(DataError, match="the tokenizer's field 'labels' is wrong"):
        load_text('{"kind": "label", "labels": ["a", "a"]}')
    with pytest.raises(DataError, match="one label only"):
        build.task({"task": "classify"}, Splits([{"text": "a", "label": "x"}] * 9))


def test_a_label_that_training_has_not_is_told_and_counts_as_wrong():
    known = examples(50, 1)
    splits = Splits(
        known, [*known[:3], {"text": "a", "label": "mixed"}], lines={"valid": ["", "", "", "a.csv, line 7"]}
    )
    recipe = {"task": "classify", "core": {"kind": "recurrent", "width": 8}}
    preprocessor = build.fitted_preprocessor(recipe, splits)
    (note,) = unseen_labels(preprocessor, splits)
    assert "the label 'mixed' is in valid (a.csv, line 7) and not in train: it is not learned" in note
    assert unseen_labels(preprocessor, Splits(known, known)) == []
    task = build.task(recipe, splits, preprocessor)
    model = build.model(recipe, task.inputs, task.targets)
    trainer = Trainer(model, task.train_batches(), steps=60, learning_rate=0.03)
    list(trainer)
    evaluated, _ = evaluate_set(model, task.eval_sets("valid")["all"])
    assert evaluated["accuracy"] == 0.75 and isfinite(evaluated["loss"])


def test_a_confusion_is_drawn_with_its_numbers(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Picture, "save", lambda picture, path: drawn.append(picture))
    plots.draw_confusion([[8, 2], [0, 5]], ["cat", "dog"], tmp_path / "a.png", "a run")
    (axes,) = drawn[0].axes
    assert axes.images[0].get_array().tolist() == [[0.8, 0.2], [0.0, 1.0]], "the share of a row"
    assert [text.get_text() for text in axes.texts] == ["8", "2", "5"]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [text.get_text() for text in labels] == ["cat", "dog"]
    assert axes.get_ylabel() == "label" and axes.get_xlabel() == "predicted"
    plots.draw_confusion([[1] * 200] * 200, [str(n) for n in range(200)], tmp_path / "b.png")
    assert len(drawn[1].axes[0].get_xticklabels()) <= 34 and not drawn[1].axes[0].texts
    assert max(drawn[1].figure.get_size_inches()) < 20


def test_the_shelf_has_them():
    assert {"classify", "classify-sounds", "regress"} <= set(tasks.kinds())


def sentences(number, seed):
    """Words of which a capital letter begins a name and a number goes on with it."""
    random = torch.Generator().manual_seed(seed)
    lines = []
    for _ in range(number):
        named = False
        for id in torch.randint(6, (int(torch.randint(2, 9, (1,), generator=random)),), generator=random).tolist():
            named = id < 2 or (named and id < 4)
            lines.append(f"{'AB12ab'[id]} x {'O' if not named else 'B-name' if id < 2 else 'I-name'}")
        lines.append("")
    return "\n".join(lines)


def test_words_are_tagged_and_spans_are_found(tmp_path):
    (tmp_path / "data.conll").write_text(sentences(400, 1))
    recipe = {
        "data": {"path": str(tmp_path / "data.conll")},
        "task": {"kind": "tag"},
        "preprocessor": {"padding": "left"},
        "core": {"kind": "recurrent", "width": 16},
        "train": {"steps": 100, "learning_rate": 0.02, "precision": "float32", "threads": 1},
    }
    finished = list(Experiment.new(recipe, tmp_path / "run"))[-1]
    assert finished.results["valid/all/accuracy"] == finished.results["valid/all/span_f1"] == 1.0
    (tmp_path / "data.conll").write_text("A O\nb O\n\nc\n")
    with pytest.raises(DataError, match=r"data.conll, line 4: there is no label"):
        Labelled(path=str(tmp_path / "data.conll")).read()
    with pytest.raises(DataError, match="has 2 tokens and 1 labels"):
        build.task({"task": "tag"}, Splits([{"text": "a b", "label": "O"}]))


def test_span_f1_is_over_all_spans():
    records = [{"text": "a b c", "label": "B-x I-x O"}, {"text": "a b", "label": "B-y O"}]
    task = build.task({"task": "tag"}, Splits(records))
    batch = task.train_batches()[0]
    names = {name: id for id, name in enumerate(task.labels)}
    said = batch.targets.clone()
    said[(batch.loss_mask.sum(dim=1) == 3).nonzero().item(), 1] = names["O"]  # the span ends too early
    accuracy, span_f1 = metrics = Accuracy(), SpanF1(task.labels)
    for metric in metrics:
        metric.update(torch.nn.functional.one_hot(said, task.targets.size).float(), batch)
    assert accuracy.compute() == {"accuracy": 4 / 5} and span_f1.compute() == {"span_f1": 2 / 4}
    assert [factory().compute() for factory in task.eval_sets("train")["all"].metrics] == [{}, {}]


def test_a_long_text_keeps_its_beginning_or_its_end():
    tokenizer = tokenizers.build("tokenizer", "char").fit("abcdef")
    labels = tokenizers.build("labels", "label").fit("x\ny\n")

    def read(*options):
        preprocessor = LabelledText(tokenizer, labels, *options)
        return [tokenizer.decode(preprocessor.encode({"text": text}).input.tolist()) for text in ("abcdef", "ab")]

    assert read(4) == ["abcd", "ab"]
    assert read(4, "last") == ["cdef", "ab"]
    assert read(0, "last") == ["abcdef", "ab"]
