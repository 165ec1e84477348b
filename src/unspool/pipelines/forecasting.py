"""Forecasting: the next values of series of numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from zlib import crc32

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.predictions import Failure
from unspool.data.preprocessors.preprocessor import Record
from unspool.data.preprocessors.series import ScaledSeries, SeriesBatch
from unspool.data.series import series_name, series_value
from unspool.data.splits import Splits
from unspool.data.times import order, time_column
from unspool.errors import DataError
from unspool.generate.rollout import Roller
from unspool.models.sequence import SequenceModel
from unspool.pipelines.pipeline import Predictor, checked
from unspool.schema import Count
from unspool.seeds import mix


class Forecaster(Predictor):
    """How series of numbers go on: their median, and quantiles where the model predicts a distribution.

    Args:
        model: the trained model.
        preprocessor: the one that it was trained with.
        horizon: so many steps are forecast.
        paths: so many paths are drawn from a model that predicts a distribution (`model.components` above 0); of
            any other the means are fed back, as one path.
        seed: of the paths; those of a series do not depend on the series beside it.
    """

    preprocessor: ScaledSeries

    def __init__(
        self,
        model: SequenceModel,
        preprocessor: ScaledSeries,
        horizon: Count = 24,
        paths: Count = 100,
        seed: int = 0,
    ) -> None:
        super().__init__(model, preprocessor)
        self.horizon, self.paths, self.seed = horizon, paths, seed

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """Paths (N, horizon) of each series: how far each scaled value is from the last known one."""
        given, roller = cast(SeriesBatch, batch), Roller(self.model)
        known = cast(Tensor, given.paths)
        count = self.paths if roller.predicts_distribution else 1
        paths = known.repeat_interleave(count, dim=0)
        starts = [start for start in given.starts for _ in range(count)]

        def feed(step: int, move: Tensor) -> Tensor:
            nonlocal paths
            paths = torch.cat([paths, paths[:, -1:] + move], dim=1)
            return self.preprocessor.step(paths, starts, self.preprocessor.context + step)

        seeds = (
            [mix(self.seed, crc32(row.numpy().tobytes())) for row in known] if roller.predicts_distribution else None
        )
        moves = roller(given.inputs.repeat_interleave(count, dim=0), self.horizon, feed, seed=seeds)
        return list(moves.squeeze(-1).cumsum(dim=1).view(len(known), count, self.horizon))

    def columns(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the values (one or several), and those of the name and the time where [data] says them."""
        named = {field: data.get(key) for field, key in self.preprocessor.fields.items() if data.get(key)}
        return {"values": data.get("column") or "value", **named}

    def known_records(self, splits: Splits[Any]) -> list[Record]:
        """Every series of the data with all its parts, to be forecast behind its last value."""
        found: dict[str, dict[str, Any]] = {}
        for part in (splits.train, splits.valid, splits.test):
            for record in part:
                whole = found.setdefault(record["series"], {"series": record["series"], "values": [], "times": []})
                whole["values"] += record["values"]
                whole["times"] += record.get("times", [])
        return list(found.values())

    def records(
        self, rows: Iterable[Mapping[str, Any] | Failure], columns: Mapping[str, Any]
    ) -> Iterator[tuple[Mapping[str, Any], Record | Failure]]:
        """The rows of a table, in order of time, as one record for each series.

        A series with a row that cannot be used becomes a `Failure`.

        Args:
            rows: what stands in each column.
            columns: for each field of a record the column that it stands in; `values` may name several.
        """
        found: dict[str, dict[str, list[Any]]] = {}
        failures: dict[str, Failure] = {}
        group, time = columns.get("series", ""), columns.get("times", "")
        values = [columns["values"]] if isinstance(columns["values"], str) else list(columns["values"])
        for line, row in enumerate(rows, start=1):
            entries = getattr(row, "row", {}) if isinstance(row, Failure) else row
            for column in values:
                name = series_name(dict(entries), group, column, len(values) > 1)
                series = found.setdefault(name, {"values": [], "times": []})
                try:
                    if isinstance(row, Failure):
                        raise DataError(row.error)
                    time = time or time_column(row, (group, *values))
                    lacks = next((one for one in (column, group, time) if one and one not in row), None)
                    if lacks is not None:
                        raise DataError(f"row {line}: there is no column {lacks!r}")
                    series["values"].append(series_value(row[column], column, f"row {line}"))
                    series["times"] += [row[time]] if time else []
                except DataError as error:
                    failures.setdefault(name, Failure(f"{error}"))
        for name, series in found.items():
            if name in failures:
                yield {"series": name}, failures[name]
            else:
                if numbers := order([str(one).strip() for one in series["times"]]):
                    series = {key: [entries[n] for n in numbers] for key, entries in series.items()}
                yield checked(self, "series", {"series": name, **series})
