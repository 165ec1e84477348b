"""A few numbers as a vector, and a few numbers with one label."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.batch import Domain, Vectors
from unspool.data.named_numbers import NamedNumbers
from unspool.data.preprocessors.labels import LabelledRecord, label_id
from unspool.data.preprocessors.preprocessor import Record, Row, preprocessors, required
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Finite, Positive


class StandardizedNumbers:
    """Named numbers of a record as a vector, standardized by the training records.

    A record holds the numbers by name, as its own fields or together as its field `features`.

    >>> numbers = StandardizedNumbers()
    >>> numbers.fit([{"features": {"size": 1.0}}, {"features": {"size": 3.0}}])
    >>> numbers.vector({"size": "3"})
    tensor([1.])
    """

    learned: ClassVar[Mapping[str, Any]] = {"names": list[str], "mean": list[Finite], "scale": list[Positive]}

    def __init__(self) -> None:
        self.names: list[str] = []
        self.mean = self.scale = torch.zeros(0, dtype=torch.float64)

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the names of the numbers, and mean and standard deviation of each."""
        if not records:
            return
        self.names = list(records[0]["features"])
        values = torch.stack([self.values(record) for record in records])
        self.mean, self.scale = values.mean(dim=0), values.std(dim=0, correction=0)
        self.scale[self.scale == 0] = 1.0

    def values(self, record: Record) -> Tensor:
        """The numbers of a record, (size,) in double precision. Raises: DataError for one that is none."""
        given = record.get("features", record)
        given = given if isinstance(given, Mapping) else record
        if isinstance(given, NamedNumbers) and list(given.names) == self.names:
            return torch.from_numpy(given.array)
        return torch.tensor([field_value(given, name) for name in self.names], dtype=torch.float64)

    def vector(self, record: Record) -> Tensor:
        """The standardized numbers, (size,). Raises: DataError for one that is none."""
        return ((self.values(record) - self.mean) / self.scale).float()

    def fitted(self) -> dict[str, Any]:
        """The names of the numbers, and mean and standard deviation of each."""
        return {"names": self.names, "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take all of that back. Raises: ValueError where there is not one mean and one scale for each name."""
        if not len(fitted["names"]) == len(fitted["mean"]) == len(fitted["scale"]):
            raise ValueError("names, mean and scale are not equally long")
        self.names = [str(name) for name in fitted["names"]]
        self.mean, self.scale = (torch.tensor(fitted[key], dtype=torch.float64) for key in ("mean", "scale"))


@preprocessors.register("labelled-numbers")
class LabelledNumbers(LabelledRecord):
    r"""A few numbers as a sequence of length one, standardized by the training records, and their label.

    A record holds the numbers by name, as its own fields or together as its field `features`.

    Args:
        labels: the tokenizer of the labels.

    >>> from unspool.data.tokenizer import tokenizers
    >>> numbers = LabelledNumbers(tokenizers.build("labels", "label").fit("no\nyes\n"))
    >>> numbers.fit([{"features": {"size": 1.0}, "label": "no"}, {"features": {"size": 3.0}, "label": "yes"}])
    >>> numbers.encode({"size": "3", "label": "yes"})
    Row(input=tensor([[1.]]), target=tensor(1))
    """

    learned: ClassVar[Mapping[str, Any]] = StandardizedNumbers.learned

    def __init__(self, labels: Tokenizer) -> None:
        self.labels = labels
        self.numbers = StandardizedNumbers()

    @property
    def fields(self) -> Mapping[str, str]:  # type: ignore[override]
        """The names of the numbers: each stands in a column of its own."""
        return dict.fromkeys(self.numbers.names, "")

    @property
    def inputs(self) -> Domain:  # type: ignore[override]
        """The numbers."""
        return Vectors(len(self.numbers.names))

    def fit(self, records: Sequence[Record]) -> None:
        """Learn the names of the numbers, and mean and standard deviation of each."""
        self.numbers.fit(records)

    def encode(self, record: Record) -> Row:
        """The standardized numbers (1, size), and the id of the label ()."""
        return Row(self.numbers.vector(record).unsqueeze(0), label_id(record, self.labels))

    def fitted(self) -> dict[str, Any]:
        """The names of the numbers, and mean and standard deviation of each."""
        return self.numbers.fitted()

    def restore(self, fitted: Mapping[str, Any]) -> None:
        """Take all of that back. Raises: ValueError where there is not one mean and one scale for each name."""
        self.numbers.restore(fitted)


def field_value(record: Record, name: str) -> float:
    """A field of a record as a number. Raises: DataError where it is none, or not finite.

    >>> field_value({"size": "1e3"}, "size")
    1000.0
    """
    value = required(record, name)
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = float("nan")
    if not isfinite(found):
        raise DataError(f"{value!r} in the field {name!r} is not a number", hint="correct it")
    return found
