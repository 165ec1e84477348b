"""Records with one label of a few."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from unspool.batch import Domain, Tokens
from unspool.data.predictions import Label, Prediction
from unspool.data.preprocessors.preprocessor import Preprocessor, Record
from unspool.data.tokenizer import Tokenizer


class LabelledRecord(Preprocessor):
    """A record of any kind with one label: a subclass says how the record itself is encoded."""

    tokenizers: ClassVar[Mapping[str, str]] = {"labels": "label"}
    labels: Tokenizer

    @property
    def targets(self) -> Domain:  # type: ignore[override]
        """Label ids."""
        return Tokens(self.labels.size)

    def texts(self, records: Sequence[Record]) -> dict[str, str]:
        """The labels, one a line."""
        return {"labels": label_lines(records)}

    def decode(self, output: Tensor, record: Record) -> Prediction:
        """Logits (V,) as a label."""
        return label(output, self.target_labels(range(self.labels.size)))

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The labels."""
        return label_names(self.labels, ids)


def label(logits: Tensor, names: Sequence[str]) -> Label:
    """Logits (V,) as a label with its probability and those of all labels.

    >>> label(torch.tensor([0.0, 0.0]), ["no", "yes"]).scores
    {'no': 0.5, 'yes': 0.5}
    """
    scores = logits.double().softmax(dim=-1)
    best = int(scores.argmax())
    return Label(names[best], float(scores[best]), dict(zip(names, scores.tolist(), strict=True)))


def label_lines(records: Sequence[Record]) -> str:
    r"""The labels of records, one a line: what the tokenizer of labels is fitted to.

    >>> label_lines([{"label": "good"}, {"label": "bad"}])
    'good\nbad\n'
    """
    return "".join(f"{record['label']}\n" for record in records)


def label_id(record: Record, labels: Tokenizer) -> Tensor | None:
    """The id of a record's label, (); None where it has none. Raises: DataError for an unknown label."""
    return torch.from_numpy(labels.encode(record["label"]))[0] if "label" in record else None


def label_names(labels: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The labels of ids."""
    return [labels.piece(id).decode() for id in ids]
