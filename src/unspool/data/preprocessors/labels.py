"""Records with one label of a few."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.batch import Domain, Tokens
from unspool.data.predictions import Label, Prediction
from unspool.data.preprocessors.preprocessor import Preprocessor, Record
from unspool.data.splits import Splits
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


def unseen_labels(preprocessor: Preprocessor, splits: Splits[Any]) -> list[str]:
    """A sentence for each label that validation or test have and training has not, for the first three of them.

    Such a label has an output of its own, which nothing trains: a record with it is evaluated, and counts as wrong.
    """
    if "labels" not in preprocessor.tokenizers:
        return []
    known = set(preprocessor.texts(splits.train)["labels"].splitlines())
    found: dict[str, str] = {}
    for split in ("valid", "test"):
        strange = set(preprocessor.texts(getattr(splits, split))["labels"].splitlines()) - known - found.keys()
        for number, record in enumerate(getattr(splits, split) if strange else ()):
            where = splits.lines[split][number] if split in splits.lines else f"record {number + 1} of {split}"
            for label in preprocessor.texts([record])["labels"].splitlines():
                if label in strange:
                    found.setdefault(label, f"the label {label!r} is in {split} ({where}) and not in train")
    notes = [
        f"{one}: it is not learned, and counts as wrong; data.valid and data.test can change what is drawn"
        for one in list(found.values())[:3]
    ]
    return notes + ([f"{len(found) - 3} more labels are not in train"] if len(found) > 3 else [])


def label_names(labels: Tokenizer, ids: Sequence[int]) -> list[str]:
    """The labels of ids."""
    return [labels.piece(id).decode() for id in ids]
