"""Runs a program over the rows of a batch, on one thread or several."""

from functools import partial
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.generate.compiled.cache import compiled_kernel
from unspool.generate.compiled.program import ALIGN, ATTEND, BLOCK, GROUP, LANES, MATRIX, Program, padded
from unspool.nn.kernels.workers import helpers

OPTIONS = 6
"""Numbers that say how a row is drawn: see `kernel.run`."""


class Runner:
    """A program that is ready to run.

    Args:
        program: what to compute.
        threads: how many share the work of a token.
    """

    def __init__(self, program: Program, threads: int = 1) -> None:
        self.program, self.threads, self._lock = program, threads, Lock()
        self._deepest = max((int(op[3]) for op in program.code if op[0] == MATRIX), default=1)
        self._widest = max((int(op[9]) for op in program.code if op[0] == ATTEND), default=0)  # of a head
        self._rows = -1

    def lines(self, rows: int) -> NDArray[np.float32]:
        """The memory of so many rows that have read nothing."""
        raw = np.zeros(rows * self.program.row_size * 4 + ALIGN, np.uint8)
        begin = -raw.ctypes.data % ALIGN
        return raw[begin : begin + rows * self.program.row_size * 4].view(np.float32).reshape(rows, -1)

    def read(self, lines: NDArray[np.float32], positions: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Let every row read tokens (n, B); `lines` and `positions` (B,) are what they are behind them."""
        rows, size = len(lines), self.program.size
        nothing = np.zeros((1, rows)), np.zeros((rows, OPTIONS)), np.zeros((rows, LANES), np.float32)
        self._run(lines, positions, tokens, True, *nothing, np.zeros((rows, size), np.bool_))

    def restart(self, lines: NDArray[np.float32], positions: NDArray[np.int64], tokens: NDArray[np.int64]) -> None:
        """Let every row read tokens (n, B) from an empty state."""
        lines[:], positions[:] = 0, 0
        self.read(lines, positions, tokens)

    def fill_bias(self, bias: NDArray[np.float32]) -> NDArray[np.float32]:
        """A bias (B, V) as `write` takes it: filled up to whole vectors with minus infinity."""
        filled = np.full((len(bias), padded(self.program.size)), -np.inf, np.float32)
        filled[:, : bias.shape[1]] = bias
        return filled

    def write(
        self,
        lines: NDArray[np.float32],
        positions: NDArray[np.int64],
        noise: NDArray[np.float64],
        options: NDArray[np.float64],
        bias: NDArray[np.float32],
        seen: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Let every row draw and read tokens, as many as there is noise (n, B) for; see `kernel.run` and `fill_bias`.

        Returns:
            Ids (n, B) and, where they are wanted, log-probabilities (n, B) in nats.
        """
        tokens = np.zeros(noise.shape, np.int64)
        return tokens, self._run(lines, positions, tokens, False, noise, options, bias, seen)

    def logits(self, lines: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits (B, V) behind what the rows have read: a view."""
        return lines[:, self.program.logits : self.program.logits + self.program.size]

    def _prepare(self, rows: int) -> None:
        if rows <= self._rows:
            return
        self._rows, threads = rows, self.threads
        blocks = -(-self._deepest // BLOCK)
        slots = padded(max(LANES, self.program.capacity))
        self._counter = np.zeros(16, np.int64)
        self._scratch = (
            np.zeros((threads, slots + 128 + self._widest + rows * GROUP + BLOCK), np.float32),
            np.zeros((threads, rows * blocks * BLOCK), np.int8),
            np.zeros((threads, rows * blocks), np.float32),
            np.zeros((threads, rows * blocks), np.int32),
            np.zeros((threads, padded(self.program.size)), np.float32),
            np.zeros((threads, self.program.size), np.int64),
        )

    def _run(
        self,
        lines: NDArray[np.float32],
        positions: NDArray[np.int64],
        tokens: NDArray[np.int64],
        given: bool,
        noise: NDArray[np.float64],
        options: NDArray[np.float64],
        bias: NDArray[np.float32],
        seen: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        with self._lock:  # the loop runs without Python's lock, and what it notes down is the runner's
            self._prepare(len(lines))
            program, run = self.program, compiled_kernel().run
            counted, chances = np.repeat(positions[None], self.threads, 0), np.zeros(tokens.shape, np.float32)
            shared: tuple[Any, ...] = (
                program.code, lines, program.weights, tokens, given, counted, max(1, program.capacity), program.head,
                program.logits, program.size, noise, options, bias, seen, chances,
            )  # fmt: skip
            self._counter[:] = 0
            own: tuple[Any, ...] = (self.threads, self._counter, *self._scratch)
            others = [helpers().submit(partial(run, *shared, number, *own)) for number in range(1, self.threads)]
            run(*shared, 0, *own)
            for other in others:
                other.result()
            positions[:] = counted[0]
            return chances


def draw_nothing() -> None:
    """Call the kernel with empty work, so that it is compiled or loaded."""
    code, lines = np.zeros((1, 12), np.int64), np.zeros((1, LANES), np.float32)
    code[0, :4] = 0, 0, 0, 0  # copies nothing
    program = Program(code, np.zeros(ALIGN, np.uint8), [], 0, LANES, 0, 1, 0)
    Runner(program).read(lines, np.zeros(1, np.int64), np.zeros((1, 1), np.int64))
