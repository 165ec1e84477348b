"""The verb that applies a trained model to new inputs."""

import glob
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.cli.captions import show_captions
from unspool.cli.prediction_files import JsonList, PredictionWriter, check_new_file, opened, writer_for
from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, say
from unspool.errors import ConfigError, DataError, UnspoolError

if TYPE_CHECKING:
    from unspool.data.predictions import Prediction
    from unspool.pipelines.pipeline import Predictor
    from unspool.runs.run import Run

EVERY = 2.0
"""Seconds between two lines of progress."""

Inputs = Annotated[
    list[str] | None,
    typer.Argument(help="Texts, or files and folders of images or sounds; one prediction each.", metavar="INPUT"),
]
TableFile = Annotated[str | None, typer.Option(help="A csv, tsv, jsonl, txt, conll or parquet file of rows.")]
NewTable = Annotated[Path | None, typer.Option(help="A new csv, tsv or jsonl file; standard output without it.")]
Columns = Annotated[list[str] | None, typer.Option(help="Where a field stands, as field=column: --column text=review.")]
Top = Annotated[int, typer.Option(help="So many labels, fills or alternatives; 0 is all.", min=0, max=10**6)]
Beam = Annotated[int, typer.Option(help="Search with N beams where text is generated; 0: as trained.", min=0, max=1000)]
Horizon = Annotated[int, typer.Option(help="Forecast N steps; 0: as many as in training.", min=0, max=10**6)]
Paths = Annotated[int, typer.Option(help="Draw N paths of each forecast; 0: as trained.", min=0, max=10**4)]
PathSeed = Annotated[int, typer.Option(help="Of the paths that are drawn.")]
BatchSize = Annotated[int, typer.Option(help="Inputs that are run at once.", min=1, max=10**5)]
Live = Annotated[
    str | None, typer.Option("--stream", help="A sound that is written down while it goes on; - is standard input.")
]
Rate = Annotated[int, typer.Option(help="Samples a second of raw 16-bit samples on standard input.", min=0, max=10**6)]


@app.command()
def predict(
    run: RunPath,
    inputs: Inputs = None,
    file: TableFile = None,
    out: NewTable = None,
    column: Columns = None,
    top: Top = 0,
    beam: Beam = 0,
    horizon: Horizon = 0,
    paths: Paths = 0,
    seed: PathSeed = 0,
    batch_size: BatchSize = 64,
    live: Live = None,
    rate: Rate = 0,
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
    report_rows(total, failed, last, out)


def report_rows(total: int, failed: int, last: str, out: Path | None) -> None:
    """Say how many rows there are and how many failed. Raises: DataError where all of them failed."""
    if 0 < failed < total:
        say(f"{failed:,} of {total:,} rows have an error" + (f", the last: {last}" if last else ""))
    if out is not None:
        say(f"{total:,} rows in {out}")
    if failed == total:
        what = f"of {total:,} rows none could be predicted, the last: {last}" if total > 1 else last
        raise DataError(f"nothing could be predicted: {what or 'there are no rows'}", hint="correct the input")


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
        if len(names) > 1 and not pipeline.preprocessor.endings:
            what = f"this model takes {len(names)} numbers of each row: {', '.join(name for name, _ in names)}"
            raise ConfigError(what, hint=f"unspool predict {quote(run.name)} --file FILE.csv, with these columns")
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
    from unspool.data.readers.text import files_below

    if os.path.isdir(argument):
        found = files_below(argument, endings)
    else:
        found = glob.glob(argument, recursive=True) or [argument]
    return sorted(found) or [argument]  # a folder without any: an error row of its own


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
