"""Which label does each word have?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens
from unspool.data.batching.bucketed import Row, Tagged
from unspool.data.batching.buckets import Side
from unspool.data.labelled import Labelled
from unspool.data.readers.tables import Record
from unspool.data.records import Examples
from unspool.data.source import parts
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Count, Natural
from unspool.tasks.answer import Answer, column
from unspool.tasks.of_text import OfText
from unspool.tasks.task import Marks, tasks

Span = tuple[int, int, str]


@tasks.register("tag")
class Tag(OfText, Answer):
    """Which label does each word of a text have? A record's label is as many labels as its text has words.

    Told is the accuracy over all words, and where labels are B-X, I-X and O also the F1 of whole spans: 2 right /
    (given + due), a span being right when its ends and its X are. The keys are those of the task "classify".
    """

    material = Labelled
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "labels": "label"}
    batching = Tagged

    def __init__(
        self,
        splits: Examples,
        tokenizer: Tokenizer,
        labels: Tokenizer,
        seed: int = 0,
        batch_size: Count = 32,
        longest: Natural = 0,
        padding: Side = "right",
        pool: Natural = 50,
    ) -> None:
        self.tokenizer, self.labels = tokenizer, labels
        self.inputs, self.targets = Tokens(tokenizer.size), Tokens(labels.size)
        self.names = [labels.piece(id).decode() for id in range(labels.size)]
        rows = {
            name: [tagged(record, tokenizer, labels, longest) for record in records]
            for name, records in parts(splits).items()
        }
        super().__init__(rows, batch_size, padding, True, pool, 0, seed)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The texts, and their labels, one a line."""
        return {
            "tokenizer": column(part, "text"),
            "labels": "".join(f"{label}\n" for record in part for label in record["label"].split()),
        }

    def said_as(self, ids: Sequence[int]) -> list[str]:
        """The labels."""
        return [self.names[id] for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far, and which label the present word has."""
        labels = {f"the label is {name}": batch.targets == id for id, name in enumerate(self.names)}
        return super().features(batch) | labels

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many words are right, and how many spans."""
        given = scores.argmax(dim=-1)
        right = (given == batch.targets)[batch.loss_mask]
        marks = {"accuracy": (float(right.sum()), float(len(right)))}
        if any(name.startswith("B-") for name in self.names):
            agreed = both = 0
            for said, due, there in zip(given, batch.targets, batch.loss_mask, strict=True):
                one, other = (spans([self.names[id] for id in ids[there].tolist()]) for ids in (said, due))
                agreed, both = agreed + len(one & other), both + len(one) + len(other)
            marks["span_f1"] = (2.0 * agreed, float(both))
        return marks


def spans(labels: Sequence[str]) -> set[Span]:
    """Where spans begin and end, and what they are; an I-X that goes on from nothing begins one.

    >>> sorted(spans(["B-a", "I-a", "O", "B-a", "B-a", "I-b"]))
    [(0, 2, 'a'), (3, 4, 'a'), (4, 5, 'a'), (5, 6, 'b')]
    """
    found: set[Span] = set()
    begun, what = 0, ""
    for place, label in enumerate([*labels, "O"]):
        mark, _, name = label.partition("-")
        if what and (mark != "I" or name != what):
            found.add((begun, place, what))
            what = ""
        if name and not what:
            begun, what = place, name
    return found


def tagged(record: Record, tokenizer: Tokenizer, labels: Tokenizer, longest: int) -> Row:
    """The ids of the words of a text and of their labels, at most `longest` (0: all)."""
    words = torch.from_numpy(tokenizer.encode(record["text"])).long()
    due = torch.from_numpy(labels.encode("\n".join(record["label"].split())))
    if len(words) != len(due):
        raise DataError(
            f"the text {record['text'][:40]!r} has {len(words)} tokens and {len(due)} labels",
            hint="give each word a label, and read words with tokenizer.kind=word",
        )
    return words[: longest or None], due[: longest or None]
