"""The contract of a preprocessor: records to rows of tensors, and a model's outputs back to what a user reads."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from unspool.batch import Batch, Domain, Tokens
from unspool.data.batching.collate import one_target
from unspool.data.predictions import Prediction
from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError, DataError
from unspool.registry import Registry
from unspool.schema import checked, from_json, validated

Record = Mapping[str, Any]
"""One example as it was read: raw text, bytes of a file, numbers; by the name of the field."""


@dataclass(frozen=True)
class Saved:
    """What preprocessor.json holds."""

    kind: str
    options: dict[str, Any]
    fitted: dict[str, Any]


class Row(NamedTuple):
    """A record as tensors.

    >>> import torch
    >>> Row(torch.tensor([5, 6])).target is None
    True
    """

    input: Tensor  # (T,) ids or (T, size) numbers; the source where the model has an encoder
    target: Tensor | None = None  # (), (size,), (T,) or (U,); None where the record has no target


class Preprocessor(ABC):
    """Turns records into rows of tensors, and a model's outputs into predictions; fitted once and saved with the run.

    The constructor takes the tokenizers named in `tokenizers`, then the recipe's [preprocessor] section. What `fit`
    learns (means, units, spreads) is what `fitted` gives and `restore` takes, so that a trained model can be applied to
    new records without its training data. Records hold raw values, so encoding is the same in training and afterwards.

    >>> symbols = preprocessors.build("preprocessor", "symbols", size=4)
    >>> row = symbols.encode({"source": "2 0", "target": "0 2"})
    >>> symbols.collate([row]).source.tolist()
    [[2, 0]]
    """

    tokenizers: ClassVar[Mapping[str, str]] = {}
    """The recipe's sections for tokenizers, and the default kind of each; the constructor takes them by these names."""
    fields: ClassVar[Mapping[str, str]] = {}
    """The fields of a record that `encode` needs without a target, and for each the key of [data] with its column.

    An empty key: the column has the name of the field.
    """

    endings: ClassVar[Sequence[str]] = ()
    """The endings of the files that its first field may name, such as ".png"; empty where it names none."""
    example: ClassVar[str] = ""
    """An input as somebody types it behind `unspool predict RUN`; "": files, or the rows of a table."""
    learned: ClassVar[Mapping[str, Any]] = {}
    """What `fitted` gives, and the type of each, which is checked before `restore` takes it."""

    inputs: Domain
    targets: Domain
    source: Domain | None = None

    def texts(self, records: Any) -> dict[str, str]:
        """The text that each tokenizer is fitted to, of one part of the data."""
        return {}

    def fit(self, records: Any) -> None:  # noqa: B027
        """Learn from the training records what encoding needs, after the tokenizers were fitted."""

    @abstractmethod
    def encode(self, record: Any) -> Row:
        """A record as tensors. Raises: DataError for a record that cannot be encoded."""

    def collate(self, rows: Sequence[Row]) -> Batch:
        """Rows side by side: by default sequences with one target each, predicted at their last position."""
        return one_target([row.input for row in rows], answers(rows, self.targets))

    def decode(self, output: Any, record: Record) -> Prediction:
        """A model's output for one record as a prediction. Raises: ConfigError where nothing is predicted."""
        raise ConfigError("this model predicts nothing for single records", hint="use `unspool sample`")

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of input ids, as a picture shows them."""
        return [str(id) for id in ids]

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of target ids."""
        return self.input_labels(ids)

    def source_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of the ids of a source."""
        return [str(id) for id in ids]

    def options(self) -> dict[str, Any]:
        """The constructor's options, so that the same preprocessor can be made again: attributes of the same names."""
        names = [name for name in signature(type(self)).parameters if name not in self.tokenizers]
        return {name: getattr(self, name) for name in names}

    def fitted(self) -> dict[str, Any]:
        """What `fit` learned, as JSON can hold it."""
        return {}

    def restore(self, fitted: Mapping[str, Any]) -> None:  # noqa: B027
        """Take back what `fitted` gave."""


preprocessors: Registry[Preprocessor] = Registry("preprocessor", "unspool.data.preprocessors")
"""Every kind of preprocessor."""


def save_preprocessor(preprocessor: Preprocessor) -> str:
    """The preprocessor as JSON text; its tokenizers are kept in files of their own."""
    kind = preprocessors.kind_of(type(preprocessor))
    data = {"kind": kind, "options": preprocessor.options(), "fitted": preprocessor.fitted()}
    return json.dumps(data, indent=1)


def load_preprocessor(text: str, tokenizers: Mapping[str, Tokenizer]) -> Preprocessor:
    """The preprocessor that `save_preprocessor` wrote, with its tokenizers. Raises: DataError where it is damaged."""
    hint = "the run folder is damaged: copy it again or train anew"
    try:
        data = from_json(text, Saved)
        cls = preprocessors.find(data.kind)
        given = {name: tokenizers[name] for name in cls.tokenizers}
        options = validated(cls, data.options, "options", f"the preprocessor {data.kind!r}", given)
        preprocessor = cls(**given, **options)
        preprocessor.restore({name: checked(data.fitted[name], wanted) for name, wanted in cls.learned.items()})
    except (KeyError, ValueError, ConfigError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"preprocessor.json cannot be used: {what}", hint=hint) from None
    return preprocessor


def required(record: Record, field: str) -> Any:
    """A field of a record that must not be empty. Raises: DataError where it is missing or empty."""
    value = record.get(field)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"the field {field!r} is {'missing' if value is None else 'empty'}", hint="fill it in")
    return value


def answers(rows: Sequence[Row], targets: Domain) -> list[Tensor]:
    """The targets of rows with one each; zeros where a record has none, so that it can be predicted."""
    empty = torch.tensor(0) if isinstance(targets, Tokens) else torch.zeros(targets.size)
    return [empty if row.target is None else row.target for row in rows]
