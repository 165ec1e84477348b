"""A run finds its data from any directory, and after it was moved with it, alone, or away from it."""

import shutil
from pathlib import Path

import pytest

from helpers.commands import TEXT, TINY, run
from unspool.files import read_text
from unspool.recipe import load_recipe

TABLE = "text,label\n" + "a fine day,good\na dull day,bad\n" * 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project: data in one folder, runs in another."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    (folder / "data/good.txt").write_text(TEXT)
    (folder / "data/table.csv").write_text(TABLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("train", "char-lm", *TINY, "data.path=data/good.txt", "--run", "runs/a") == 0
        whole = f"data.path={folder}/data/table.csv"
        classify = [word for word in TINY if "length" not in word and "data.path" not in word]
        assert run("train", "classify", *classify, "train.epochs=0", whole, "--run", "runs/b") == 0
    return folder


def works(folder):
    """Whether it is evaluated, looked into and resumed."""
    budget = len(list((folder / "checkpoints").iterdir())) + 2
    return [run("eval", folder), run("resume", folder, f"train.steps={budget}")]


@pytest.fixture(params=["a", "b"])
def name(request):
    return request.param


def test_the_recipe_names_no_folder_of_this_machine(place, name):
    text = read_text(Path(f"runs/{name}/recipe.toml"))
    assert str(place) not in text and "/project" not in text
    assert load_recipe(f"runs/{name}/recipe.toml")["data"]["path"] in ("data/good.txt", "data/table.csv")


def test_from_another_directory(place, name, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert works(place / f"runs/{name}") == [0, 0]


@pytest.fixture
def gone(trained):
    """Nothing is left where the runs were trained."""
    away = trained.rename(trained.with_name("away"))
    yield
    away.rename(trained)


def test_after_the_project_was_moved(place, name, gone, monkeypatch):
    monkeypatch.chdir(place.parent)
    assert works(place / f"runs/{name}") == [0, 0]


def test_after_the_run_alone_was_moved(place, name, tmp_path_factory, monkeypatch):
    there = tmp_path_factory.mktemp("elsewhere") / "mine"
    shutil.move(f"runs/{name}", there)
    monkeypatch.chdir(there.parent)
    assert works(there) == [0, 0]


def test_other_data_of_that_name_is_passed_by(place, monkeypatch):
    (place / "data/good.txt").write_text("another text " * 100)  # beside the moved run; the right one is where it was
    monkeypatch.chdir(place.parent)
    assert works(place / "runs/a") == [0, 0]


def test_data_that_moved_away_is_named_once_and_found_by_every_verb_from_then_on(place, gone, monkeypatch, capsys):
    Path("data/good.txt").rename("renamed.txt")
    for verb in ("eval", "resume"):
        assert run(verb, "runs/a") == 2
        error = capsys.readouterr().err
        assert "there is no file 'data/good.txt' any more" in error
        assert f"`unspool resume {place}/runs/a data.path=FILE` says where it is now" in error
    assert run("resume", "runs/a", "data.path=renamed.txt") == 0
    monkeypatch.chdir(place / "runs")
    assert run("eval", "a") == 0
    assert run("look", "a", "--what", "surprisal", "--out", place / "seen") == 0
    assert run("resume", "a", "train.steps=3") == 0


def test_a_text_that_was_piped_in_moves_with_its_run(place, monkeypatch, tmp_path_factory):
    class Pipe:
        class buffer:
            read = staticmethod(lambda: TEXT.encode())

    monkeypatch.setattr("sys.stdin", Pipe)
    assert run("train", "char-lm", *TINY, "data.path=-", "--run", "runs/piped") == 0
    there = tmp_path_factory.mktemp("elsewhere") / "other-name"
    shutil.move("runs/piped", there)
    monkeypatch.chdir(there.parent)
    assert works(there) == [0, 0]
