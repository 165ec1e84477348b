"""How much longer a training takes beside a process that burns one core, against the same training alone.

    python benchmarks/busy_core.py [--recipe char-rnn-stat453] [--steps 600] [--pairs 5] [section.key=value ...]

Alone and beside the other process take turns. The figure is the median of the ratios of the wall times of training
itself, as results.json has them; threads and precision are what Unspool measures in each run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from common import Child, environment, report, say

GOAL = 2.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="char-rnn-stat453")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("overrides", nargs="*", help="settings of the recipe, section.key=value")
    options = parser.parse_intermixed_args()
    alone, beside, threads = [], [], []
    with TemporaryDirectory(prefix="busy-core-") as folder:
        for pair in range(options.pairs):
            alone.append(seconds(options, Path(folder, f"alone-{pair}"), threads))
            with burning():
                beside.append(seconds(options, Path(folder, f"beside-{pair}"), threads))
            say(f"pair {pair + 1}: {alone[-1]:.1f} s alone, {beside[-1]:.1f} s beside a busy core")
    ratios = [b / a for a, b in zip(alone, beside, strict=True)]
    report(
        {
            "benchmark": "busy-core",
            "peer": "the same training on a quiet machine",
            **environment(),
            "recipe": options.recipe,
            "overrides": options.overrides,
            "steps": options.steps,
            "seconds_alone": [round(time, 2) for time in alone],
            "seconds_beside_a_busy_core": [round(time, 2) for time in beside],
            "threads": threads,
            "median_ratio": round(median(ratios), 3),
            "goal": GOAL,
            "reached": median(ratios) <= GOAL,
        }
    )


def seconds(options: argparse.Namespace, folder: Path, threads: list[int]) -> float:
    """The wall time of one training."""
    words = ["train", options.recipe, *options.overrides, f"train.steps={options.steps}", "--run", str(folder)]
    child = Child([sys.executable, "-m", "unspool", *words, "evaluate.times=0", "sample.times=0"])
    for _ in child.lines():
        pass
    threads.append(json.loads((folder / "about.json").read_text())["precision"]["threads"])
    return json.loads((folder / "results.json").read_text())["train/seconds"]


@contextmanager
def burning() -> Iterator[None]:
    """A process that never waits, inside the block."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
