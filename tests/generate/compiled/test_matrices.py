"""Products: those of a batch go over the inputs in parts, and each row gets bit for bit what it gets alone."""

import numpy as np
import pytest

from unspool.generate.compiled.program import Builder
from unspool.generate.compiled.runner import Runner

DEPTH, OUTPUTS, ROWS = 600, 100, 23
"""More inputs than one part, and not whole parts; more rows than share what is asked for ahead, and not whole fours."""


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-4), ("bfloat16", 0.15), ("int8", 1.0)])
def test_rows_of_a_batch_get_what_they_get_alone(precision, near, adds):
    draw = np.random.default_rng(0)
    weight, bias = draw.normal(size=(OUTPUTS, DEPTH)).astype(np.float32), draw.normal(size=OUTPUTS).astype(np.float32)
    builder = Builder(precision)
    x, out = builder.keep("0", (DEPTH,)), builder.keep("1", (OUTPUTS,))
    builder.matrix(weight, bias, x, out, adds)
    program = builder.finish(out, OUTPUTS, 1)
    inputs, before = draw.normal(size=(ROWS, DEPTH)), draw.normal(size=(ROWS, OUTPUTS))

    def product(rows, threads=1):
        runner = Runner(program, threads)
        lines = runner.lines(len(rows))
        lines[:, x : x + DEPTH], lines[:, out : out + OUTPUTS] = inputs[rows], before[rows]
        runner.read(lines, np.zeros(len(rows), np.int64), np.zeros((1, len(rows)), np.int64))
        return lines[:, out : out + OUTPUTS].copy()

    alone = np.concatenate([product([row]) for row in range(ROWS)])
    wanted = inputs @ weight.T + bias + before * adds
    assert np.abs(alone - wanted).max() < near  # of a spread of 24
    for count in (2, 4, 7, 16, ROWS):
        for threads in (1, 2):
            assert np.array_equal(product(range(count), threads), alone[:count])
