"""CPU seconds a batch of the recipe word-lm beside pytorch/examples' word_language_model, at the same sizes.

    python benchmarks/word_lm.py --data wikitext-2 --examples CHECKOUT [--turns 3] [--batches 40 120]

Both are LSTMs of 2 x 200 with tied ends, dropout 0.2, batches of 20 x 35 words and WikiText-2's 33,278 words, on one
thread. Each trains for a few and for more batches in a child process, in turns; the difference of their whole CPU
times, over the difference of their batches, is the cost of a batch: start-up, reading and evaluation cancel out. Six
epochs are 17,900 batches.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from common import Child, environment, report, say

BATCH, LENGTH, SIX_EPOCHS = 20, 35, 17_900
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with train.txt, valid.txt and test.txt")
    parser.add_argument("--examples", type=Path, required=True, help="a checkout of pytorch/examples")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs=2, default=(40, 120))
    options = parser.parse_args()
    found: dict[str, list[float]] = {"ours": [], "example": []}
    with TemporaryDirectory(prefix="word-lm-") as folder:
        small = Path(folder, "data")
        small.mkdir()
        for part in ("train", "valid"):
            (small / f"{part}.txt").write_text(begun(options.data, part, None if part == "train" else 2000))
        for turn in range(options.turns):
            found["ours"].append(slope(ours(small, Path(folder, f"{turn}")), options.batches))
            found["example"].append(slope(example(options, Path(folder, "example")), options.batches))
            say(f"turn {turn + 1}: " + ", ".join(f"{name} {times[-1]:.3f} s" for name, times in found.items()))
    each = {name: median(times) for name, times in found.items()}
    report(
        {
            "benchmark": "word-lm",
            "peer": f"pytorch/examples word_language_model, {revision(options.examples)}",
            **environment(),
            "cpu_seconds_a_batch": {name: [round(time, 4) for time in times] for name, times in found.items()},
            "median_cpu_seconds_a_batch": {name: round(time, 4) for name, time in each.items()},
            "cpu_minutes_for_six_epochs": {name: round(time * SIX_EPOCHS / 60, 1) for name, time in each.items()},
            "times_as_fast": round(each["example"] / each["ours"], 2),
        }
    )


def slope(cost, batches) -> float:
    """CPU seconds a batch, from the costs of two trainings of different length."""
    few, many = batches
    return (cost(many) - cost(few)) / (many - few)


def ours(data: Path, folder: Path):
    """What a training of so many steps costs, in CPU seconds."""

    def cost(steps: int) -> float:
        words = [
            "train",
            "word-lm",
            f"data.path={data.resolve()}",
            "--run",
            f"{folder}-{steps}",
            f"train.steps={steps}",
        ]
        rest = ["train.epochs=0", "train.threads=1", "evaluate.times=0", "sample.times=0"]
        return cpu_seconds([sys.executable, "-m", "unspool", *words, *rest], None)

    return cost


def example(options: argparse.Namespace, folder: Path):
    """What an epoch of so many batches costs. All words stand in the test part, so that the vocabulary is the same."""
    vocabulary = dict.fromkeys(
        word for part in ("train", "valid", "test") for word in begun(options.data, part).split()
    )
    script = options.examples.resolve() / "word_language_model" / "main.py"

    def cost(batches: int) -> float:
        folder.mkdir(exist_ok=True)
        (folder / "train.txt").write_text(begun(options.data, "train", batches * BATCH * LENGTH + BATCH))
        (folder / "valid.txt").write_text(begun(options.data, "valid", 2000))
        (folder / "test.txt").write_text(" ".join(vocabulary))
        sizes = ["--emsize", "200", "--nhid", "200", "--dropout", "0.2", "--tied", "--epochs", "1"]
        return cpu_seconds([sys.executable, str(script), "--data", str(folder), *sizes], folder)

    return cost


def begun(data: Path, part: str, words: int | None = None) -> str:
    """A part of the data, or its first words."""
    text = (data / f"{part}.txt").read_text(encoding="utf-8")
    return text if words is None else " ".join(text.split()[:words])


def cpu_seconds(command: list[str], folder: Path | None) -> float:
    """User and system time of a command on one thread."""
    child = Child(command, folder, THREADS)
    for _ in child.lines():
        pass
    return child.cpu_seconds


def revision(checkout: Path) -> str:
    """The commit of a checkout."""
    child = Child(["git", "-C", str(checkout), "log", "-1", "--format=%h"])
    return next(iter([line.text for line in child.lines()]), "")


if __name__ == "__main__":
    main()
