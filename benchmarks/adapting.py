"""Bits per character with and without adapting while reading, and from a tuned first state, over several seeds.

    python benchmarks/adapting.py RUN [RUN ...] [--texts test FILE ...] [--voices FILE ...] [--characters N]

Runs whose names differ in what is behind the last dash alone (lstm-0, lstm-1) are seeds of one kind. Each reads every
text, of which `test` is its test split, once without adapting and once in each way with the package's own options,
which were chosen on the validation split of one seed (docs/adapting.md). Characters of other texts that a run has never
seen are left out. States are tuned on each voice where the core has a state to tune. Prints one JSON document, last.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import torch
from common import environment, report, say

from unspool import Run
from unspool.data.readers.text import read_text
from unspool.errors import ConfigError
from unspool.runs.adapting import STATIC, evaluate_adapting, language_task
from unspool.runs.state_tuning import StateTuning
from unspool.training.adapting import WAYS, Adapting

FIRST = 10
"""So many tokens at the beginning of a text are reported by themselves, as the influence of a state fades."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--texts", nargs="*", default=["test"], help="`test` and files that are read adaptively")
    parser.add_argument("--voices", nargs="*", default=[], type=Path, help="texts to tune a first state on")
    parser.add_argument("--characters", type=int, default=0, help="of each text, from its beginning; 0: all")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    for folder in options.runs:
        run, kind = Run.load(folder), folder.name.rpartition("-")[0] or folder.name
        for name, bits in chain(adapted(run, options), voices(run, options)):
            say(f"{folder.name}, {name}: {bits}")
            found[kind][name].append(bits)
    report(
        {
            "benchmark": "adapting",
            **environment(),
            "options": {way: vars(Adapting(way)) | {"step_size": Adapting(way).step_size} for way in WAYS},
            "characters": options.characters or "all",
            "bits_per_character": {
                kind: {name: summary(bits) for name, bits in texts.items()} for kind, texts in found.items()
            },
        }
    )


def adapted(run: Run, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    """The name of each text, and its bits per character by the way of adapting."""
    for place in options.texts:
        name, path = Path(place).stem, Path(place)
        text = language_task(run).texts["test"] if place == "test" else known(run, path)
        bits: dict[str, float] = {}
        for way in WAYS:
            began = time.process_time()
            results = evaluate_adapting(run, Adapting(way), "read", text[: options.characters or None])
            bits |= {one: results[f"read/{one}/bits_per_character"] for one in (STATIC, way)}
            bits[f"{way}_perplexity"] = results[f"read/{way}/perplexity"]
            bits[f"{STATIC}_perplexity"] = results[f"read/{STATIC}/perplexity"]
            bits[f"{way}_cpu_seconds"] = time.process_time() - began
        yield name, {key: round(value, 4) for key, value in bits.items()}


def voices(run: Run, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    """The name of each voice, and its bits per character from each first state."""
    for path in options.voices:
        with TemporaryDirectory() as folder:
            text = Path(folder, "voice.txt")
            text.write_text(known(run, path), encoding="utf-8")
            try:
                tuning = StateTuning(run, [f"data.path={text}"], seed=run.recipe.get("seed", 0))
            except ConfigError as error:
                say(f"{run.name}, {path.stem}: {error}")
                continue
        steps = sum(1 for _ in tuning.tuner) - 1
        gain = tuning.gain()
        early = {f"{name}_first_{FIRST}": mean(bits[:FIRST]) for name, bits in gain.by_position.items()}
        sizes = {"chunks": gain.chunks, "steps": steps, "numbers": sum(v.numel() for _, v in tuning.tuner.tuned)}
        figures = {**gain.bits_per_character, **early}
        yield f"voice {path.stem}", {key: round(value, 4) for key, value in figures.items()} | sizes


def known(run: Run, path: Path) -> str:
    """A text without the characters that the run's tokenizer does not know."""
    text = read_text(str(path)).text
    strange = set(run.tokenizer.unknown(text)) if not run.tokenizer.lost(text) else set()
    kept = "".join(letter for letter in text if letter not in strange)
    if len(kept) < len(text):
        say(f"{run.name}: {len(text) - len(kept):,} of {len(text):,} characters of {path.name} are left out")
    return kept


def summary(figures: list[dict[str, float]]) -> dict[str, Any]:
    """Mean, lowest and highest over the seeds."""
    return {
        key: {"mean": round(mean(values), 4), "min": min(values), "max": max(values), "seeds": len(values)}
        for key in figures[0]
        for values in [[one[key] for one in figures]]
    }


if __name__ == "__main__":
    main()
