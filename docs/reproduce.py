"""Trains what the recipes claim, and notes what came out in docs/lectures.json, from which docs/lectures.md is made.

python docs/reproduce.py [RECIPE ...]               train each of them (all, if none is named) for all of its seeds
python docs/reproduce.py --plan [RECIPE ...]        say what that would train and how long it would take, and stop
python docs/reproduce.py RECIPE --runs FOLDER ...   note what these finished runs of it say, one for each seed

Every run is kept in runs/reproduce/RECIPE-DIGEST/seed-N, where DIGEST is of the recipe: a second call trains only what
is not finished there, and continues what was interrupted. Remove that folder to train all anew.

Data of one's own is looked for in the folder that UNSPOOL_DATA names (../shared/data); a recipe whose data is not there
is left out.
"""

import argparse
import json
import os
import platform
import sys
from datetime import date
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait leave the core to other processes
import torch

from unspool.experiment.claims import Verdict, claimed, seeds_of, verdicts, verify
from unspool.experiment.events import Finished
from unspool.experiment.experiment import Experiment
from unspool.recipe import Recipe, load_recipe, recipe_names
from unspool.runs.evaluation import Results
from unspool.runs.run import Run
from unspool.sections import complete
from unspool.training.trainer import TrainingStep

NOTES = Path(__file__).parent / "lectures.json"
RUNS = Path("runs/reproduce")
DATA = {
    "char-rnn-stat453": "covid19-faq/covid19-faq.txt",
    "classify": "sentiment/sst",
    "names": "names",
    "photographs": "flickr8k/features",
    "sentiment": "sentiment/imdb/aclImdb-labelled.tar.gz",
    "sentiment-transformer": "sentiment/imdb/aclImdb-labelled.tar.gz",
    "sentiment-unmasked": "sentiment/imdb/aclImdb-labelled.tar.gz",
    "shakespeare-lstm": "tinyshakespeare/input.txt",
    "shakespeare-mingru": "tinyshakespeare/input.txt",
    "shakespeare-minlstm": "tinyshakespeare/input.txt",
    "shakespeare-mlstm": "tinyshakespeare/input.txt",
    "shakespeare-rglru": "tinyshakespeare/input.txt",
    "shakespeare-ssd": "tinyshakespeare/input.txt",
    "shakespeare-transformer": "tinyshakespeare/input.txt",
    "spoken-digits": "spoken-digits/free-spoken-digit-dataset.tar.gz",
    "transcribe-digits": "spoken-digits/free-spoken-digit-dataset.tar.gz",
    "translate-attention": "multi30k",
    "translate-transformer": "multi30k",
    "translate-vector": "multi30k",
    "word-lm": "wikitext-2",
}
FILES = {
    "classify": {
        "data.train_path": "stsa.binary.train",
        "data.valid_path": "stsa.binary.dev",
        "data.test_path": "stsa.binary.test",
    },
}
"""Data whose parts are files of their own in its folder, and the settings that name them."""
FORMATS = {"classify": ["data.format=label-text"]}
FREE = {("train", "threads"), ("train", "precision"), ("save", "every"), ("seed",)}
FREE |= {("data", key) for key in ("path", "train_path", "valid_path", "test_path", "format")}
"""What a run may have otherwise than its recipe."""


