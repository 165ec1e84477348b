"""The contract of a pipeline: how a trained model is used."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, Protocol, runtime_checkable

from unspool.batch import Batch
from unspool.data.predictions import Failure, Prediction
from unspool.data.preprocessors.preprocessor import Preprocessor, Record, Row
from unspool.data.splits import Splits
from unspool.errors import ConfigError, DataError
from unspool.generate.engine import Engine
from unspool.models.sequence import SequenceModel
from unspool.schema import Count

SORTED_BATCHES = 32
"""So many batches of records are sorted by length together, so that little is padded."""
USUAL_LENGTH = 1024
"""A batch has as many rows as are asked for up to this length; of longer ones fewer, so that memory stays bounded."""


class Pipeline(ABC):
    """A trained model with its preprocessor, ready for use; a subclass's further keyword arguments are its options.

    Args:
        model: a trained model.
        preprocessor: the one that it was trained with.

    >>> issubclass(Predictor, Pipeline), Predictor.verb
    (True, 'predict')
    """

    verb: ClassVar[str]
    """The command that runs it: "predict" or "sample"."""

    def __init__(self, model: SequenceModel, preprocessor: Preprocessor) -> None:
        self.model, self.preprocessor, self.engine = model, preprocessor, Engine(model)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.preprocessor).__name__})"


class Predictor(Pipeline):
    r"""Predicts record by record: `encode`, `collate`, `forward`, `decode`.

    A subclass defines `forward`; everything else follows from its preprocessor.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, preprocessors, tokenizers
    >>> from unspool.pipelines.classification import SequenceClassification
    >>> words, labels = tokenizers.build("tokenizer", "byte"), tokenizers.build("labels", "label").fit("neg\npos\n")
    >>> preprocessor = preprocessors.build("preprocessor", "labelled-text", tokenizer=words, labels=labels)
    >>> core = cores.build("core", "recurrent", width=8)
    >>> model = SequenceModel(embedding(preprocessor.inputs, 8), core, head(preprocessor.targets, 8))
    >>> label, failure = SequenceClassification(model, preprocessor).predict([{"text": "fine"}, {"text": ""}])
    >>> sorted(label.scores), failure.error
    (['neg', 'pos'], "the field 'text' is empty")
    """

    verb = "predict"

    @abstractmethod
    def forward(self, batch: Batch) -> Sequence[Any]:
        """The model's output for each row of a batch, as the preprocessor's `decode` takes it."""

    def predict(self, records: Iterable[Record | Failure], batch_size: Count = 64) -> Iterator[Prediction]:
        """A prediction for each record, in order; a `Failure` for one that cannot be encoded.

        Memory stays constant: records are read as they are needed, sorted by length among 32 batches, run and put back
        in order. What comes out does not depend on the batch size.
        """
        stream = iter(records)
        while chunk := list(islice(stream, SORTED_BATCHES * batch_size)):
            yield from self._predicted(chunk, batch_size)

    def _predicted(self, records: Sequence[Record | Failure], batch_size: int) -> list[Prediction]:
        found: dict[int, Prediction] = {}
        rows: dict[int, Row] = {}
        for number, record in enumerate(records):
            if isinstance(record, Failure):
                found[number] = record
                continue
            try:
                rows[number] = self.fitting(self.encode(record))
            except DataError as error:
                found[number] = Failure(f"{error}")
        order = sorted(rows, key=lambda number: len(rows[number].input))
        lengths = [len(rows[number].input) for number in order]
        for part in batches(lengths, batch_size):
            numbers = order[part]
            batch = self.preprocessor.collate([rows[number] for number in numbers])
            for number, output in zip(numbers, self.forward(batch), strict=True):
                found[number] = self.preprocessor.decode(output, records[number])  # type: ignore[arg-type]
        return [found[number] for number in range(len(records))]

    def encode(self, record: Record) -> Row:
        """A record as tensors, without its target. Raises: DataError for a record that cannot be encoded."""
        return self.preprocessor.encode({name: value for name, value in record.items() if name != "label"})

    def fitting(self, row: Row) -> Row:
        """The row itself. Raises: DataError where it is longer than the core that reads it can take."""
        limit, length = (self.model.encoder or self.model).core.max_length, len(row.input)
        if limit is not None and length > limit:
            raise DataError(f"it has {length} tokens, and the model reads at most {limit}", hint="shorten it")
        return row

    def columns(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """For each field of a record the column that it stands in.

        Args:
            data: the [data] section of the recipe.
        """
        return {field: str(data.get(key) or key or field) for field, key in self.preprocessor.fields.items()}

    def records(
        self, rows: Iterable[Mapping[str, Any] | Failure], columns: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, Any], Record | Failure]]:
        """Rows of a table as records, each with the columns that go before its prediction.

        Args:
            rows: what stands in each column.
            columns: for each field of a record the column that it stands in.
        """
        for row in rows:
            if isinstance(row, Failure):
                yield getattr(row, "row", {}), row
                continue
            lacks = next((column for column in columns.values() if column not in row), None)
            if lacks is None:
                yield row, {field: row[column] for field, column in columns.items()}
            else:
                yield row, Failure(f"there is no column {lacks!r}")


@runtime_checkable
class ContinuesData(Protocol):
    """A pipeline that has something to predict without any input: how the data of its run goes on."""

    def known_records(self, splits: Splits[Any]) -> list[Record]:
        """What is known of the data, as records to be predicted."""


@runtime_checkable
class ReadsStreams(Protocol):
    """A pipeline that predicts while its input goes on, such as a sound."""

    def stream(self, sound: Any, rate: int = 0) -> Iterator[Any]:
        """What is predicted so far, again and again."""


def batches(lengths: Sequence[int], size: Count) -> Iterator[slice]:
    """Batches of rows that are sorted by length: at most `size` rows, and so few that padding them costs little.

    A batch has at most `size` times `USUAL_LENGTH` positions with its padding, or is one row alone.

    >>> [(part.start, part.stop) for part in batches([5, 5, 9, 3000, 5000], 2)]
    [(0, 2), (2, 3), (3, 4), (4, 5)]
    """
    first = 0
    for row, length in enumerate(lengths):
        if row > first and (row - first == size or (row - first + 1) * length > size * USUAL_LENGTH):
            yield slice(first, row)
            first = row
    if lengths:
        yield slice(first, len(lengths))


def checked(pipeline: Predictor, key: str, record: Record) -> tuple[Mapping[str, Any], Record | Failure]:
    """A record that was gathered from several rows; a `Failure` behind its name where it cannot be encoded.

    Args:
        pipeline: what is to predict it.
        key: the field with its name, which is a column of the prediction as well.
        record: with all its fields.
    """
    try:
        pipeline.encode(record)
    except DataError as error:
        return {key: record[key]}, Failure(f"{error}")
    return {}, record


def as_record(value: Any, fields: Sequence[str], columns: Mapping[str, Any] | None = None) -> Record:
    """One input of `Run.predict` as a record: a mapping by its fields, anything else as the first field.

    Args:
        value: the input.
        fields: those of a record.
        columns: for each field the column that it stands in; a mapping may use its name instead.

    >>> as_record("a fine film", ["text"]), as_record({"review": "a fine film"}, ["text"], {"text": "review"})["text"]
    ({'text': 'a fine film'}, 'a fine film')
    """
    if isinstance(value, Mapping):
        named = {f: c for f, c in (columns or {}).items() if isinstance(c, str) and f not in value and c in value}
        return {**value, **{field: value[column] for field, column in named.items()}}
    if not fields:
        raise ConfigError("this model predicts nothing for single records", hint="use `unspool sample`")
    return {fields[0]: value}
