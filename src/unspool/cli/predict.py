"""The verb that applies a trained model to new inputs."""

import csv
import glob
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Protocol, runtime_checkable

import typer

from unspool.cli.captions import show_captions
from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, say
from unspool.errors import ConfigError, DataError, UnspoolError

if TYPE_CHECKING:
    from unspool.data.predictions import Prediction
    from unspool.pipelines.pipeline import Predictor
    from unspool.runs.run import Run

EVERY = 2.0
"""Seconds between two lines of progress."""
DELIMITERS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (*DELIMITERS, ".jsonl")


@app.command()
def predict(
    run: RunPath,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(help="Texts, or files and folders of images or sounds; one prediction each.", metavar="INPUT"),
    ] = None,
    file: Annotated[str | None, typer.Option(help="A csv, tsv, jsonl, txt, conll or parquet file of rows.")] = None,
    out: Annotated[Path | None, typer.Option(help="A new csv, tsv or jsonl file; standard output without it.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Where a field stands, as field=column: --column text=review.")
    ] = None,
    top: Annotated[int, typer.Option(help="So many labels, fills or alternatives; 0 is all.", min=0, max=10**6)] = 0,
    beam: Annotated[
        int, typer.Option(help="Search with N beams where text is generated; 0: as trained.", min=0, max=1000)
    ] = 0,
    horizon: Annotated[int, typer.Option(help="Forecast N steps; 0: as many as in training.", min=0, max=10**6)] = 0,
    paths: Annotated[int, typer.Option(help="Draw N paths of each forecast; 0: as trained.", min=0, max=10**4)] = 0,
    seed: Annotated[int, typer.Option(help="Of the paths that are drawn.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Inputs that are run at once.", min=1, max=10**5)] = 64,
    live: Annotated[
        str | None, typer.Option("--stream", help="A sound that is written down while it goes on; - is standard input.")
    ] = None,
    rate: Annotated[
        int, typer.Option(help="Samples a second of raw 16-bit samples on standard input.", min=0, max=10**6)
    ] = 0,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Apply a trained model to new inputs: labels, tags, numbers, translations, captions, fills, forecasts.

    Inputs are the arguments, else the rows of --file, else the lines of standard input, or its rows where it is a table
    with a header. A row that cannot be used gets an error instead of a prediction, and the others go on. With --stream
    text appears while a sound goes on.
    """
    from unspool.runs.run import Run, predictor_of

    load_plugins(plugin)
    check_new_file(out)
    if inputs and file is not None:
        raise ConfigError("inputs and --file are both given", hint="leave one of them out")
    loaded = Run.load(run, device)
    asked = {"beam": beam, "horizon": horizon, "paths": paths, "seed": seed}
    pipeline = predictor_of(loaded, **{name: value for name, value in asked.items() if value})
    if live is not None:
        if inputs or file is not None or out is not None or beam:
            hint = f"unspool predict {run} --stream {live}"
            raise ConfigError("--stream goes with --rate and --json alone", hint=hint)
        show_captions(pipeline, live, rate, as_json)
        return
    columns = columns_of(loaded, pipeline, column or ())
    pairs = given_records(loaded, pipeline, columns, inputs, file)
    with opened(out) as stream:
        writer: PredictionWriter = JsonList(stream) if as_json else writer_for(out)(stream)
        total, failed, last = write_all(pipeline, pairs, writer, batch_size, top)
    if failed:
        say(f"{failed:,} of {total:,} rows have an error" + (f", the last: {last}" if last else ""))
    if out is not None:
        say(f"{total:,} rows in {out}")
    if failed == total:
        raise DataError(f"nothing could be predicted: {last or 'there are no rows'}", hint="correct the input")


def check_new_file(out: Path | None) -> None:
    """Refuse a file to write whose format is not known, and one that is there already."""
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"the ending of {out} says nothing of its format", hint=f"use {', '.join(ENDINGS)}")
    if out is not None and out.exists():
        raise ConfigError(f"{out} is there already", hint="choose another --out: nothing is overwritten")


def columns_of(run: "Run", pipeline: "Predictor", given: Sequence[str]) -> dict[str, Any]:
    """For each field of a record the column that it stands in: as in training, unless it is given."""
    fields = pipeline.preprocessor.fields
    columns = pipeline.columns(run.recipe.get("data", {}))
    for one in given:
        field, equals, name = one.partition("=")
        if not equals or field not in fields:
            raise ConfigError(
                f"cannot read --column {one}", hint=f"write it as FIELD=COLUMN; the fields are {', '.join(fields)}"
            )
        columns[field] = name
    return columns


Pair = tuple[Mapping[str, Any], Any]
"""The columns that go before a prediction, and the record that is to be predicted or a Failure."""


def given_records(
    run: "Run", pipeline: "Predictor", columns: Mapping[str, Any], inputs: Sequence[str] | None, file: str | None
) -> Iterator[Pair]:
    """The records that are to be predicted: of the arguments, of --file, of standard input, else of the run's data."""
    from unspool.data.readers.streams import first_rows, options_for, stream_rows

    names = [(one, field) for field, found in columns.items() for one in ([found] if isinstance(found, str) else found)]
    first = next((name for name, _ in names), "")
    if inputs:
        if not columns:
            raise ConfigError("this model takes rows of numbers", hint="--file TABLE.csv")
        every = [name for one in inputs for name in expanded(one, pipeline.preprocessor.endings)]
        return pipeline.records(iter([{first: one} for one in every]), columns)
    if file is None and sys.stdin.isatty():
        return known_records(run, pipeline)
    options = options_for(file or "-", run.recipe.get("data", {}))
    beginning, rows = first_rows(stream_rows(file or "-", first, options, [name for name, _ in names]), 1)
    if file is None and not beginning:
        return known_records(run, pipeline)
    missing = [c for row in beginning if isinstance(row, dict) for c, _ in names if c not in row]
    if missing:
        known = ", ".join(map(str, list(beginning[0])[:10]))  # type: ignore[arg-type]
        hint = (
            f"--column {dict(names)[missing[0]]}=COLUMN"
            if file
            else f"unspool predict {quote(run.name)} --file TABLE.csv"
        )
        raise DataError(f"{file or 'standard input'} has no column {missing[0]!r}: it has {known}", hint=hint)
    pairs = pipeline.records(rows, columns)
    return beside(file, pairs) if file is not None and pipeline.preprocessor.endings else pairs


