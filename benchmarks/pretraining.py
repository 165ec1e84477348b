"""What masked pretraining is worth to a classifier with few labels: SST-2 after more and more steps of `masked-lm`.

    python benchmarks/pretraining.py --data FOLDER --out FOLDER [--steps 0,2000,...] [--seeds 3] [--plot FILE.png]

FOLDER has imdb/aclImdb-labelled.tar.gz and sst/stsa.binary.train, .dev and .test. The unlabelled texts are the reviews
of IMDB and the 6,920 training sentences of SST, shuffled and without their labels, of which the first 30 million
characters are read. Each number of steps is a `masked-lm` of its own, whose learning rate falls to zero; zero steps are
the same network with its weights as they were drawn, which is training from scratch. Each is fine-tuned by
`fine-tune-classify` once a seed, on `--labels` training sentences that the seed chooses, the same for every number of
steps. The best of five evaluations on dev is measured on test, beside logistic regression on TF-IDF of words and pairs
of words. What is finished in the folder `--out` is not trained again. The JSON document comes last.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path
from statistics import mean

from common import environment, report, say

from unspool import Run, load_recipe
from unspool.data.readers.trees import files
from unspool.experiment.experiment import Experiment
from unspool.files import write_text
from unspool.training.trainer import TrainingStep

SPOKEN = re.compile(r" (n't|'(?:s|re|ve|ll|d|m)\b)")
"""SST writes "does n't" and IMDB "doesn't": both are read as one word."""
PRETRAIN = [
    "data.limit=30000000", "data.valid=0.002", "tokenizer.max_size=10000", "tokenizer.min_count=5",
    "task.batch_size=16", "task.share=0.3", "model.init_range=0.05", "core.layers=1", "core.width=64",
    "core.context=128", "train.optimizer=muon", "train.learning_rate=0.01", "train.precision=float32",
    "train.threads=1", "evaluate.times=1",
]  # fmt: skip
"""Of the recipe `masked-lm`."""
DRAWN = ["train.steps=1", "train.learning_rate=1e-9", "train.warmup=0.0"]
"""Settings that leave the weights as they begin."""
TUNE = ["train.learning_rate=0.002", "train.precision=float32", "train.threads=1", "preprocessor.max_length=128"]
"""Of the recipe `fine-tune-classify`."""


def main() -> None:
    options = arguments()
    write_data(options)
    rows = [measured(options, steps) for steps in map(int, options.steps.split(","))]
    if options.plot:
        draw(rows, options.plot, options.labels)
    report({"benchmark": "pretraining", **environment(), "labels": options.labels, "rows": rows})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", default="0,2000,4000", help="of pretraining, one masked-lm for each")
    parser.add_argument("--seeds", type=int, default=3, help="of fine-tuning")
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--plot", type=Path, help="a PNG of accuracy over steps")
    parser.add_argument("--tune", nargs="*", default=[], help="settings of fine-tune-classify, section.key=value")
    return parser.parse_args()


def write_data(options: argparse.Namespace) -> None:
    """texts.txt to pretrain on, and the labelled sentences, as many as are wanted for each seed."""
    options.out.mkdir(parents=True, exist_ok=True)
    sentences = {part: labelled(options.data / "sst" / f"stsa.binary.{part}") for part in ("train", "dev", "test")}
    for part in ("dev", "test"):
        write_text(options.out / f"{part}.tsv", table(sentences[part]))
    for seed in range(options.seeds):
        some = random.Random(seed).sample(sentences["train"], options.labels)
        write_text(options.out / f"train-{options.labels}-{seed}.tsv", table(some))
    if not (options.out / "texts.txt").exists():
        found = files(str(options.data / "imdb" / "aclImdb-labelled.tar.gz"), ".txt")
        reviews = [re.sub(r"<[^<>]*>|\s+", " ", data.decode("utf-8", "replace")).strip() for _, data in found]
        texts = reviews + [sentence for _, sentence in sentences["train"]]
        random.Random(0).shuffle(texts)
        write_text(options.out / "texts.txt", "\n".join(texts) + "\n")


def labelled(path: Path) -> list[tuple[str, str]]:
    """The labels and sentences of a file of SST."""
    lines = (line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    return [(label, SPOKEN.sub(r"\1", sentence)) for label, sentence in lines]


def table(sentences: list[tuple[str, str]]) -> str:
    """Labelled sentences as a table with tabs."""
    return "label\ttext\n" + "".join(f"{label}\t{sentence}\n" for label, sentence in sentences)


def measured(options: argparse.Namespace, steps: int) -> dict:
    """One number of steps: what the masked-lm can do, and the accuracy of every seed that begins with it."""
    start = pretrained(options, steps)
    found = json.loads((start / "results.json").read_text(encoding="utf-8"))
    row: dict = {
        "steps": steps,
        "masked_accuracy": found["valid/masked/accuracy"],
        "minutes": found["train/seconds"] / 60,
    }
    tests = [tuned(options, start, seed) for seed in range(options.seeds)]
    row["accuracy"] = [test["test/all/accuracy"] for test in tests]
    row["linear_accuracy"] = [test.get("test/all/linear_accuracy") for test in tests]
    row["mean_accuracy"] = mean(row["accuracy"])
    say(
        f"{steps:>6} steps, {row['minutes']:.1f} minutes: {row['masked_accuracy']:.1%} of the hidden words; test "
        + " ".join(f"{value:.1%}" for value in row["accuracy"])
    )
    return row


def pretrained(options: argparse.Namespace, steps: int) -> Path:
    """A masked-lm after so many steps."""
    folder = options.out / f"masked-{steps}"
    budget = [f"train.steps={steps}"] if steps else DRAWN
    train("masked-lm", [*PRETRAIN, *budget, f"data.path={options.out / 'texts.txt'}"], folder)
    return folder


def tuned(options: argparse.Namespace, start: Path, seed: int) -> dict[str, float]:
    """The test values of a classifier that begins with a run."""
    folder = options.out / f"tuned-{options.labels}-{start.name.partition('-')[2]}-{seed}"
    parts = {"train": f"train-{options.labels}-{seed}", "valid": "dev", "test": "test"}
    paths = [f"data.{part}_path={options.out / name}.tsv" for part, name in parts.items()]
    train("fine-tune-classify", [*TUNE, *options.tune, *paths, f"model.start={start}", f"seed={seed}"], folder)
    return {name: value for name, value in Run.load(folder).evaluate("test").items() if value is not None}


def train(recipe: str, settings: list[str], folder: Path) -> None:
    """Train a recipe into a folder, unless it is finished there."""
    if (folder / "results.json").exists():
        return
    for event in Experiment.new(load_recipe(recipe, settings), folder):
        if isinstance(event, TrainingStep) and event.number % 500 == 0:
            say(f"{folder.name}: step {event.number:,}, loss {event.loss:.3f}")


def draw(rows: list[dict], path: Path, labels: int) -> None:
    """Accuracy over steps of pretraining: the mean of the seeds as a line, each seed as a dot."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = drawing.subplots()
    places = range(len(rows))
    axes.plot(places, [100 * row["mean_accuracy"] for row in rows], color="#0072b2", marker="o")
    for place, row in zip(places, rows, strict=True):
        dots = [100 * value for value in row["accuracy"]]
        axes.plot([place] * len(dots), dots, color="#0072b2", marker=".", linestyle="", alpha=0.5)
        axes.annotate(
            f"{100 * row['mean_accuracy']:.1f}",
            (place, 100 * row["mean_accuracy"]),
            (6, -12),
            textcoords="offset points",
        )
    linear = 100 * mean(rows[0]["linear_accuracy"])
    axes.axhline(linear, color="#333333", linewidth=0.8, linestyle="--")
    axes.annotate(
        f"logistic regression on TF-IDF: {linear:.1f}", (0, linear), (0, 4), textcoords="offset points", fontsize=9
    )
    axes.set_xticks(places, ["none:\nfrom scratch", *(f"{row['steps']:,}" for row in rows[1:])])
    axes.set(xlabel="steps of masked pretraining", ylabel="SST-2 test accuracy (%)", title=f"{labels:,} labels")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    drawing.savefig(path)
    say(f"picture: {path}")


if __name__ == "__main__":
    main()
