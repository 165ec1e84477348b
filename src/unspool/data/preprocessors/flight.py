"""Flights through a box: where something is, frame by frame."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.batch import Vectors
from unspool.data.predictions import Flight, Prediction
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row, preprocessors, required
from unspool.data.preprocessors.series import finite_values
from unspool.errors import DataError
from unspool.schema import Positive


@preprocessors.register("flight")
class FlightPlaces(Preprocessor):
    """The places of a flight: how far each is from the middle, across and up, in half box widths.

    A record holds `across` and `up`, the places in box widths from the lower left corner, and may hold the name of its
    `flight`.

    Args:
        speed: the unit of the predicted moves, in box widths a frame.

    >>> FlightPlaces().encode({"across": [0.5, 0.75], "up": [0, 0]}).input.tolist()
    [[0.0, -1.0], [0.5, -1.0]]
    """

    fields: ClassVar[Mapping[str, str]] = {"flight": "flight", "across": "across", "up": "up"}
    inputs = targets = Vectors(2)

    def __init__(self, speed: Positive = 0.1) -> None:
        self.speed = speed

    def encode(self, record: Record) -> Row:
        """The places (T, 2). Raises: DataError where they are no numbers, or there are none."""
        across, up = finite_values(required(record, "across")), finite_values(required(record, "up"))
        if not len(across) or len(across) != len(up):
            raise DataError(
                f"the flight has {len(across)} places across and {len(up)} up", hint="give both of each place"
            )
        return Row(self.scale(torch.stack([across, up], dim=1).float()))

    def scale(self, places: Tensor) -> Tensor:
        """Places in box widths as a model reads them.

        >>> FlightPlaces().scale(torch.tensor([0.0, 1.0])).tolist()
        [-1.0, 1.0]
        """
        return 2 * places - 1

    def decode(self, output: Float[Tensor, "H 2"], record: Record) -> Prediction:
        """The next places, in box widths."""
        across, up = output.T.tolist()
        return Flight(str(record.get("flight", "")), list(range(1, len(across) + 1)), across, up)
