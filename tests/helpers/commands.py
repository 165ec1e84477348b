"""Commands as a user types them, run in this process, and the smallest training that one can do."""

import pytest

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


def run(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    return end.value.code
