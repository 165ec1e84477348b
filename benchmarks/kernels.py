"""Forward and backward passes of one recurrent layer on a CPU in float32: our compiled kernels against torch's.

    python benchmarks/kernels.py [--only gru] [--threads 1 2] [--rounds 15]

Equal weights and inputs; first outputs and gradients must agree to 1e-4 of their largest, then both take turns. A ratio
is the median of the ratios of the rounds. For other processors: `NUMBA_CPU_NAME=haswell
NUMBA_CPU_FEATURES=+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+f16c ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
MKL_ENABLE_INSTRUCTIONS=AVX2`: Numba, torch's own loops, oneDNN, and MKL, which has most matrix products.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from common import environment, report, say
from torch import Tensor

from unspool.nn.kernels.memory import keep_freed_memory
from unspool.nn.kernels.training import compiled_kernels

THEIRS = {"lstm": torch.lstm, "gru": torch.gru, "elman_tanh": torch.rnn_tanh, "elman_relu": torch.rnn_relu}
GATES = {"lstm": 4, "gru": 3, "elman_tanh": 1, "elman_relu": 1}
SHAPES = ((1, 200, 100, 128), (3, 100, 50, 100), (16, 128, 64, 320), (32, 200, 100, 128), (64, 64, 256, 512))
"""Rows, time steps, inputs and units."""
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=THEIRS)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    keep_freed_memory()
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name in [options.only] if options.only else THEIRS:
            rows += [measured(name, shape, threads, options.rounds) for shape in SHAPES]
    report({"benchmark": "kernels", **environment(), "rounds": options.rounds, "rows": rows})


def measured(name: str, shape: tuple[int, int, int, int], threads: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of both for one shape, and their ratio."""
    ours, theirs = (passes(kernel, name, shape) for kernel in (compiled_kernels()[name], THEIRS[name]))
    for a, b in zip(ours(), theirs(), strict=True):
        difference = float(((a - b).abs().max() / b.abs().max()).detach())
        if difference > TOLERANCE:
            raise SystemExit(f"{name}, {shape}: outputs or gradients differ by {difference:.1e} of their largest")
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratio = median(b / a for a, b in times)
    milliseconds = [round(1000 * median(column), 2) for column in zip(*times, strict=True)]
    say(f"{name}, {shape}, {threads} threads: ours {milliseconds[0]} ms, torch {milliseconds[1]} ms, {ratio:.2f} times")
    return {
        "kernel": name, "rows_steps_inputs_units": shape, "threads": threads,
        "milliseconds": milliseconds[0], "milliseconds_of_torch": milliseconds[1], "times_faster": round(ratio, 2),
    }  # fmt: skip


def passes(kernel: Callable[..., Any], name: str, shape: tuple[int, int, int, int]) -> Callable[[], list[Tensor]]:
    """A function that runs the kernel forward and backward, and gives the outputs and all gradients."""
    rows, steps, inputs, units = shape
    torch.manual_seed(0)
    width = GATES[name] * units
    x = torch.randn(rows, steps, inputs, requires_grad=True)
    weights = [(0.05 * torch.randn(s)).requires_grad_() for s in ((width, inputs), (width, units), (width,), (width,))]
    h = torch.randn(1, rows, units)
    state = (h, h.clone()) if name == "lstm" else h

    def run() -> list[Tensor]:
        y, *_ = kernel(x, state, weights, True, 1, 0.0, True, False, True)
        return [y, *torch.autograd.grad(y.square().sum(), [x, *weights])]

    return run


def seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
