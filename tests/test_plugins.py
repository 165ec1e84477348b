"""A task with a new kind of use, a reader and a verb are one file each, outside of the package."""

import csv
import sys
from pathlib import Path

import pytest

from helpers.commands import run
from unspool.checks.cases import cell_kind
from unspool.cli.shared import app
from unspool.nn.cell import cells

PLUGGED = Path(__file__).parent / "plugged"
RECIPE = """
[data]
path = "lines.arrows"
[task]
kind = "pick-word"
batch_size = 16
[core]
kind = "recurrent"
cell = "gru"
width = 16
bidirectional = true
[train]
steps = 150
learning_rate = 0.02
precision = "float32"
threads = 1
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of the task, its data read by the reader."""
    folder = tmp_path_factory.mktemp("plugged")
    names = ["bob", "eve", "ann"]
    lines = [f"{names[n % 3]} => {'so ' * (n % 4)}then {names[n % 3]} went{' off' * (n % 3)}" for n in range(120)]
    (folder / "lines.arrows").write_text("\n".join(lines))
    (folder / "pick.toml").write_text(RECIPE)
    plugins = ["--plugin", PLUGGED / "pick_word.py", "--plugin", PLUGGED / "words_reader.py"]
    recipe = (folder / "pick.toml").read_text().replace("lines.arrows", str(folder / "lines.arrows"))
    (folder / "pick.toml").write_text(recipe)
    assert run("train", folder / "pick.toml", *plugins, "--run", folder / "run") == 0
    return folder


def test_a_task_a_reader_and_a_pipeline_from_one_file_each(place, capsys):
    Path("new.csv").write_text("id,text\n1,so so then eve went\n2,\n3,then bob went off\n")
    plugin = ["--plugin", PLUGGED / "pick_word.py"]
    assert run("predict", "run", "--file", "new.csv", "--out", "out.csv", *plugin) == 0
    with Path("out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["word"] for row in rows] == ["eve", "", "bob"] and "1 of 3 rows" in capsys.readouterr().err
    assert rows[1]["error"] and list(rows[0]) == ["id", "text", "word", "score", "error"]


def test_a_verb_from_a_file(place, capsys, monkeypatch):
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))  # it goes when the test does
    plugins = ("--plugin", PLUGGED / "pick_word.py", "--plugin", PLUGGED / "count_verb.py")
    assert run("parameters", "run", *plugins) == 0
    assert int(capsys.readouterr().out) > 1000


def test_a_cell_can_be_named_by_its_file_again_and_beside_its_plug_in(capsys, monkeypatch):
    cells.kinds()
    monkeypatch.setattr(cells, "_known", dict(cells._known))
    monkeypatch.delitem(sys.modules, "unspool_plugin_my_cell", raising=False)
    file = PLUGGED / "my_cell.py"
    assert [cell_kind(f"{file}:MinimalGated") for _ in range(2)] == ["mgu", "mgu"]
    assert run("selftest", "--cell", f"{file}:MinimalGated", "--plugin", file) == 0
    assert run("selftest", "--cell", f"{file}:Nothing") == 2 and "no Cell named 'Nothing'" in capsys.readouterr().err