def beside(table: str, pairs: Iterator[Pair]) -> Iterator[Pair]:
    """The records of a table that names files: where there is none of that name here, it may be beside the table."""
    folder = os.path.dirname(os.path.expanduser(table))

    def found(value: Any) -> Any:
        there = os.path.join(folder, str(value))
        return there if not os.path.exists(str(value)) and os.path.isfile(there) else value

    for own, record in pairs:
        yield own, {key: found(v) for key, v in record.items()} if isinstance(record, Mapping) else record


def known_records(run: "Run", pipeline: "Predictor") -> Iterator[Pair]:
    """What can be predicted without an input: how the series that a forecaster was trained on go on.

    Raises: ConfigError where the model needs an input, or the data cannot be read again.
    """
    from unspool.pipelines.pipeline import ContinuesData
    from unspool.runs.loading import load_data

    command = f"unspool predict {quote(run.name)} --file"
    if not isinstance(pipeline, ContinuesData) or run.checkpoint is None:
        raise ConfigError("no input is given", hint=f"{command} TABLE.csv")
    data = run.recipe.get("data", {})
    path = data.get("path", "")
    try:
        records = pipeline.known_records(load_data(run.recipe, run.checkpoint.run))
    except UnspoolError as error:
        hint = f"{command} {quote(path) if os.path.isfile(path) else 'TABLE.csv'}"
        raise ConfigError(f"no input is given, and the data cannot be read again: {error}", hint=hint) from None
    say(f"no input is given: forecasts go on behind the last row of {path or data.get('corpus')}")
    return (({}, record) for record in records)


def expanded(argument: str, endings: Sequence[str]) -> list[str]:
    """A text as it is; a folder or a pattern as the files that it means."""
    if not endings:
        return [argument]
    if os.path.isdir(argument):
        found = [str(path) for path in Path(argument).rglob("*") if path.suffix.lower() in endings]
    else:
        found = glob.glob(argument, recursive=True) or [argument]
    if not found:
        raise DataError(f"there is no {', '.join(endings)} file in {argument}", hint="name another folder")
    return sorted(found)


def write_all(
    pipeline: "Predictor",
    pairs: "Iterable[Pair]",
    writer: "PredictionWriter",
    batch_size: int,
    top: int,
) -> tuple[int, int, str]:
    """Write a prediction for each record: how many there were, how many failed, and the last error."""
    from unspool.data.predictions import Failure

    own: deque[Mapping[str, Any]] = deque()

    def records() -> Iterator[Any]:
        for before, record in pairs:
            own.append(before)
            yield record

    total = failed = 0
    last, shown = "", monotonic()
    for prediction in pipeline.predict(records(), batch_size):
        writer.write(own.popleft(), shortened(prediction, top))
        total += 1
        if isinstance(prediction, Failure):
            failed, last = failed + 1, prediction.error
        if monotonic() - shown > EVERY:
            shown = monotonic()
            say(f"{total:,} rows")
    writer.close()
    return total, failed, last


def shortened(prediction: "Prediction", top: int) -> "Prediction":
    """A prediction with so many of its labels, fills or alternatives; 0: all."""
    from dataclasses import replace

    from unspool.data.predictions import Fills, Label, Text

    if not top:
        return prediction
    if isinstance(prediction, Label):
        best = sorted(prediction.scores.items(), key=lambda one: -one[1])[:top]
        return replace(prediction, scores=dict(best))
    if isinstance(prediction, Fills):
        return replace(prediction, fills=[blank[:top] for blank in prediction.fills])
    if isinstance(prediction, Text):
        return replace(prediction, alternatives=prediction.alternatives[:top])
    return prediction


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
