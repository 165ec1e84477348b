"""Makes a model's compiled loop ready, beside everything else, so that nobody waits for a compiler."""

import os
import subprocess
import sys
import threading
import time

import numpy as np

from unspool.errors import ConfigError
from unspool.generate.compiled.cache import marker
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.program import Precision, Program
from unspool.generate.compiled.runner import Runner, draw_nothing
from unspool.models.sequence import SequenceModel

PATIENCE = 600.0
"""A process that compiles is given so many seconds before another one begins."""
TRIAL = 0.02
"""Seconds of trial tokens for each number of threads."""
TOGETHER = 8
"""So many trial tokens are read at once."""
SMALL = 2 * 2**20
"""A program of fewer bytes is run on one thread."""


class CompiledModel:
    """The compiled loop of a model: made ready in the background, or at once where somebody waits.

    Args:
        model: on the CPU.
        precision: of its matrices.
        threads: 0: as many as are fastest.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=8, cell="ssd")
    >>> CompiledModel(SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8))).runner() is None
    True
    """

    def __init__(self, model: SequenceModel, precision: Precision = "float32", threads: int = 0) -> None:
        self.model, self.precision, self.threads = model, precision, threads
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def runner(self, wait: bool = False) -> Runner | None:
        """What runs the model; None while it is not ready, and for ever where the model cannot be compiled.

        Args:
            wait: whether to wait until it is ready.
        """
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._prepare, args=(wait,), daemon=True)
                self._thread.start()
        if wait:
            self._thread.join()
        return self._runner

    def needed(self) -> Runner:
        """What runs the model, waited for.

        Raises:
            ConfigError: the model cannot be compiled.
        """
        found = self.runner(wait=True)
        if found is None:
            raise ConfigError(
                f"{self.precision} needs a compiled model, and this one cannot be compiled",
                hint="leave out --precision; recurrent, blocks and transformer cores on the CPU can be, with Numba",
            )
        return found

    def _prepare(self, wait: bool) -> None:
        try:
            program = lower(self.model, self.precision)
            if program is None or not (is_cached() or compile_kernel(wait)):
                return
            self._runner = Runner(program, self.threads or fastest(program))
        except (ImportError, OSError, RuntimeError):  # no Numba, or no place for its cache: torch goes on
            return


def fastest(program: Program) -> int:
    """How many threads run a program fastest here and now, by a few tokens with one and with all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores == 1 or program.weights.nbytes < SMALL:
        return 1
    return min((1, min(cores, 16)), key=lambda threads: seconds_per_token(Runner(program, threads)))


def seconds_per_token(runner: Runner) -> float:
    """The shortest time of a token among some that are read for trial, several at once: threads take time to begin."""
    lines, positions, tokens = runner.lines(1), np.zeros(1, np.int64), np.zeros((TOGETHER, 1), np.int64)
    runner.read(lines, positions, tokens[:1])
    best, end = float("inf"), time.perf_counter() + TRIAL
    while time.perf_counter() < end:
        began = time.perf_counter()
        runner.read(lines, positions, tokens)
        best = min(best, (time.perf_counter() - began) / TOGETHER)
    return best


def is_cached() -> bool:
    """Whether the kernel was compiled before; then it is loaded here."""
    if not marker().exists():
        return False
    draw_nothing()
    return True


def compile_kernel(wait: bool) -> bool:
    """Compile the kernel in a process of its own, which goes on if this one ends; whether it is loaded here now.

    Args:
        wait: compile it here instead.
    """
    if not wait and not is_turn():
        return False
    if not wait:
        command = [sys.executable, "-c", "from unspool.generate.compiled.ready import compile_here; compile_here()"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.Popen(command, start_new_session=True, **quiet).wait()  # type: ignore[call-overload]
        return is_cached()
    compile_here(nice=0)
    return True


def is_turn() -> bool:
    """Whether nobody else has begun to compile the kernel in the last `PATIENCE` seconds; then it is noted."""
    note = marker().with_suffix(".compiling")
    try:
        if note.exists() and time.time() - note.stat().st_mtime > PATIENCE:
            note.unlink()
        note.touch(exist_ok=False)
    except OSError:  # there is one, or another process was faster
        return False
    return True


def compile_here(nice: int = 10) -> None:
    """Compile the kernel, or load it from Numba's cache, and leave the marker."""
    if nice and hasattr(os, "nice"):
        os.nice(nice)
    draw_nothing()
    marker().touch()
    marker().with_suffix(".compiling").unlink(missing_ok=True)
