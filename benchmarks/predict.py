"""`Run.predict` in batches against one by one, and the memory of `unspool predict` on a million rows.

    python benchmarks/predict.py [--rows 1000000] [--inputs 1024] [--threads 1]

Three models as the recipes `classify`, `regress` and `tag` make them, trained for a few steps on sentences that are
drawn here: how well they answer makes no difference to how fast they do. `Run.predict` is measured with batches of 64
and of 1 in turns, and the median of three is told. A small `classify` reads a csv of a million short rows in a process
of its own, whose peak memory is what the operating system says when it has ended (no less than that of this process
when it was begun, 300 to 400 MB).
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from common import environment, report, say

from unspool import Run
from unspool.experiment.experiment import Experiment
from unspool.recipe import load_recipe

WORDS = [
    f"{start}{end}" for start in ("fil", "plo", "act", "sce", "son", "pla") for end in ("m", "ts", "or", "ne", "gs")
]
WORDS += ["good", "bad", "dull", "fine", "and", "the", "a", "of", "in", "Paris"]
TASKS = ("classify", "regress", "tag")
STEPS = ["train.steps=5", "train.minutes=0", "train.epochs=0", "evaluate.times=1"]
SMALL = ["core.width=8"]
ROUNDS = 3


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with TemporaryDirectory(prefix="predict-") as name:
        folder = Path(name)
        memory = million(folder, options.rows) if options.rows else None
        speeds = [speed(folder, task, options.inputs) for task in TASKS]
    report({"benchmark": "predict", **environment(), "threads": options.threads, "speeds": speeds, "memory": memory})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the csv whose memory is measured; 0: none")
    parser.add_argument("--inputs", type=int, default=1024, help="sentences of a measurement in batches")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser.parse_args()


def sentences(seed: int, number: int, longest: int) -> Iterator[list[str]]:
    """So many sentences of 3 words to the longest."""
    drawn = random.Random(seed)
    for _ in range(number):
        yield drawn.choices(WORDS, k=drawn.randint(3, longest))


def label(task: str, words: list[str]) -> str:
    """What a task would say of a sentence."""
    if task == "tag":
        return " ".join("B-place" if word == "Paris" else "O" for word in words)
    return str(len(words)) if task == "regress" else "good" if words.count("good") > words.count("bad") else "bad"


def write(path: Path, header: list[str], rows: Iterator[list[str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def train(folder: Path, task: str, name: str, *settings: str) -> Path:
    """A run of the task's recipe after a few steps."""
    rows = ([" ".join(words), label(task, words)] for words in sentences(0, 500, 40))
    data = write(folder / f"{name}.csv", ["text", "label"], rows)
    list(Experiment.new(load_recipe(task, [*STEPS, *settings, f"data.path={data}"]), folder / name))
    return folder / name


def speed(folder: Path, task: str, number: int) -> dict:
    """Inputs a second in batches of 64 and one by one, in turns."""
    run = Run.load(train(folder, task, task))
    texts = [" ".join(words) for words in sentences(1, number, 40)]

    def rate(size: int, inputs: list[str]) -> float:
        begun = time.perf_counter()
        for _ in run.predict(inputs, batch_size=size):
            pass
        return len(inputs) / (time.perf_counter() - begun)

    few = texts[: max(1, number // 4)]
    rate(64, few), rate(1, few[:20])  # what is made once is made here
    pairs = [(rate(1, few), rate(64, texts)) for _ in range(ROUNDS)]
    single, batched = (median(rates) for rates in zip(*pairs, strict=True))
    weights = sum(p.numel() for p in run.model.parameters())
    ratio = batched / single
    say(f"{task:<10} one by one {single:8,.0f}   batches of 64 {batched:8,.0f} inputs/s   {ratio:5.1f} times")
    return {
        "task": task,
        "parameters": weights,
        "single_inputs_per_second": round(single),
        "batched_inputs_per_second": round(batched),
        "ratio": round(ratio, 2),
        "rounds": [[round(rate) for rate in pair] for pair in pairs],
    }


def million(folder: Path, rows: int) -> dict:
    """The peak memory of a process that predicts the rows of a csv, and how long it took."""
    run = train(folder, "classify", "small", *SMALL)
    numbered = ([str(n), " ".join(words)] for n, words in enumerate(sentences(2, rows, 8)))
    data, out = write(folder / "rows.csv", ["id", "text"], numbered), folder / "out.csv"
    command = [sys.executable, "-m", "unspool", "predict", run, "--file", data, "--out", out]
    begun = time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    with out.open(newline="") as file:
        found = sum(1 for row in csv.DictReader(file) if row["label"])
    say(f"{found:,} of {rows:,} rows in {seconds:.0f} s, peak memory {peak / 1e6:.0f} MB")
    return {"rows": rows, "predicted": found, "seconds": round(seconds, 1), "peak_megabytes": round(peak / 1e6, 1)}


if __name__ == "__main__":
    main()
