"""Everything a nasty user types: one sentence, one remedy, exit 2, nothing on stdout, nothing half-written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.commands import TEXT, TINY
from unspool import cli

STEP = "checkpoints/step-00000002"
FILES = {
    "empty.txt": b"",
    "one.txt": b"a",
    "binary.txt": bytes(range(256)) * 40,
    "latin.txt": b"caf\xe9 " * 100,
    "other.txt": b"another text altogether. " * 100,
    "broken.toml": b"seed = \n",
    "binary.toml": b"\xff\xfe\x00",
    "empty.toml": b"",
    "syntax.py": b"def x(:\n",
    "raises.py": b"raise ValueError('no\\nsecond line')\n",
    "exits.py": b"import sys; sys.exit(3)\n",
    "taken.py": b"from unspool.nn.cell import Cell, cells\n@cells.register('lstm')\nclass X(Cell): pass\n",
    "notes.txt": b"x = 1",
    "tune.mid": b"MThd",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with bad files in it and one small trained run."""
    folder = tmp_path_factory.mktemp("bad")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "good.txt").write_text(TEXT)
    for name in ("folder", "folder.toml", "holds"):
        (folder / name).mkdir()
    (folder / "holds/thesis.txt").write_text("years of work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            cli.main(["train", "char-lm", *TINY, "--run", "run"])
    assert end.value.code == 0
    return folder


def train(*words, recipe="char-lm"):
    return ["train", recipe, "--run", "new", *TINY, *words]


def sample(*words):
    return ["sample", "run", "--length", "3", *words]


BAD = [  # id, arguments, a part of the error, a part of the hint
    ("core that sees the future", train("core.bidirectional=true"), "reads both ways", "core.bidirectional=false"),
    ("data missing", train("data.path=nope.txt"), "no file 'nope.txt'", "looked up from"),
    ("data pattern", train("data.path=no*.md"), "no file matches no*.md", "looked up from"),
    ("data empty", train("data.path=empty.txt"), "empty.txt", "data.path"),
    ("data one letter", train("data.path=one.txt"), "too short to split", "more text"),
    ("data binary", train("data.path=binary.txt"), "binary.txt is not text", "data.encoding"),
    ("data folder", train("data.path=folder"), "no .txt file in the folder", "*.md"),
    ("data device", train("data.path=/dev/null"), "not a regular file", "data.path=-"),
    ("data encoding", train("data.path=latin.txt", "data.encoding=utf-8"), "byte 3", "data.encoding=auto"),
    ("data no such encoding", train("data.encoding=klingon"), "'klingon'", "utf-8"),
    ("data zero in path", train("data.path=a\0b"), "no file", "looked up from"),
    ("data number", train("data.path=5"), "data.path should be a valid string, received 5", "data.path=VALUE"),
    ("data corpus", train("data.path=", "data.corpus=python-doc"), "unknown corpus", "'python-docs'"),
    ("data two", train("data.train_path=good.txt"), "one text is wanted", "data.train_path="),
    ("data shares", train("data.valid=0.6", "data.test=0.5"), "leave nothing", "data.valid"),
    ("data share NaN", train("data.valid=nan"), "data.valid", "data.valid=VALUE"),
    ("data limit", train("data.limit=-1"), "data.limit should be greater", "data.limit="),
    ("data piped twice", train("data.valid_path=-"), "standard input", "data.valid_path=FILE"),
    ("text too short", train("task.batch_size=100000"), "too short for 100000 rows", "task.batch_size"),
    ("window too long", train("task.batching=windows", "task.length=100000"), "too short", "task.length"),
    ("steps negative", train("train.steps=-1"), "train.steps should be greater", "train.steps=VALUE"),
    ("steps word", train("train.steps=x"), "received 'x'", "train.steps=VALUE"),
    ("steps half", train("train.steps=1.5"), "received 1.5", "train.steps=VALUE"),
    ("steps true", train("train.steps=true"), "received True", "train.steps=VALUE"),
    ("steps endless", train("train.steps=1" + 40 * "0"), "'train.steps': a number has 40 digits", ""),
    ("epochs negative", train("train.epochs=-1"), "train.epochs", "train.epochs=VALUE"),
    ("epochs infinite", train("train.epochs=inf"), "should be a finite number", "train.epochs=VALUE"),
    ("no budget", train("train.steps=0", "train.minutes=0"), "needs a budget", "train.minutes"),
    ("rate NaN", train("train.learning_rate=nan"), "train.learning_rate", "train.learning_rate=VALUE"),
    ("rate infinite", train("train.learning_rate=inf"), "finite", "train.learning_rate=VALUE"),
    ("rate zero", train("train.learning_rate=0"), "greater than 0", "train.learning_rate=VALUE"),
    ("schedule", train("train.schedule=cosin"), "received 'cosin'", "did you mean train.schedule=cosine?"),
    ("optimizer", train("train.optimizer=adamwx"), "received 'adamwx'", "train.optimizer=adamw"),
    ("precision", train("train.precision=float16"), "train.precision", "did you mean"),
    ("threads", train("train.threads=100000"), "train.threads should be less", "train.threads=VALUE"),
    ("train device", train("train.device=cuda:77"), "no device 'cuda:77'", "doctor"),
    ("train option", train("train.stepz=3"), "'train.stepz'", "did you mean 'train.steps'?"),
    ("width zero", train("core.width=0"), "core.width should be greater", "core.width=VALUE"),
    ("width huge", train("core.width=999999999999"), "this model has 9.2e+18 weights", "core.width"),
    ("core option", train("core.widht=8"), "'core.widht'", "did you mean 'core.width'?"),
    ("core kind", train("core.kind=recurent"), "unknown core 'recurent'", "'recurrent'"),
    ("core kind number", train("core.kind=5"), "unknown core '5'", "choose"),
    ("cell", train("core.cell=lstn"), "unknown cell 'lstn'", "'lstm'"),
    ("cell option", train("core.cell.forget_bia=1"), "core.cell.forget_bia", "core.cell.forget_bias"),
    ("cell value", train("core.cell.forget_bias=nan"), "core.cell.forget_bias", "core.cell.forget_bias=VALUE"),
    ("value as section", train("core.width.y=3"), "width is a value", "core.width=VALUE"),
    ("section as value", train("core=5"), "core should be a section", "core.KEY=VALUE"),
    ("no such section", train("cor.width=3"), "unknown section 'cor'", "'core'"),
    ("no equals", train("train.steps"), "cannot read the override", "section.key=value"),
    ("empty key", train("core..width=3"), "cannot read the override", "section.key=value"),
    ("seed negative", train("seed=-1"), "seed should be a whole number", "seed=0"),
    ("seed huge", train("seed=99999999999999999999"), "'seed': a number has 20 digits", ""),
    ("plugin setting", train("plugin=5"), "plugin should be a list", "--plugin"),
    ("save", train("save.every=x"), "save.every", "save.every=VALUE"),
    ("minutes zero", train("--minutes", "0"), "--minutes should be above zero", "--minutes 3"),
    ("minutes NaN", train("--minutes", "nan"), "received nan", "--minutes 3"),
    ("minutes word", train("--minutes", "x"), "--minutes", "--help"),
    ("recipe", train(recipe="char-lmm"), "unknown recipe 'char-lmm'", "'char-lm'"),
    ("recipe missing", train(recipe="nope.toml"), "no recipe file nope.toml", "unspool recipes"),
    ("recipe broken", train(recipe="broken.toml"), "not valid TOML", "quotes"),
    ("recipe binary", train(recipe="binary.toml"), "cannot read the recipe", "UTF-8"),
    ("recipe folder", train(recipe="folder.toml"), "directory", "TOML file"),
    ("recipe zero", train(recipe="a\0b.toml"), "cannot read the recipe", "TOML file"),
    ("plug-in missing", train("--plugin", "nope.py"), "no plug-in file nope.py", "--plugin"),
    ("plug-in syntax", train("--plugin", "syntax.py"), "SyntaxError", "--debug"),
    ("plug-in raises", train("--plugin", "raises.py"), "ValueError: no second line", "--debug"),
    ("plug-in exits", train("--plugin", "exits.py"), "SystemExit", "--debug"),
    ("plug-in name taken", train("--plugin", "taken.py"), "already defined", "another name"),
    ("plug-in no python", train("--plugin", "notes.txt"), "not a Python file", ".py"),
    ("run there", ["train", "char-lm", *TINY, "--run", "run"], "already holds a run", "unspool resume run"),
    ("run not empty", ["train", "char-lm", *TINY, "--run", "holds"], "other files", "another --run"),
    ("run a file", ["train", "char-lm", *TINY, "--run", "notes.txt"], "is a file", "another --run"),
    ("run below a file", ["train", "char-lm", *TINY, "--run", "notes.txt/x"], "notes.txt/x", "another --run"),
    ("verb", ["trian"], "No such command 'trian'", "--help"),
    ("option", train("--nope"), "No such option", "--help"),
    ("no recipe", ["train"], "'RECIPE'", "--help"),
    ("text unknown", ["look", "run", "--text", "the cüt"], "does not know 'ü'", "leave them out: a model knows"),
    ("suggest unknown", ["suggest", "run", "çø "], "does not know 'ç', 'ø'", "leave them out: a model knows"),
    ("prompt of music", sample("--prompt", "tune.mid"), "tune.mid is a file of music", "`unspool train music`"),
    ("prompt unknown", sample("--prompt", "ß"), "does not know 'ß'", "leave them out"),
    ("temperature negative", sample("--temperature", "-1"), "temperature should be zero", "--temperature 0.8"),
    ("temperature NaN", sample("--temperature", "nan"), "received nan", "--temperature 0.8"),
    ("temperature infinite", sample("--temperature", "inf"), "received inf", "--temperature 0.8"),
    ("top-k", sample("--top-k", "-1"), "top-k", "--top-k 40"),
    ("top-p zero", sample("--top-p", "0"), "top-p", "--top-p 0.9"),
    ("top-p two", sample("--top-p", "2"), "top-p", "--top-p 0.9"),
    ("min-p", sample("--min-p", "1"), "min-p", "--min-p 0.05"),
    ("count", sample("--count", "0"), "--count", "--help"),
    ("count huge", sample("--count", "99999999999999"), "less than or equal to 100000", "--help"),
    ("length", ["sample", "run", "--length", "0"], "--length", "--help"),
    ("seed of sampling", sample("--seed", "-1"), "--seed", "--help"),
    ("huge seed of sampling", sample("--seed", "1" + 30 * "0"), "--seed", "--help"),
    ("sample device", sample("--device", "foo"), "no device 'foo'", "doctor"),
    ("eval device", ["eval", "run", "--device", "foo"], "no device 'foo'", "doctor"),
    ("selftest device", ["selftest", "--device", "foo"], "no device 'foo'", "doctor"),
    ("split", ["eval", "run", "--split", "vald"], "received 'vald'", "--split valid"),
    ("split absent", ["eval", "run", "--split", "test"], "has no test split", "data.test"),
    ("no run", ["sample", "nope"], "nope does not exist", "--run"),
    ("run misspelt", ["sample", "./rum"], "rum does not exist", "did you mean run?"),
    ("no latest run", ["sample", "latest"], "there is no run in", "unspool train RECIPE"),
    ("no run argument", ["predict"], "Missing argument", "`unspool predict --help`"),
    ("no verb", ["frobnicate"], "frobnicate", "`unspool --help`"),
    ("setting as option", train("--steps", "3"), "--steps", "train.steps=100"),
    ("setting without its section", train("width=3"), "unknown section 'width'", "did you mean core.width?"),
    ("setting of no section", train("qqq=3"), "unknown section 'qqq'", "train.steps=100"),
    ("recipe unknown", ["train", "qqq"], "unknown recipe", "`unspool recipes`"),
    ("cell of a plug-in", train("core.cell=mgu"), "unknown cell 'mgu'", "--plugin FILE"),
    ("task of a plug-in", train("task.kind=mine"), "unknown task 'mine'", "--plugin FILE"),
    ("run is a file", ["eval", "notes.txt"], "is a file, not a run folder", "unspool train"),
    ("run without checkpoint", ["resume", "folder"], "no finished checkpoint", "--run"),
    ("resume other width", ["resume", "run", "core.width=16"], "cannot change core.width", "train anew"),
    ("resume other batches", ["resume", "run", "task.batch_size=3"], "cannot change task.batch_size", "train anew"),
    ("resume other tokenizer", ["resume", "run", "tokenizer.kind=byte"], "cannot change tokenizer.kind", "train anew"),
    ("resume other data", ["resume", "run", "data.path=other.txt"], "not what", "restore the data"),
    ("resume steps", ["resume", "run", "train.steps=-1"], "train.steps", "train.steps=VALUE"),
    ("cell unknown", ["selftest", "--cell", "lstn"], "unknown cell", "'lstm'"),
    ("cell file missing", ["selftest", "--cell", "nope.py:X"], "no plug-in file", "Python file"),
    ("cell file broken", ["selftest", "--cell", "syntax.py:X"], "SyntaxError", "--debug"),
    ("core unknown", ["selftest", "--core", "nope"], "unknown core", "choose"),
    ("no claim", ["verify", "empty.toml", *TINY], "claims nothing", "[expect]"),
    ("claim unreadable", ["verify", "char-lm", *TINY, "expect.a/b=5"], "expect.a/b = 5", "<= 1.5"),
    ("claim seeds", ["verify", "char-lm", *TINY, "expect.seeds=x"], "expect.seeds", "seeds = 3"),
]  # fmt: skip


def refuse(arguments, capsys):
    """Run the command; its error and its hint, when it was refused as it should be."""
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert end.value.code == 2 and out == "" and "Traceback" not in err
    assert [line.split(": ")[0] for line in lines] == ["error", "hint"], err
    return lines


@pytest.mark.parametrize(("arguments", "error", "hint"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_gets_one_sentence_and_one_remedy(arguments, error, hint, trained, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    before = contents(trained)
    lines = refuse(arguments, capsys)
    assert error in lines[0]
    assert hint in lines[1]
    assert contents(trained) == before, "something was written or lost"


def contents(folder):
    return {path: path.stat().st_size for path in folder.rglob("*") if "__pycache__" not in path.parts}


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def edit(path):
    path.write_text(path.read_text().replace("8", "9"))


DAMAGE = [  # file, what is done to it, a part of the error
    (f"{STEP}/model.safetensors", cut, "model.safetensors was truncated or edited"),
    (f"{STEP}/model.safetensors", Path.unlink, "model.safetensors is missing"),
    (f"{STEP}/trainer.json", edit, "trainer.json was truncated or edited"),
    (f"{STEP}/manifest.json", Path.unlink, "manifest.json is missing"),
    (f"{STEP}/manifest.json", lambda path: path.write_text("not JSON"), "it is not valid JSON"),
    (f"{STEP}/manifest.json", lambda path: path.write_text("[" * 100_000), "it is not valid JSON"),
    (f"{STEP}/manifest.json", lambda path: path.write_text('{"sha256": {}}'), "does not name every file"),
    ("recipe.toml", edit, "recipe.toml was truncated or edited"),
    ("tokenizer.json", cut, "tokenizer.json was truncated or edited"),
    ("about.json", Path.unlink, "about.json is missing"),
]


@pytest.mark.parametrize(("name", "damage", "error"), DAMAGE)
@pytest.mark.parametrize("verb", ["sample", "resume"])
def test_a_damaged_run_is_refused(verb, name, damage, error, trained, tmp_path, capsys):
    shutil.copytree(trained / "run", tmp_path / "run")
    damage(tmp_path / "run" / name)
    lines = refuse([verb, str(tmp_path / "run")], capsys)
    assert error in lines[0]
    assert "copy" in lines[1]


def test_the_last_whole_state_is_named(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(trained)
    shutil.copytree("run", tmp_path / "run")
    with pytest.raises(SystemExit):
        cli.main(["resume", str(tmp_path / "run"), "train.steps=4"])
    capsys.readouterr()
    cut(tmp_path / "run/checkpoints/step-00000004/model.safetensors")
    assert "step-00000002" in refuse(["sample", str(tmp_path / "run")], capsys)[1]


def test_data_that_changed_is_refused(trained, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text(TEXT)
    run = str(tmp_path / "run")
    with pytest.raises(SystemExit):
        cli.main(["train", "char-lm", *TINY, f"data.path={tmp_path}/mine.txt", "--run", run])
    capsys.readouterr()
    (tmp_path / "mine.txt").write_text(TEXT + "x")
    assert "is not what" in refuse(["resume", run], capsys)[0]
    assert "is not what" in refuse(["eval", run], capsys)[0]
    (tmp_path / "mine.txt").unlink()
    assert "no file" in refuse(["resume", run], capsys)[0]


def test_a_run_says_which_plug_in_it_needs(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(trained)
    plugin = Path(__file__).parents[1] / "plugged/my_cell.py"
    assert command("train", "char-lm", *TINY, "core.cell=mgu", "--plugin", plugin, "--run", tmp_path).returncode == 0
    for verb in ("sample", "resume"):
        made = command(verb, tmp_path)
        assert made.returncode == 2 and made.stdout == ""
        assert "error: " in made.stderr and "unknown cell 'mgu'" in made.stderr
        assert f"--plugin {plugin}" in made.stderr


def test_a_loss_that_explodes_is_told(trained, monkeypatch, capsys, tmp_path):
    from unspool.models.sequence import SequenceModel

    loss = SequenceModel.loss
    monkeypatch.setattr(SequenceModel, "loss", lambda *a, **k: (loss(*a, **k)[0] * float("nan"), ()))
    monkeypatch.chdir(trained)
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "char-lm", *TINY, "--run", str(tmp_path / "run")])
    err = capsys.readouterr().err
    assert end.value.code == 2
    assert "error: the loss is nan" in err and "hint: train with a lower train.learning_rate" in err


def command(*words):
    """The installed command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "unspool", *map(str, words)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("words", [train("core.cell=lstn"), ["sample", "nope"], ["train", "--nope"]])
def test_bad_input_in_a_process_of_its_own(words, trained, monkeypatch):
    monkeypatch.chdir(trained)
    made = command(*words)
    assert made.returncode == 2 and made.stdout == ""
    assert [line.split(": ")[0] for line in made.stderr.splitlines()] == ["error", "hint"]


def test_debug_shows_where(trained, monkeypatch):
    monkeypatch.chdir(trained)
    made = command("--debug", "sample", "nope")
    assert made.returncode == 1 and "Traceback" in made.stderr and "CheckpointError" in made.stderr


def test_the_table_is_long_and_its_names_are_its_own():
    names = [case[0] for case in BAD]
    assert len(names) >= 55 and len(set(names)) == len(names)
    assert json.dumps(BAD)
