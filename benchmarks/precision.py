"""What bfloat16 and int8 cost: bits per character of trained models, every token read by the compiled loop.

    python benchmarks/precision.py RUN [RUN ...] [--split test] [--tokens 20000]

The state is carried along the split; where a core has a limited context it slides or begins anew as in generation.
"""

from __future__ import annotations

import argparse
from math import log

import torch
from common import environment, report, say

import unspool
from unspool.generate.compiled.lowering import lower
from unspool.generate.compiled.rows import CompiledRows
from unspool.generate.compiled.runner import Runner
from unspool.generate.engine import Engine
from unspool.runs.run import load_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--tokens", type=int, default=20_000)
    options = parser.parse_args()
    found = {path: costs(path, options.split, options.tokens) for path in options.run}
    report({"benchmark": "precision", **environment(), "bits_per_character": found})


def costs(path: str, split: str, tokens: int) -> dict[str, float]:
    """Bits per character in every precision."""
    run = unspool.load(path)
    text = load_task(run).texts[split]
    ids = torch.as_tensor(run.tokenizer.encode(text[: 4 * tokens]))[: tokens + 1]
    characters = len(run.tokenizer.decode(ids[1:].tolist()))
    found = {}
    for precision in ("float32", "bfloat16", "int8"):
        program = lower(run.model, precision)
        if program is None:
            raise SystemExit(f"{path} cannot be compiled")
        engine = Engine(run.model)
        rows, total = CompiledRows(engine, Runner(program)), 0.0
        rows.add(engine.read(ids[:1][None]))
        for id in ids[1:]:
            scores = rows.logits[0].double()
            total -= float(scores[id] - scores.logsumexp(0))
            rows.advance(id[None, None])
        found[precision] = round(total / log(2) / characters, 5)
        say(f"{path}: {precision} {found[precision]:.5f} bits per character over {characters:,}")
    return found


if __name__ == "__main__":
    main()
