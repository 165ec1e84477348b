"""`unspool train my.csv`: what each kind of data is taken for, what is printed, and that the command trains."""

import shlex
import wave
from random import Random

import pytest

from helpers.commands import run
from unspool.data.columns import Column, headless, season_of
from unspool.data.recognize import recognize
from unspool.errors import DataError
from unspool.recipe import load_recipe
from unspool.sections import Sections

FINE = "review,stars\n" + "".join(f"a {w} film of {n},{s}\n" for n in range(9) for w, s in (("fine", 5), ("dull", 1)))
PAIRS = "".join(f"der Hund sieht {n} Katzen hier\tthe dog sees {n} cats here\n" for n in "abcdefghij")
PRICES = "text,price\n" + "".join(f"oak and plum {n},{n * 1.7:.2f}\n" for n in range(30))
MONTHS = "month,sales\n" + "".join(f"{1990 + n // 12}-{n % 12 + 1:02d}-01,{100 + n}\n" for n in range(96))
SHOPS = "day,shop,sold\n" + "".join(f"2024-01-{d:02d},{s},{d}\n" for d in range(1, 31) for s in ("north", "south"))
CONLL = "EU B-ORG\nsent O\nit O\n\nno O\none O\n\n" * 9
TAGS = (
    '{"tokens": ["Ada", "wrote", "it"], "tags": ["B", "O", "O"]}\n{"tokens": ["he", "did"], "tags": ["O", "O"]}\n' * 5
)
FLOWERS = "width,height,kind\n" + "".join(f"{n / 7},{n / 3},{'rose' if n % 2 else 'iris'}\n" for n in range(30))
HEAD = "T:one\nM:4/4\nL:1/8\nK:D\n"
TUNE = "".join(f"X:{n}\n{HEAD}{'ABcdefga'[n % 8]}{'ABcdefga'[n // 8]}cd efga|ABcd efga|\n\n" for n in range(40))
KINDS = {
    "text.txt": ("the cat sat on the mat.\n" * 99, "char-lm", ["core.width=128"]),
    "reviews.csv": (FINE, "classify", ["data.text=review", "data.label=stars"]),
    "pairs.tsv": (PAIRS, "translate", ["data.header=false", 'data.source="1"', 'data.target="2"']),
    "pairs.txt": (PAIRS, "translate", ["data.format=tsv"]),
    "prices.csv": (PRICES, "regress", ["data.label=price"]),
    "months.csv": (MONTHS, "forecast", ["data.column=sales", "task.horizon=8", "preprocessor.season=12"]),
    "shops.csv": (SHOPS, "forecast", ["data.column=sold", "data.group=shop"]),
    "news.conll": (CONLL, "tag", []),
    "news.txt": (CONLL, "tag", ["data.format=conll"]),
    "tags.jsonl": (TAGS, "tag", ["data.text=tokens", "data.label=tags"]),
    "flowers.csv": (FLOWERS, "pass", ["data.label=kind", 'data.features=["width", "height"]']),
    "tunes.abc": (TUNE, "music", []),
    "tunes.txt": (TUNE, "music", []),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_taken_for_what_it_is(tmp_path, name):
    text, recipe, settings = KINDS[name]
    (tmp_path / name).write_text(text)
    found = recognize(str(tmp_path / name))
    assert found.recipe == recipe and set(settings) <= set(found.settings) and found.seen
    words = shlex.split(found.command(str(tmp_path / name)))
    assert words[:3] == ["unspool", "train", recipe]
    assert Sections.of(load_recipe(recipe, words[3:])).dataset.read().train


def sound(place):
    with wave.open(str(place), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2000))


def test_a_folder_is_taken_for_what_it_is(tmp_path):
    for kind in ("texts", "images", "sounds"):
        for label in ("one", "two"):
            (tmp_path / kind / label).mkdir(parents=True)
            (tmp_path / "texts" / label / "a.txt").parent.mkdir(parents=True, exist_ok=True)
    for label in ("one", "two"):
        (tmp_path / "texts" / label / "a.txt").write_text("a text")
        (tmp_path / "images" / label / "a.ppm").write_bytes(b"P6 1 1 255 abc")
        sound(tmp_path / "sounds" / label / "a.wav")
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "train.de").write_text("eins\n")
    (tmp_path / "both" / "train.en").write_text("one\n")
    (tmp_path / "parts").mkdir()
    for part in ("train", "test"):
        (tmp_path / "parts" / f"{part}.csv").write_text(FINE)
    wanted = {"texts": "classify", "images": "shapes", "sounds": "spoken-digits", "both": "translate"}
    for name, recipe in (wanted | {"parts": "classify"}).items():
        found = recognize(str(tmp_path / name))
        assert found.recipe == recipe
        assert Sections.of(load_recipe(recipe, found.overrides(str(tmp_path / name))))
    assert "2 labels: one (1), two (1)" in recognize(str(tmp_path / "texts")).seen
    assert "data.source=de" in recognize(str(tmp_path / "both")).settings


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("words.csv", "text\nso good\nso bad\n", "no recipe fits the columns 'text'"),
        ("zero.dat", "a\0b", "zero.dat"),
        ("one.wav", "RIFF", "training needs many"),
        ("empty", None, "nothing in"),
    ],
)
def test_what_no_recipe_fits_is_refused(tmp_path, name, text, reason):
    (tmp_path / name).mkdir() if text is None else (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        recognize(str(tmp_path / name))
    assert caught.value.hint


def test_without_yes_the_command_is_printed_and_nothing_trained(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my reviews.csv").write_text(FINE)
    assert run("train", "my reviews.csv", "train.steps=2") == 0
    said = capsys.readouterr()
    wanted = "unspool train classify 'data.path=my reviews.csv' data.text=review data.label=stars train.steps=2\n"
    assert said.out == wanted and "18 rows" in said.err and "--yes" in said.err
    assert "'stars' is a label of 2: 5 (9), 1 (9)" in said.err
    assert not (tmp_path / "runs").exists()
    assert run("train", "my reviews.csv", "train.min_steps=2", "train.epochs=1", "--yes") == 0
    assert (tmp_path / "runs/classify/results.json").exists()


def test_labels_for_words_are_refused_by_a_classifier(tmp_path, capsys):
    (tmp_path / "news.conll").write_text(CONLL)
    assert run("train", "sentiment", f"data.path={tmp_path}/news.conll") == 2
    said = capsys.readouterr().err
    assert "a label for each word" in said and f"unspool train tag data.path={tmp_path}/news.conll" in said


def test_a_training_without_validation_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(FINE)
    words = ["data.path=a.csv", "data.text=review", "data.label=stars", "train.epochs=1", "train.min_steps=1"]
    assert run("train", "classify", *words, "data.valid=0") == 0
    assert "there is no validation part" in capsys.readouterr().err
    assert run("train", "classify", *words) == 0
    assert "there is no validation part" not in capsys.readouterr().err


def test_columns_are_told_apart():
    draw = Random(1)
    number = Column("price", tuple(f"{draw.random():.3f}" for _ in range(50)))
    label = Column("kind", tuple(draw.choice(["red wine", "white wine"]) for _ in range(50)))
    text = Column("review", tuple(f"word {n} and more" for n in range(50)))
    assert (number.is_number, label.is_label, text.is_text) == (True, True, True)
    assert not (number.is_text or label.is_text or text.is_label)
    assert headless([Column("red", ("red", "white") * 9)]) and not headless([number, label, text])
    assert season_of(["2024-01-01", "2024-01-02"]) == 7 and season_of(["a", "b"]) == 1
