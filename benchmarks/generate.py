"""Tokens per second in generation: the compiled loop against torch, ONNX Runtime, RTNeural, Hugging Face and others.

    python benchmarks/generate.py [--case lstm-1x128 ...] [--rounds 5] [--seconds 1.0] [--batch 1 16] [--threads 0]
        [--rtneural CHECKOUT]

All variants of a case have the same weights, which are random, draw at temperature 0.8 and take turns in rounds; a
figure is the median of the rounds. Peers that are not installed are left out and named: `pip install onnx onnxruntime
transformers ctranslate2 gguf llama-cpp-python`; RTNeural is compiled from a checkout by g++. First every variant that
has logits shows that they are ours (1e-3 in float32). To hold them to AVX2: `NUMBA_CPU_NAME=haswell
NUMBA_CPU_FEATURES=+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt,+f16c ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2
CT2_FORCE_CPU_ISA=AVX2 LLAMA_CPP_LIB_PATH=FOLDER`, where FOLDER has llama.cpp built without AVX-512, and `--march
haswell` for RTNeural; ONNX Runtime is not held.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import generate_peers as peers
import numpy as np
import torch
from common import environment, report, say

from unspool import SequenceModel, Tokens, cores, embedding, head
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.ready import fastest
from unspool.generate.compiled.runner import Runner

CASES = {
    "lstm-1x128": (100, {"kind": "recurrent", "cell": "lstm", "width": 128, "input_width": 100}),
    "lstm-2x512": (100, {"kind": "recurrent", "cell": "lstm", "width": 512, "layers": 2}),
    "llama-6x384": (128, {"kind": "transformer", "width": 384, "layers": 6, "heads": 6, "context": 256}),
    "llama-12x768-32k": (32_000, {"kind": "transformer", "width": 768, "layers": 12, "heads": 12, "context": 256}),
}
TEMPERATURE = 0.8


@dataclass
class Variant:
    """One way to generate: `run(n)` draws n tokens for every row."""

    name: str
    batch: int
    run: Callable[[int], None]
    bytes_per_token: int = 0  # of weights
    threads: int = 0
    rates: list[float] = field(default_factory=list)  # tokens a second, of all rows
    count: int = 8

    def measure(self, seconds: float) -> None:
        """One round of about so many seconds."""
        began = time.perf_counter()
        self.run(self.count)
        took = time.perf_counter() - began
        self.rates.append(self.count * self.batch / took)
        self.count = max(4, min(100_000, int(self.count * seconds / took)))


def main() -> None:
    options = arguments()
    found: dict[str, Any] = {}
    for case in options.case or CASES:
        with TemporaryDirectory() as folder:
            found[case] = measure(case, folder, options)
    report({"benchmark": "generate", **environment(), "peers": peers.versions(), "cases": found})


def measure(case: str, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """All variants of a case, in turns."""
    size, core_options = CASES[case]
    torch.manual_seed(0)
    core = cores.build("core", dict(core_options))
    model = SequenceModel(embedding(Tokens(size), core.input_width), core, head(Tokens(size), core.width)).eval()
    variants = [one for batch in options.batch for one in every(case, model, batch, folder, options)]
    for number in range(options.rounds + 1):
        for one in variants:
            one.measure(options.seconds)
            if number == 0:
                one.rates.clear()  # the first finds out how many tokens fill the time
    document = {}
    for batch in options.batch:
        rows = {one.name: one for one in variants if one.batch == batch}
        ours, reference = rows["ours, float32"], rows[REFERENCE[case.partition("-")[0]]]
        for one in rows.values():
            rate = median(one.rates)
            ratio = median(a / b for a, b in zip(one.rates, reference.rates, strict=True))
            reads = rate / batch * one.bytes_per_token / 1e9
            document[f"{one.name}, batch {batch}"] = {
                "tokens_per_second": round(rate, 1), "times_reference": round(ratio, 2), "threads": one.threads,
                "least_and_most": [round(min(one.rates), 1), round(max(one.rates), 1)],
                **({"weights_read_gb_per_second": round(reads, 1)} if reads else {}),
            }  # fmt: skip
            say(f"{case}, batch {batch}: {one.name:<32} {rate:>12,.0f} tokens/s {ratio:>8.2f} x {reference.name}")
        document[f"latency, batch {batch}"] = latency(ours)
        say(f"{case}, batch {batch}: a step of ours, microseconds: {document[f'latency, batch {batch}']}")
    return document


REFERENCE = {"lstm": "torch, LSTMCell", "llama": "Hugging Face generate, float32"}


def every(case: str, model: SequenceModel, batch: int, folder: str, options: argparse.Namespace) -> Iterator[Variant]:
    """The variants of a case."""
    for precision in ("float32", "bfloat16", "int8"):
        program = lower(model, precision)
        if program is None:
            raise SystemExit(f"{case} cannot be compiled")
        threads = options.threads or fastest(program)
        read = sum(int(op[3]) * int(op[4]) * 64 for op in program.code if op[0] == 1)
        size = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.125}[precision]
        yield Variant(f"ours, {precision}", batch, ours(Runner(program, threads), batch), int(read * size), threads)
    made = peers.lstm(model, batch, folder, options) if case.startswith("lstm") else peers.llama(model, batch, folder)
    for name, run in made:
        yield Variant(name, batch, run)


def ours(runner: Runner, batch: int) -> Callable[[int], None]:
    """The compiled loop, its texts going on and on."""
    size = runner.program.size
    lines, lengths = runner.lines(batch), np.zeros(batch, np.int64)
    drawn, bias = (
        np.tile([TEMPERATURE, 0, 1, 0, 1, 0.0], (batch, 1)),
        runner.fill_bias(np.zeros((batch, size), np.float32)),
    )
    seen, random = np.zeros((batch, size), np.bool_), np.random.default_rng(0)

    def run(number: int) -> None:
        if runner.program.capacity and int(lengths[0]) + number > runner.program.capacity:
            lines[:], lengths[:] = 0, 0  # as the peers, which begin anew
        runner.write(lines, lengths, random.random((number, batch)), drawn, bias, seen)

    return run


def latency(variant: Variant) -> dict[str, float]:
    """The time of single steps in microseconds: mean, 99.9th percentile."""
    times, end = [], time.perf_counter() + 3
    while time.perf_counter() < end:
        began = time.perf_counter()
        variant.run(1)
        times.append(1e6 * (time.perf_counter() - began))
    return {"mean": round(float(np.mean(times)), 1), "p99.9": round(float(np.percentile(times, 99.9)), 1)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", choices=CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, default=0, help="of ours; 0: the fastest")
    parser.add_argument("--rtneural", help="a checkout of RTNeural, with Eigen or xsimd")
    parser.add_argument("--march", default="native", help="of g++, for RTNeural")
    return parser.parse_args()


if __name__ == "__main__":
    main()
