"""The table of a sweep: what came of each combination of settings, over its seeds."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from unspool import files
from unspool.runs.evaluation import Results


@dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Args:
        settings: the values of the settings that vary.
        seed: of the run.
        run: its folder.
        results: its figures, as in results.json; {}: it is not finished.
        error: why it failed; "": it did not.
    """

    settings: dict[str, Any]
    seed: int
    run: Path
    results: Results
    error: str = ""


@dataclass(frozen=True)
class SweepRow:
    """One combination of settings.

    Args:
        settings: its values.
        seeds: how many of its runs are finished.
        metric: the key of results.json that is averaged: the validation loss, or without it the training loss.
        mean: over the seeds; None where none is finished.
        low, high: the least and the largest.
        seconds: of training, in the mean.
        best: whether no other row has a lower mean.
        errors: why runs failed.
    """

    settings: dict[str, Any]
    seeds: int
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    seconds: float | None
    best: bool
    errors: list[str]

    def cells(self) -> tuple[str, ...]:
        """The row in words, without the settings: seeds, mean with spread, seconds."""
        if self.mean is None or self.seconds is None:
            return str(self.seeds), self.errors[0] if self.errors else "not finished", ""
        spread = f" ({self.low:.4f} to {self.high:.4f})" if self.seeds > 1 else ""
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return str(self.seeds), f"{self.mean:.4f}{spread}{' best' if self.best else ''}{failed}", f"{self.seconds:.1f}"


def metric_of(members: Sequence[Member]) -> str:
    """The figure by which runs are compared: the first validation loss that there is, else the training loss."""
    names = [name for member in members for name in member.results]
    return next((name for name in names if name.startswith("valid/") and name.endswith("/loss")), "train/loss")


def table_of(members: Sequence[Member]) -> list[SweepRow]:
    """A row for each combination of settings, in the order of the members.

    Args:
        members: with `settings`, `seed`, `run`, `results` and `error`.
    """
    metric = metric_of(members)
    groups: dict[str, list[Member]] = {}
    for member in members:
        groups.setdefault(repr(member.settings), []).append(member)
    means = {}
    for name, group in groups.items():
        if values := values_of(group, metric):
            means[name] = mean(values)
    best = min(means.values(), default=None)
    rows = []
    for name, group in groups.items():
        values, seconds = values_of(group, metric), values_of(group, "train/seconds")
        errors = [member.error for member in group if member.error]
        lowest = len(groups) > 1 and bool(values) and means[name] == best
        time = mean(seconds) if seconds else None
        low, high = min(values, default=None), max(values, default=None)
        row = SweepRow(group[0].settings, len(values), metric, means.get(name), low, high, time, lowest, errors)
        rows.append(row)
    return rows


def values_of(members: Sequence[Member], name: str) -> list[float]:
    """A figure of all members that have it."""
    return [value for member in members if (value := member.results.get(name)) is not None]


def save_table(folder: Path, plan: Mapping[str, Any], members: Sequence[Member]) -> None:
    """Write sweep.json (the plan, the table and the members) and sweep.csv (a line for each member)."""
    known = [{**vars(member), "run": member.run.name} for member in members]
    table = [asdict(row) for row in table_of(members)]
    files.write_text(folder / "sweep.json", json.dumps({**plan, "table": table, "members": known}, indent=1))
    settings = list(dict.fromkeys(key for member in members for key in member.settings))
    figures = list(dict.fromkeys(key for member in members for key in member.results))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", *settings, "seed", "error", *figures])
    for member in members:
        chosen = [member.settings.get(key) for key in settings]
        values = [member.results.get(key) for key in figures]
        writer.writerow([member.run.name, *chosen, member.seed, member.error, *values])
    files.write_text(folder / "sweep.csv", out.getvalue())