def main() -> None:
    """Run the recipes, note each as soon as it is through, and exit with 1 where a claim fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--runs", nargs="+", type=Path, default=[])
    options = parser.parse_args()
    if options.runs and len(options.recipes) != 1:
        parser.error("--runs wants the one recipe that they are of")
    names = options.recipes or [name for name in recipe_names() if "expect" in load_recipe(name)]
    print("\n".join(plan(names)), file=sys.stderr, flush=True)
    if options.plan:
        return
    held = True
    for name in names:
        overrides = placed(name)
        if overrides is None:
            continue
        found, seconds = of_runs(name, options.runs) if options.runs else trained(name, overrides)
        note(name, found, seconds)
        print("\n".join([name, *("  " + verdict.summary() for verdict in found)]), flush=True)
        held = held and all(verdict.holds for verdict in found)
    sys.exit(0 if held else 1)


def plan(names: list[str]) -> list[str]:
    """What there is to train, one line a recipe, and how long it takes by what is noted of earlier runs."""
    notes = json.loads(NOTES.read_text(encoding="utf-8")) if NOTES.exists() else {}
    lines, minutes = [f"{'recipe':<28}{'seeds':>6}{'finished':>10}{'minutes left':>14}"], 0.0
    for name in names:
        overrides = placed(name)
        if overrides is None:
            lines.append(f"{name:<28}left out: no {DATA[name]} in the folder that UNSPOOL_DATA names")
            continue
        recipe = load_recipe(name, overrides)
        finished = len(list(folder_of(name, recipe).glob("seed-*/results.json")))
        left = max(0, seeds_of(recipe) - finished) * notes[name]["minutes"] if name in notes else None
        minutes += left or 0.0
        lines.append(f"{name:<28}{seeds_of(recipe):>6}{finished:>10}{'unknown' if left is None else f'{left:.1f}':>14}")
    return [
        *lines,
        f"about {minutes:.0f} minutes in all on a machine like that of docs/performance.md, one run at a time",
    ]


def folder_of(name: str, recipe: Recipe) -> Path:
    """Where the runs of a recipe are kept: another folder for other settings."""
    settings = {key: value for key, value in complete(recipe).items() if key not in ("expect", "about")}
    text = json.dumps(without_free(settings), sort_keys=True)
    return RUNS / f"{Path(name).stem}-{sha256(text.encode()).hexdigest()[:8]}"


def without_free(settings: dict[str, Any], place: tuple[str, ...] = ()) -> dict[str, Any]:
    """The settings, less those that a run may have otherwise."""
    kept = {key: value for key, value in settings.items() if (*place, key) not in FREE}
    return {
        key: without_free(value, (*place, key)) if isinstance(value, dict) else value for key, value in kept.items()
    }


def placed(name: str) -> list[str] | None:
    """Where the data of a recipe is, as an override; None where it is not."""
    if name not in DATA:
        return []
    path = Path(os.environ.get("UNSPOOL_DATA", "../shared/data")) / DATA[name]
    if not path.exists():
        return None
    if name in FILES:
        return [*(f"{key}={path / file}" for key, file in FILES[name].items()), *FORMATS.get(name, [])]
    return [f"data.path={path}"]


def trained(name: str, overrides: list[str]) -> tuple[list[Verdict], list[float]]:
    """What training it says, and how long each seed took; what is finished already is read."""

    def follow(experiment: Experiment) -> Results:
        results: Results = {}
        for event in experiment:
            if isinstance(event, TrainingStep) and event.number % 500 == 0:
                print(f"{name}: step {event.number:,}, loss {event.loss:.3f}", file=sys.stderr, flush=True)
            elif isinstance(event, Finished):
                results = event.results
        return results

    recipe = load_recipe(name, overrides)
    folder = folder_of(name, recipe)
    found = verify(recipe, 0, follow, folder)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("seed-*/results.json")]
    return found, [result["train/seconds"] for result in results]


def of_runs(name: str, folders: list[Path]) -> tuple[list[Verdict], list[float]]:
    """What finished runs of it say, evaluated on the test split too where a claim asks for it."""
    recipe = load_recipe(name)
    claims = claimed(recipe)
    if len(folders) < seeds_of(recipe):
        sys.exit(f"{name} is claimed for {seeds_of(recipe)} seeds: give as many runs")
    results = []
    for folder in folders:
        run = Run.load(folder)
        if different := differences(complete(recipe), complete(run.recipe)):
            sys.exit(f"{folder} is not of this recipe: {', '.join(different)}")
        results.append(json.loads((folder / "results.json").read_text()))
        if any(claim.startswith("test/") for claim in claims):
            results[-1] |= run.evaluate("test")
    return verdicts(claims, results), [result["train/seconds"] for result in results]


def differences(ours: dict[str, Any], theirs: dict[str, Any], place: tuple[str, ...] = ()) -> list[str]:
    """The settings in which two recipes differ, apart from those that a run may have otherwise."""
    found = []
    for key in (ours.keys() | theirs.keys()) - ({"expect"} if not place else set()):
        here = (*place, key)
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, here)
        elif a != b and here not in FREE:
            found.append(f"{'.'.join(here)} is {b!r}, not {a!r}")
    return sorted(found)


def note(name: str, found: list[Verdict], seconds: list[float]) -> None:
    """Put what came out beside what is noted already."""
    notes = json.loads(NOTES.read_text()) if NOTES.exists() else {}
    notes[name] = {
        "claims": {verdict.name: {"claim": verdict.claim, "values": verdict.values} for verdict in found},
        "minutes": round(mean(seconds) / 60, 1),
        "machine": f"{platform.machine()}, {'CUDA' if torch.cuda.is_available() else 'CPU'}",
        "torch": torch.__version__,
        "date": str(date.today()),
    }
    NOTES.write_text(json.dumps(dict(sorted(notes.items())), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
