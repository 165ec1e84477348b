"""What all tests share."""

import shutil
from types import SimpleNamespace

import pytest
import torch

from unspool import cli

# The smallest training that a command can do, and its text.
TINY = [
    "core.width=8",
    "train.steps=2",
    "data.path=good.txt",
    "task.batch_size=2",
    "task.length=8",
    "train.precision=float32",
    "train.threads=1",
    "evaluate.times=1",
    "sample.times=0",
]
TEXT = "the cat sat on the mat.\n" * 100

torch.set_num_threads(1)  # the models here are tiny, and the machine may be shared: threads would wait for each other


def trained(**able):
    """Somebody who can do that much of what a task may ask of a trained model, and has no source to look at."""

    def cannot(*_, **__):
        raise AssertionError("nobody should ask for this")

    can = dict.fromkeys(("write", "roll", "score", "compose"), cannot) | {"looks": lambda batch: []}
    return SimpleNamespace(**can | able)


def run(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A folder of the test's own, with what the module's `trained` folder holds to play with."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def one_thread_and_one_seed():
    """Every test begins with the same random numbers, whatever ran before it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
