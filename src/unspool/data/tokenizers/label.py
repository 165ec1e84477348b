"""One id for each label, one label a line."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, field, tokenizers, wrong
from unspool.errors import DataError


@tokenizers.register("label")
class LabelTokenizer(Tokenizer):
    r"""The sorted lines of the text: each is a label, whatever is in it.

    >>> labels = LabelTokenizer().fit("pos\nneg\npos\n")
    >>> labels.encode("neg\npos").tolist(), labels.decode([1, 0])
    ([0, 1], 'pos\nneg')
    """

    sees_all = True  # a label that only validation or test have is evaluated, and counts as wrong

    def __init__(self) -> None:
        self.know([])

    def know(self, labels: Iterable[str]) -> None:
        """Make these the labels, in this order."""
        self.labels = list(labels)
        self.pieces = [label.encode("utf-8", "replace") for label in self.labels]
        self.ids = {label: id for id, label in enumerate(self.labels)}

    def fit(self, text: str) -> "LabelTokenizer":
        """Learn which labels there are; numbers are sorted as numbers."""
        found = set(self.split(text))
        numbers = all(label.lstrip("-").isdecimal() for label in found)
        self.know(sorted(found, key=lambda label: (int(label) if numbers else 0, label)))
        return self

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """One id for each line, or a DataError that names a label that the data did not have."""
        if strange := self.unknown(text):
            known = ", ".join(map(repr, self.labels[:10])) + (", ..." if len(self.labels) > 10 else "")
            raise DataError(
                f"the label {strange[0]!r} is not among those of the training data: {known}",
                hint="correct it, or train with examples of it",
            )
        return np.array([self.ids[label] for label in self.split(text)], dtype=np.int64)

    def split(self, text: str) -> list[str]:
        """The lines of a text that are not empty."""
        return [line for line in text.split("\n") if line]

    def unknown(self, text: str) -> list[str]:
        """The labels that no id stands for, each once, in their order."""
        return [label for label in dict.fromkeys(self.split(text)) if label not in self.ids]

    def piece(self, id: int, before: int | None = None) -> bytes:
        """The label, on a line of its own."""
        return super().piece(id) if before is None else b"\n" + super().piece(id)

    def to_json(self) -> dict[str, Any]:
        """The labels by id."""
        return {"labels": self.labels}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LabelTokenizer":
        """The tokenizer that `to_json` wrote down."""
        labels = field(data, "labels", list[str])
        if len(set(labels)) < len(labels) or any("\n" in label for label in labels):
            raise wrong("labels", "each should be one line and stand once")
        tokenizer = cls()
        tokenizer.know(labels)
        return tokenizer
