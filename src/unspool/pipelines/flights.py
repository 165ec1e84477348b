"""Flights: where something in a box will be."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from unspool.batch import Batch
from unspool.data.predictions import Failure
from unspool.data.preprocessors.flight import FlightPlaces
from unspool.data.preprocessors.preprocessor import Record, Row
from unspool.errors import DataError
from unspool.generate.rollout import Roller
from unspool.models.sequence import SequenceModel
from unspool.pipelines.pipeline import Predictor, checked
from unspool.schema import Count, Natural


class FlightForecaster(Predictor):
    """The next places of flights, each from the predicted place before it.

    Args:
        model: the trained model.
        preprocessor: the one that it was trained with.
        frames: so many of the last places are read for each prediction; 0: all of them.
        horizon: so many places are predicted.
    """

    preprocessor: FlightPlaces

    def __init__(
        self, model: SequenceModel, preprocessor: FlightPlaces, frames: Natural = 0, horizon: Count = 50
    ) -> None:
        super().__init__(model, preprocessor)
        self.frames, self.horizon = frames, horizon

    def encode(self, record: Record) -> Row:
        """The places of a flight. Raises: DataError where there are fewer than the model reads."""
        row = super().encode(record)
        if len(row.input) < self.frames:
            raise DataError(f"the flight has {len(row.input)} places, and {self.frames} are read", hint="give more")
        return row

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """The next places (horizon, 2) of each flight, in box widths."""
        lengths = batch.loss_mask.int().argmax(dim=1) + 1
        found: dict[int, Tensor] = {}
        for length in lengths.unique().tolist():  # flights of one length go on together
            numbers = (lengths == length).nonzero().flatten()
            found |= dict(zip(numbers.tolist(), self.follow(batch.inputs[numbers, :length]), strict=True))
        return [found[number] for number in range(len(lengths))]

    def follow(self, inputs: Tensor) -> Tensor:
        """The next places (B, horizon, 2) of flights of one length, (B, T, 2) as they are read."""
        last = (inputs[:, -1] + 1) / 2
        now = last

        def feed(step: int, move: Tensor) -> Tensor:
            nonlocal now
            now = now + self.preprocessor.speed * move
            return self.preprocessor.scale(now)

        moves = Roller(self.model)(inputs, self.horizon, feed, window=self.frames)
        return last.unsqueeze(1) + self.preprocessor.speed * moves.cumsum(dim=1)

    def records(
        self, rows: Iterable[Mapping[str, Any] | Failure], columns: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, Any], Record | Failure]]:
        """The rows of a table, in order of time, as one record for each flight; a `Failure` for one with a bad row."""
        found: dict[str, dict[str, list[Any]]] = {}
        failures: dict[str, Failure] = {}
        for line, row in enumerate(rows, start=1):
            entries = getattr(row, "row", {}) if isinstance(row, Failure) else row
            name = str(entries.get(columns["flight"], ""))
            flight = found.setdefault(name, {"across": [], "up": []})
            lacks = next((column for column in columns.values() if column not in entries), None)
            if isinstance(row, Failure):
                failures.setdefault(name, row)
            elif lacks is not None:
                failures.setdefault(name, Failure(f"row {line}: there is no column {lacks!r}"))
            else:
                for field, places in flight.items():
                    places.append(row[columns[field]])
        for name, flight in found.items():
            failed = failures.get(name)
            yield checked(self, "flight", {"flight": name, **flight}) if failed is None else ({"flight": name}, failed)
