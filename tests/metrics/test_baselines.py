"""What a classifier is compared with: right values, bounds, and the message where it cannot be measured."""

import json
import sys

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from helpers.commands import run
from unspool.metrics import baselines
from unspool.metrics.baselines import linear_accuracy, majority_accuracy, text_baselines, within_bounds

FINE, DULL = ["a fine film", "fine and warm", "so fine"], ["a dull film", "dull and long"]
TEXTS, LABELS = FINE + DULL, ["pos"] * 3 + ["neg"] * 2


def test_the_majority_is_that_of_training_and_of_equals_the_first():
    assert majority_accuracy(["b", "a", "b"], ["a", "a", "b", "c"]) == 0.25
    assert majority_accuracy(["b", "a"], ["a", "a", "b", "b", "b"]) == 0.4


def test_the_linear_model_is_scikit_learns_with_pairs_of_words():
    texts, actual = ["fine", "dull", "a film", "long and fine"], ["pos", "neg", "neg", "pos"]
    counts = TfidfVectorizer(ngram_range=(1, 2))
    theirs = LogisticRegression(C=10.0, max_iter=1000).fit(counts.fit_transform(TEXTS), LABELS)
    assert linear_accuracy(TEXTS, LABELS, texts, actual) == theirs.score(counts.transform(texts), actual) == 0.75


def test_texts_without_words_and_a_single_label_have_no_linear_model():
    assert linear_accuracy(["!", "?"], ["a", "b"], ["!"], ["a"]) is None
    assert linear_accuracy(["one word", "two words"], ["a", "a"], ["word"], ["a"]) is None
    assert text_baselines(["!", "?"], ["a", "b"], ["!"], ["a"]) == baselines.Baselines()


def test_the_linear_model_is_bounded_and_says_so(monkeypatch):
    monkeypatch.setattr(baselines, "ROWS", 4)
    found = text_baselines(TEXTS, LABELS, ["so fine"], ["pos"])
    assert found.notes == ("the linear baseline is fitted to the first 4 of 5 training rows",)
    assert within_bounds(["abc"] * 9) == 4
    monkeypatch.setattr(baselines, "CHARACTERS", 7)
    assert within_bounds(["abc"] * 9) == 2 and within_bounds(["a" * 99]) == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("baselines")
    rows = [f"{text} {number},{label}" for number in range(6) for text, label in zip(TEXTS, LABELS, strict=True)]
    (folder / "a.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    where = [f"data.path={folder}/a.csv", "data.valid=0.2", "--run", folder / "run"]
    assert run("train", "classify", *where, "train.steps=2", "train.epochs=0", "train.threads=1") == 0
    return folder / "run"


def test_eval_prints_the_baselines_beside_the_accuracy(trained, capsys):
    assert run("eval", trained) == 0
    said = capsys.readouterr().out
    assert said.index("accuracy") < said.index("majority accuracy") < said.index("linear accuracy 1.0000")
    assert run("eval", trained, "--split", "train", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["train/all/majority_accuracy"] == pytest.approx(15 / 24, abs=0.1)
    assert found["train/all/linear_accuracy"] == 1.0


def test_without_scikit_learn_the_line_is_left_out_with_a_hint(trained, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    assert run("eval", trained) == 0
    said = capsys.readouterr()
    assert "majority accuracy" in said.out and "linear" not in said.out
    assert "pip install scikit-learn" in said.err
