"""The compiled loop is made ready by one process, and nobody waits for it who did not ask."""

import os
import time

import pytest

from helpers.compiled import COMPILED, LETTERS, NOT_COMPILED, model_of
from helpers.models import small
from unspool.errors import ConfigError
from unspool.generate.compiled import ready
from unspool.generate.compiled.ready import CompiledModel


@pytest.fixture
def uncompiled(monkeypatch, tmp_path):
    """As on a machine where the kernel was never compiled; what would be started is listed."""
    started = []

    class Process:
        def __init__(self, command, **options):
            started.append((command, options))

        def wait(self):
            return 0

    monkeypatch.setattr(ready, "marker", lambda: tmp_path / "unspool-kernel-0")
    monkeypatch.setattr(ready.subprocess, "Popen", Process)
    return started


def test_one_process_compiles_and_a_stale_note_of_one_is_forgotten(uncompiled, tmp_path):
    model = model_of(COMPILED["elman"])
    for _ in range(3):
        compiled = CompiledModel(model)
        assert compiled.runner() is None
        compiled._thread.join()
        assert compiled.runner() is None
    assert len(uncompiled) == 1 and uncompiled[0][1]["start_new_session"]
    note = tmp_path / "unspool-kernel-0.compiling"
    os.utime(note, (time.time() - 2 * ready.PATIENCE,) * 2)
    again = CompiledModel(model)
    again.runner()
    again._thread.join()
    assert len(uncompiled) == 2


def test_who_waits_compiles_here_and_leaves_the_marker(uncompiled, tmp_path):
    runner = CompiledModel(model_of(COMPILED["elman"]), "int8").needed()
    assert runner.threads == 1 and (tmp_path / "unspool-kernel-0").exists() and not uncompiled


def test_what_cannot_be_compiled_says_so(uncompiled):
    with pytest.raises(ConfigError, match="bfloat16 needs a compiled model") as caught:
        CompiledModel(small(**NOT_COMPILED["ssd"], inputs=LETTERS), "bfloat16").needed()
    assert "--precision" in caught.value.hint


def test_the_fastest_number_of_threads_is_measured(monkeypatch):
    program = ready.lower(model_of(COMPILED["elman"]))
    monkeypatch.setattr(ready, "SMALL", 0)
    monkeypatch.setattr(ready.os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    for fast in (1, 4):
        monkeypatch.setattr(ready, "seconds_per_token", lambda runner, fast=fast: abs(runner.threads - fast))
        assert ready.fastest(program) == fast
