"""The log of a run: metrics.jsonl, one JSON object a line, and TensorBoard where it is wanted."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from unspool.errors import ConfigError
from unspool.files import regular, writing
from unspool.schema import Finite, Natural, from_json

LONGEST_LINE = 2**20
"""So many characters a record has at most; a longer line is left out as a damaged one is."""


@dataclass(frozen=True)
class StepRecord:
    """What every record of a training step has."""

    kind: str
    step: Natural
    loss: Finite


@dataclass(frozen=True)
class ValidRecord(StepRecord):
    """What every record of an evaluation has."""

    set: str


@dataclass(frozen=True)
class OtherRecord:
    """What every other record has."""

    kind: str
    step: Natural


RECORDS: dict[str, type] = {"step": StepRecord, "valid": ValidRecord}


class Log:
    """Appends records to `metrics.jsonl`; every record has the step it belongs to.

    A run that is resumed from step N first removes the records after N: the file is that of an uninterrupted run.

    Args:
        folder: the run folder.
        after: the step that the run continues from.
        tensorboard: whether logs for TensorBoard are written too.
    """

    def __init__(self, folder: Path, after: int = 0, tensorboard: bool = False) -> None:
        self.path = folder / "metrics.jsonl"
        draft = self.path.with_name(".draft-metrics.jsonl")
        with writing(self.path):
            with draft.open("w", encoding="utf-8") as file:
                file.writelines(line for record, line in _lines(self.path) if record["step"] <= after)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
            self.file: TextIO = self.path.open("a", encoding="utf-8")
        self.board = _tensorboard(folder) if tensorboard else None

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Add one record."""
        with writing(self.path):
            self.file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        """Flush the file to the disk."""
        with writing(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close the files."""
        with writing(self.path):
            self.file.close()
        if self.board is not None:
            self.board.close()


def records(folder: Path, kind: str = "") -> list[dict[str, Any]]:
    """The records that a run has logged so far, of one kind or of all."""
    return [record for record, _ in _lines(folder / "metrics.jsonl") if kind in ("", record["kind"])]


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Complete records with their lines; what a crash cut short, or is no record, is left out."""
    if not path.exists():
        return
    with regular(path).open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in iter(lambda: file.readline(LONGEST_LINE), ""):
            try:
                record = from_json(line, dict[str, Any])
                from_json(line, RECORDS.get(str(record.get("kind")), OtherRecord))
            except ValueError:
                continue
            if line.endswith("\n"):
                yield record, line


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError("save.tensorboard needs tensorboard", hint="pip install tensorboard") from None
    return SummaryWriter(str(folder / "tensorboard"))
