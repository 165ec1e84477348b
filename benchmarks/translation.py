"""What one vector costs: BLEU by the length of the source, of finished runs side by side.

    python benchmarks/translation.py RUN RUN ... [--split test] [--plot FILE.png]

Each RUN is a folder that `unspool train translate-vector` (or -attention, -transformer) left; its data must still be
where its recipe says. BLEU is on words, greedy, as the published notebooks count it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from common import environment, report, say

from unspool.runs.run import Run

BINS = {
    "up_to_8_words": "to 8",
    "9_to_12_words": "9 to 12",
    "13_to_16_words": "13 to 16",
    "over_16_words": "beyond 16",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)  # short sentences: threads would wait for each other
    rows = [evaluated(folder, options.split) for folder in options.runs]
    if options.plot:
        draw(rows, options.plot)
    report({"benchmark": "translation by length", **environment(), "split": options.split, "rows": rows})


def evaluated(folder: Path, split: str) -> dict:
    """A run's figures on a split."""
    found = Run.load(folder).evaluate(split)
    row = {"run": folder.name, "perplexity": found[f"{split}/teacher_forced/perplexity"]}
    row |= {name: found[f"{split}/generated/{name}"] for name in ("bleu", "sacrebleu", "chrf")}
    row |= {group: found[f"{split}/generated:{group}/bleu"] for group in BINS}
    say(f"{folder.name:<24} {row['bleu']:.1f} BLEU: " + ", ".join(f"{n} {row[k]:.1f}" for k, n in BINS.items()))
    return row


def draw(rows: list[dict], path: Path) -> None:
    """A line for each run over the lengths, its BLEU of all sentences in the legend."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = drawing.subplots()
    for row, colour in zip(rows, ("#d55e00", "#0072b2", "#009e73", "#cc79a7"), strict=False):
        label = f"{row['run']} ({row['bleu']:.1f} in all)"
        axes.plot(list(BINS.values()), [row[key] for key in BINS], color=colour, marker="o", label=label)
    axes.set(xlabel="words of the source", ylabel="BLEU (words, greedy)", title="Translation by length")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False)
    drawing.savefig(path)
    say(f"picture: {path}")


if __name__ == "__main__":
    main()
