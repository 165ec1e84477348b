"""What the JSON files of a run folder hold, as it is checked before it is used."""

from dataclasses import dataclass, field
from typing import Any, Literal

from unspool.schema import Count, Natural

FORMAT = 1
"""The version of the run folder: it grows when an older unspool could no longer read what is written."""


@dataclass(frozen=True)
class DomainOf:
    """What a model reads or predicts."""

    kind: Literal["Tokens", "UnalignedTokens", "Vectors"]
    size: Count


@dataclass(frozen=True)
class About:
    """What about.json says that loading depends on.

    Args:
        format: the version of the run folder.
        inputs: what the model reads.
        targets: what it predicts.
        source: what its encoder reads; None where it has none.
        fingerprint: of the data that it was trained on.
        directory: where the command was run: relative paths of the recipe are looked up from there.
        directory_from_run: the same relative to the run folder, which still holds when both were moved together.
    """

    inputs: DomainOf
    targets: DomainOf
    source: DomainOf | None = None
    fingerprint: str = ""
    directory: str = ""
    directory_from_run: str = ""
    format: Natural = FORMAT


@dataclass(frozen=True)
class Version:
    """The version of a run folder, which is read before anything else, and of the package that wrote it."""

    format: Natural = FORMAT
    unspool: str = ""


@dataclass(frozen=True)
class Manifest:
    """What manifest.json says: the SHA-256 of every file that a checkpoint depends on."""

    sha256: dict[str, str]


@dataclass(frozen=True)
class Progress:
    """What trainer.json says.

    Args:
        trainer: the plain part of the trainer's state, which the trainer checks.
        best: the best validation loss so far.
        best_number: after how many steps; 0 where there was no validation.
        stale: how many evaluations ago.
        overrides: settings that `resume` changed.
        memory: the peak of the memory in bytes, of the process and of a GPU.
    """

    trainer: dict[str, Any] = field(default_factory=dict)
    best: float = float("inf")
    best_number: Natural = 0
    stale: Natural = 0
    overrides: list[str] = field(default_factory=list)
    memory: dict[str, Natural] = field(default_factory=dict)
