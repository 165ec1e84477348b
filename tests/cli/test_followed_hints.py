"""A hint that proposes something to type is typed: the command then gets past the error that it had."""

import re
import shlex
from pathlib import Path

import pytest

from helpers.commands import TEXT, TINY, run
from unspool.data.readers.decoding import SAMPLE

PLUGIN = Path(__file__).parents[1] / "plugged/my_cell.py"
TABLE = "text,label\n" + "a fine day,good\na dull day,bad\n" * 30
PLAIN = [word for word in TINY if not word.startswith(("task.length", "data.path"))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A character model, a classifier, and data of several kinds."""
    folder = tmp_path_factory.mktemp("hints")
    (folder / "good.txt").write_text(TEXT)
    (folder / "latin.txt").write_bytes(b"caf\xe9 " * (SAMPLE // 100))
    (folder / "table.csv").write_text(TABLE)
    (folder / "cats.csv").write_text("text,label\n" + "the cat sat,good\non the mat,bad\n" * 30)
    (folder / "series.csv").write_text("day,value\n" + "".join(f"{n},{n % 7}\n" for n in range(300)))
    (folder / "holds").mkdir()
    (folder / "holds/thesis.txt").write_text("years of work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("train", "char-lm", *TINY, "--run", "run") == 0
        assert run("train", "classify", *PLAIN, "train.epochs=0", "data.path=table.csv", "--run", "labels") == 0
    return folder


def train(*words, recipe="char-lm"):
    return ["train", recipe, *TINY, *words]


def plain(recipe, *words):
    return ["train", recipe, *PLAIN, "train.epochs=0", "train.minutes=0", *words]


def sample(*words):
    return ["sample", "run", "--length", "3", *words]


NUMBER = {"VALUE": "2"}
SHARE = {"VALUE": "0.1"}
FOLLOWED = [  # the command, and what stands for the words in capitals of its hint
    (train("core.bidirectional=true"), {}),
    (train("data.path=nope.txt"), {"FILE": "good.txt"}),
    (train("data.path=no*.md"), {"FILE": "good.txt"}),
    (train("data.path=", "data.corpus="), {"FILE": "good.txt"}),
    (train("data.path=latin.txt", "data.encoding=utf-8"), {}),
    (train("data.encoding=klingon"), {}),
    (train("data.path=", "data.corpus=python-doc"), {}),
    (train("data.train_path=good.txt"), {}),
    (train("data.valid=0.6", "data.test=0.5"), {}),
    (train("data.valid=nan"), SHARE),
    (train("data.limit=-1"), {"VALUE": "2000"}),
    (train("data.path=5"), {"VALUE": "good.txt"}),
    (train("data.valid_path=-"), {"FILE": "good.txt"}),
    (train("train.steps=-1"), NUMBER),
    (train("train.steps=x"), NUMBER),
    (train("train.steps=1.5"), NUMBER),
    (train("train.epochs=-1"), NUMBER),
    (train("train.epochs=inf"), NUMBER),
    (train("train.learning_rate=nan"), SHARE),
    (train("train.learning_rate=0"), SHARE),
    (train("train.schedule=cosin"), {}),
    (train("train.optimizer=adamwx"), {}),
    (train("train.precision=float16"), {}),
    (train("train.threads=100000"), {"VALUE": "1"}),
    (train("train.device=cuda:77"), {}),
    (train("train.stepz=3"), {}),
    (train("core.width=0"), {"VALUE": "8"}),
    (train("core.widht=8"), {}),
    (train("core.kind=recurent"), {}),
    (train("core.kind=5"), {}),
    (train("core.cell=lstn"), {}),
    (train("core.cell=mgu"), {"FILE": str(PLUGIN)}),
    (train("core.cell.forget_bia=1"), {}),
    (train("core.biases=2"), {}),
    (train("core.cell.forget_bias=nan"), {"VALUE": "1"}),
    (train("core.width.y=3"), {"VALUE": "8"}),
    (train("core=5"), {"KEY": "width", "VALUE": "8"}),
    (train("cor.width=3"), {}),
    (train("width=3"), {}),
    (train("seed=-1"), {}),
    (train("plugin=5"), {"FILE": str(PLUGIN)}),
    (train("save.every=x"), NUMBER),
    (train("evaluate.times=-1"), NUMBER),
    (train("model.tied=true", "core.input_width=6"), {}),
    (train("tokenizer.kind=chars"), {}),
    (train("tokenizer.kind=bpe", "tokenizer.vocabulary=9"), {"VALUE": "260"}),
    (train("labels.kind=label"), {}),
    (train("--minutes", "0"), {}),
    (train("--minutes", "nan"), {}),
    (train(recipe="char-lmm"), {}),
    (train(recipe="nope.toml"), {}),
    (train(recipe="qqq"), {}),
    (["train", "char-lm", *TINY, "--run", "run"], {}),
    (["train", "char-lm", *TINY, "--run", "holds"], {"DIR": "elsewhere"}),
    (["train", "char-lm", *TINY, "--run", "good.txt/x"], {"DIR": "elsewhere"}),
    (["resume", "run", "train.steps=-1"], {"VALUE": "3"}),
    (plain("classify", "data.path="), {"FILE": "table.csv"}),
    (plain("classify", "data.path=table.csv", "data.text=txt"), {}),
    (plain("classify", "data.path=table.csv", "data.train_path=table.csv"), {}),
    (plain("captions", "data.path=", "data.scenes=0"), {"data.path=FOLDER, or ": ""}),
    (plain("captions", "data.scenes=20", "data.things=9"), {}),
    (plain("fine-tune-bert", "data.path=cats.csv", "model.start=run"), {}),
    (plain("copy", "core.kind=recurent"), {}),
    (plain("recall", "task.size=3", "task.pairs=4"), {}),
    (sample("--temperature", "-1"), {}),
    (sample("--temperature", "nan"), {}),
    (sample("--top-k", "-1"), {}),
    (sample("--top-p", "0"), {}),
    (sample("--min-p", "1"), {}),
    (sample("--repetition-penalty", "0"), {}),
    (sample("--beam", "1", "--count", "2"), {}),
    (sample("--stop", ""), {"TEXT": "x"}),
    (sample("--beam", "2", "--stop", "x"), {}),
    (sample("--save-state", "nowhere/state"), {"FILE": "state"}),
    (sample("--count", "2", "--save-state", "state"), {}),
    (sample("--device", "foo"), {}),
    (sample("--regex", "(a"), {"PATTERN": "[act]+"}),
    (sample("--regex", "[acot]{9}"), {}),
    (sample("--bias", "a"), {"TEXT": "a"}),
    (sample("--diverse-groups", "2"), {}),
    (sample("--beam", "3", "--diverse-groups", "2"), {}),
    (sample("--choice", ""), {"TEXT": "the", "OTHER": "cat"}),
    (["sample", "./rum"], {}),
    (["sample", "labels"], {"labels": "labels 'a fine day'"}),
    (["predict", "run", "text"], {}),
    (["predict", "labels", "--file", "table.csv", "--column", "text=txt"], {"COLUMN": "text"}),
    (["eval", "run", "--split", "vald"], {}),
    (["look", "run", "--what", "gradients"], {}),
    (["recipes", "--write", "my.toml"], {}),
    (["recipes", "char-lm", "--write", "my"], {}),
    (["recipes", "--by", "name"], {}),
    (["runs", ".", "--remove", "labels"], {}),
    (["runs", ".", "--curves", "curves.jpg"], {}),
    (["frobnicate"], {}),
]  # fmt: skip


def followed(words, error, hint):
    """The command after its hint was followed."""
    if meant := re.match(r"did you mean (?:a |the )?([^?]+)\?|choose one of ('[^']*'|[^ ,]+)", hint):
        right = shlex.split(meant[1] or meant[2])[0]
        if "=" in right:
            return changed(words, right)
        wrong = re.findall(r"'([^']*)'", error)
        old = wrong[-1] if wrong else next(word for word in words if Path(word).name in error.split())
        place = [word for word in words if old in word][-1]
        if "--plugin" in hint and "plugged" in hint:
            return [*words, *shlex.split(re.search(r"--plugin [^)]*", hint)[0])]
        return [word.replace(old, right) if word is place else word for word in words]
    if command := re.search(r"`unspool ([^`]*)`|^unspool ([^;`]*)", hint):
        return shlex.split(command[1] or command[2])
    if "--yes" in hint:
        return [*words, "--yes"]
    if option := re.search(r"--[a-z][a-z-]+ [^\s,;:]+", hint):
        words = without(words, error.split()[1]) if hint.startswith("leave it out,") else words
        return with_option(words, *option[0].split())
    if gone := re.search(r"leave (?:out )?(--[a-z-]+|\[\w+\])", hint):
        return without(words, gone[1])
    if named := re.search(r"set ([a-z_.]+) to (?:one of )?(\w[\w-]*)", hint):
        return changed(words, f"{named[1]}={named[2]}")
    for setting in re.findall(r"(?:[a-z_]+\.[a-z_.]+|seed)=[^\s,;)]*", hint)[:1]:
        words = changed(words, setting)
    return words


def changed(words, setting):
    """The words with a setting, which takes the place of itself and of what is in it."""
    key = setting.partition("=")[0]
    names = [(word, word.partition("=")[0]) for word in words]
    alike = [
        name
        for _, name in names
        if f"{name}.".startswith(f"{key}.") or (f"{key}.".startswith(f"{name}.") and name != "train")
    ]
    return [*(word for word, name in names if name not in alike), setting]


def with_option(words, name, value):
    if name in words:
        at = words.index(name)
        return [*words[: at + 1], value, *words[at + 2 :]]
    return [*words, name, value]


def without(words, name):
    if name in words:
        at = words.index(name)
        return [*words[:at], *words[at + 2 :]]
    return [word for word in words if not word.startswith(name.strip("[]"))]


@pytest.fixture
def untrained(monkeypatch):
    """A training that begins as ever, and ends there."""
    monkeypatch.setattr("unspool.cli.train.follow", lambda experiment, as_json: {})


def refused(capsys, words):
    assert run(*words) == 2
    error, hint = capsys.readouterr().err.splitlines()[-2:]
    assert error.startswith("error: ") and hint.startswith("hint: "), hint
    return error, hint.removeprefix("hint: ")


@pytest.mark.parametrize(
    ("words", "fill"), FOLLOWED, ids=[" ".join(w for w in words if w not in TINY) for words, _ in FOLLOWED]
)
def test_a_hint_that_is_followed_helps(words, fill, place, capsys, untrained):
    error, hint = refused(capsys, words)
    for name, value in fill.items():
        assert name in hint, f"{hint!r} proposes no {name}"
        hint = re.sub(rf"\b{name}\b", value, hint)
    better = followed(words, error, hint)
    assert better != words, f"{hint!r} proposes nothing that can be typed"
    code = run(*better)
    assert code == 0, f"{error}\nhint: {hint}\n{shlex.join(better)}\n{capsys.readouterr().err}"


def test_many_hints_are_followed():
    assert len(FOLLOWED) >= 60 and len({" ".join(words) for words, _ in FOLLOWED}) == len(FOLLOWED)


def test_a_split_that_is_not_there_comes_with_the_training_that_is_proposed(place, capsys):
    _, hint = refused(capsys, ["eval", "run", "--split", "test"])
    setting = re.search(r"train with (\S+)", hint)[1]
    assert run("train", "char-lm", *TINY, setting, "--run", "tested") == 0
    assert run("eval", "tested", "--split", "test") == 0
