"""Events of a training run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unspool.runs.evaluation import Results
from unspool.training.trainer import TrainingStep


@dataclass(frozen=True)
class Evaluated:
    """The values of the first evaluation set on the validation split, after that many steps."""

    number: int
    name: str  # of the set: "contiguous" or "all", say
    values: dict[str, float]
    best: bool  # better than ever before in this run


@dataclass(frozen=True)
class Sampled:
    """A sample of the model's text after that many steps."""

    number: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Saved:
    """A checkpoint was saved after that many steps."""

    number: int
    folder: Path


@dataclass(frozen=True)
class Finished:
    """The end of a training run, with its results."""

    number: int
    folder: Path
    results: Results
    why: Literal["budget", "patience", "asked"]


Event = TrainingStep | Evaluated | Sampled | Saved | Finished
"""What iterating over an experiment gives."""
