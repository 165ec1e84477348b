"""Makes the run folder `tests/helpers/stored/run`, which every later version must load and go on with in the same way.

It is made once for each version of the format: `python tests/helpers/stored/make.py`. Then tests/runs/test_stored.py
compares the text that it writes: a change of names, shapes or the order of weights shows there.
"""

import shutil
import tempfile
from pathlib import Path

from unspool.experiment.experiment import Experiment
from unspool.generate.sampling import Sampling
from unspool.recipe import load_recipe
from unspool.runs.run import Run

HERE = Path(__file__).parent
TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 40
SETTINGS = {
    "core": {"kind": "recurrent", "cell": "gru", "width": 8},
    "data.path": "text.txt",
    "task.batch_size": 4,
    "task.length": 16,
    "train.steps": 150,
    "train.minutes": 0,
    "train.learning_rate": 0.05,
    "train.optimizer": "adamw",
    "train.precision": "float32",
    "train.threads": 1,
    "train.device": "cpu",
    "evaluate.times": 1,
    "sample.times": 0,
}


def make(folder: Path) -> None:
    """Train the small model and keep what a run folder needs."""
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "text.txt"
        text.write_text(TEXT)
        for _ in Experiment.new(load_recipe("char-lm", SETTINGS | {"data.path": str(text)}), Path(place) / "run"):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(
            Path(place) / "run", folder, ignore=shutil.ignore_patterns("*.png", "metrics.jsonl", "results.json")
        )


def text_of(run: Run) -> str:
    """What the run goes on with, greedily."""
    return "".join(run.stream("the ", length=60, sampling=Sampling(temperature=0.0)))


if __name__ == "__main__":
    make(HERE / "run")
    (HERE / "run.txt").write_text(text_of(Run.load(HERE / "run")), encoding="utf-8")
