"""The files that `unspool predict` writes: JSON lines, one JSON list, csv and tsv."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.data.predictions import Prediction

DELIMITERS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (*DELIMITERS, ".jsonl")


def check_new_file(out: Path | None) -> None:
    """Refuse a file to write whose format is not known, and one that is there already."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"the ending of {out} says nothing of its format", hint=f"use {', '.join(ENDINGS)}")
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already", hint="choose another --out: nothing is overwritten")


@runtime_checkable
class Sink(Protocol):
    """What text is written to: a file, standard output, or what stands in for it."""

    def write(self, text: str, /) -> Any:
        """Write a text."""

    def flush(self) -> Any:
        """Hand on everything that was written."""


@contextmanager
def opened(path: Path | None) -> "Iterator[Sink]":
    """The file of --out inside the block, or standard output; what is written stays, whatever happens."""
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("x", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="choose another --out") from None
    with file:
        yield file


class PredictionWriter:
    """Writes predictions behind the columns that a row has already, as JSON lines."""

    def __init__(self, stream: Sink) -> None:
        self.stream = stream

    def write(self, own: Mapping[str, Any], prediction: "Prediction") -> None:
        """One prediction."""
        self.stream.write(json.dumps(self.joined(own, prediction), ensure_ascii=False, default=str) + "\n")

    def joined(self, own: Mapping[str, Any], prediction: "Prediction") -> dict[str, Any]:
        """The columns of a row, then what is predicted; with a prefix where names are taken."""
        found = prediction.as_dict()
        return {**own, **prefixed(found, own)}

    def close(self) -> None:
        """Everything is written."""
        self.stream.flush()


class BriefLines(PredictionWriter):
    """The same for a terminal: of a forecast the values and the quantiles, without the paths that were drawn."""

    def joined(self, own: Mapping[str, Any], prediction: "Prediction") -> dict[str, Any]:
        """The columns of a row, then what is predicted, without sampled paths."""
        from unspool.data.predictions import Series

        found = super().joined(own, prediction)
        return {name: v for name, v in found.items() if not (isinstance(prediction, Series) and name == "samples")}


class JsonList(PredictionWriter):
    """Writes one JSON list."""

    def __init__(self, stream: Sink) -> None:
        super().__init__(stream)
        self.before = "["

    def write(self, own: Mapping[str, Any], prediction: "Prediction") -> None:
        """One prediction."""
        self.stream.write(self.before + json.dumps(self.joined(own, prediction), ensure_ascii=False, default=str))
        self.before = ",\n"

    def close(self) -> None:
        """The end of the list."""
        self.stream.write(("[" if self.before == "[" else "") + "]\n")
        super().close()


class Table(PredictionWriter):
    """Writes a csv or tsv file. Its header is known once something could be predicted, so earlier rows wait."""

    delimiter = ","

    def __init__(self, stream: Sink) -> None:
        super().__init__(stream)
        self.writer = csv.writer(stream, delimiter=self.delimiter, lineterminator="\n")
        self.waiting: list[tuple[Mapping[str, Any], Prediction]] = []
        self.header: list[str] = []

    def write(self, own: Mapping[str, Any], prediction: "Prediction") -> None:
        """One prediction: a row, or several of a series."""
        from unspool.data.predictions import Failure

        self.waiting.append((own, prediction))
        if self.header or not isinstance(prediction, Failure):
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        for own, prediction in self.waiting:
            for columns in prediction.columns():
                found = columns if "error" in columns else prefixed(columns, own)
                row = {**own, **found}
                if not self.header:
                    every = [*dict.fromkeys([*self.names(), *row])]
                    self.header = [*(name for name in every if name != "error"), "error"]
                    self.writer.writerow(self.header)
                self.writer.writerow([cell(row.get(name)) for name in self.header])
        self.waiting = []

    def names(self) -> list[str]:
        """The own columns of what waits, and what is predicted behind them."""
        from unspool.data.predictions import Failure

        own = [name for row, _ in self.waiting for name in row]
        good = [prefixed(p.columns()[0], row) for row, p in self.waiting if not isinstance(p, Failure)]
        return [*own, *(name for columns in good for name in columns)]

    def close(self) -> None:
        """Write what still waits: nothing could be predicted then."""
        self.flush()
        super().close()


class TabTable(Table):
    """The same with tabs."""

    delimiter = "\t"


def writer_for(out: Path | None) -> Callable[[Sink], PredictionWriter]:
    """What writes a file of that ending."""
    return {"": BriefLines, ".jsonl": PredictionWriter, ".csv": Table, ".tsv": TabTable}[
        out.suffix.lower() if out else ""
    ]


def prefixed(found: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What is predicted by name; all names get `predicted_` where one of them is taken.

    >>> prefixed({"label": "pos", "score": 0.9}, {"label": "neg"})
    {'predicted_label': 'pos', 'predicted_score': 0.9}
    """
    clash = any(name in own for name in found)
    return {f"predicted_{name}" if clash and name != "error" else name: value for name, value in found.items()}


def cell(value: Any) -> Any:
    """A value as a table holds it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else "" if value is None else value
