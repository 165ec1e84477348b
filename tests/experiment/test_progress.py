"""What a training says at its end can be typed as it stands."""

import io
import re
import shlex
import sys

import pytest

from helpers.commands import run

SMALL = ["train.steps=1", "train.threads=1", "evaluate.times=1", "core.width=8"]
TASKS = {
    "pass": (["data.students=40"], "predict run --file TABLE.csv"),
    "execute": (["task.batch_size=4", "task.epoch=1", "task.max_new_tokens=2"], "predict run 'print((12+30))'"),
    "captions": (
        ["data.scenes=40", "encoder.width=8", "core.input_width=8", "task.max_new_tokens=2"],
        "predict run FILE.png",
    ),
    "forecast": ([], "predict run"),
    "reverse": (["task.batch_size=4", "task.epoch=1", "encoder.width=8"], "predict run '1 2 3'"),
    "parity": (["task.epoch=1"], ""),
}


@pytest.mark.parametrize("recipe", TASKS)
def test_the_next_command_is_complete(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    settings, wanted = TASKS[recipe]
    assert run("train", recipe, *SMALL, *settings, "--run", "run") == 0
    printed = capsys.readouterr()
    following = re.findall(r"^  unspool (.*)$", (printed.out + printed.err).partition("next:")[2], re.MULTILINE)
    assert following == [*([wanted] if wanted else []), "eval run"]
    if wanted and "TABLE" not in wanted and "FILE" not in wanted:
        assert run(*shlex.split(wanted)) == 0
