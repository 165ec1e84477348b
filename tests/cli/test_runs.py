"""`unspool runs`: a table of what was trained, and the removal of a run."""

import json

import pytest

from helpers.commands import TEXT, TINY, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    (place / "text.txt").write_text(TEXT)
    for name, steps in (("first", 2), ("second", 3)):
        settings = [*TINY, f"data.path={place / 'text.txt'}", f"train.steps={steps}"]
        assert run("train", "char-lm", *settings, "--run", place / "runs" / name) == 0
    (place / "runs/other").mkdir()
    return place / "runs"


def test_runs_are_listed_the_newest_first(folder, capsys):
    capsys.readouterr()
    assert run("runs", folder) == 0
    header, newest, oldest = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "task", "core", "steps", "best", "loss", "saved", "size"]
    assert newest.split()[:4] == [str(folder / "second"), "language", "recurrent", "lstm"]
    assert oldest.startswith(str(folder / "first"))
    assert run("runs", folder, "--json") == 0
    second, first = json.loads(capsys.readouterr().out)
    assert (first["steps"], second["steps"]) == (2, 3)
    results = json.loads((folder / "second/results.json").read_text())
    assert second["best"] == pytest.approx(results["valid/contiguous/loss"], rel=1e-4)
    assert second["bytes"] == sum(file.stat().st_size for file in (folder / "second").rglob("*") if file.is_file())


def test_a_damaged_run_is_a_line_and_the_others_are_listed(folder, capsys, tmp_path):
    recipe = folder / "first/recipe.toml"
    text = recipe.read_text()
    try:
        recipe.write_text("no recipe")
        assert run("runs", folder) == 0
        out, err = capsys.readouterr()
        assert "cannot be read" in out and "second" in out and "first" in err
    finally:
        recipe.write_text(text)
    assert run("runs", tmp_path / "nowhere") == 2
    assert "there is no folder" in capsys.readouterr().err


def test_only_a_run_is_removed_and_only_when_nobody_writes(folder, capsys):
    from unspool.runs.lock import Lock

    assert run("runs", "--remove", folder / "other", "--yes") == 2
    assert (folder / "other").is_dir()
    assert run("runs", "--remove", folder / "first") == 2
    assert "--yes" in capsys.readouterr().err
    with Lock(folder / "first"):
        assert run("runs", "--remove", folder / "first", "--yes") == 2
    assert (folder / "first/recipe.toml").exists()
    assert run("runs", "--remove", folder / "first", "--yes") == 0
    assert not (folder / "first").exists() and (folder / "second").is_dir()
    assert f"deleted {folder / 'first'}" in capsys.readouterr().err
