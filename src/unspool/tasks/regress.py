"""Which number belongs to a text?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch, Tokens, Vectors
from unspool.data.batching.buckets import Side
from unspool.data.labelled import Labelled
from unspool.data.readers.tables import Record
from unspool.data.records import Examples
from unspool.data.source import parts
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Count, Natural
from unspool.tasks.answer import Answer, column
from unspool.tasks.classify import read
from unspool.tasks.of_text import OfText
from unspool.tasks.task import Marks, tasks


@tasks.register("regress")
class Regress(OfText, Answer):
    """Which number belongs to a text? The label is a number, and is asked for where the text ends.

    It is learned as how many standard deviations it is from the mean of the training numbers. Told is the mean
    absolute error, in the numbers' own unit. The keys are those of the task "classify".
    """

    material = Labelled
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}

    def __init__(
        self,
        splits: Examples,
        tokenizer: Tokenizer,
        seed: int = 0,
        batch_size: Count = 32,
        longest: Natural = 0,
        padding: Side = "right",
        masked: bool = True,
        pool: Natural = 50,
    ) -> None:
        self.tokenizer = tokenizer
        self.inputs, self.targets = Tokens(tokenizer.size + (not masked)), Vectors(1)
        every = parts(splits)
        wanted = {name: numbers(records) for name, records in every.items()}
        mean, self.unit = wanted["train"].mean(), float(wanted["train"].std(correction=0)) or 1.0
        rows = {
            name: list(zip(read(records, tokenizer, longest), (wanted[name] - mean) / self.unit, strict=True))
            for name, records in every.items()
        }
        super().__init__(rows, batch_size, padding, masked, pool, 0 if masked else tokenizer.size, seed)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The texts, one after the other."""
        return {"tokenizer": column(part, "text")}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far, and its number."""
        return super().features(batch) | {"the number": batch.targets[..., 0]}

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How far off the numbers are."""
        off = (scores - batch.targets)[batch.loss_mask].abs() * self.unit
        return {"mean_absolute_error": (float(off.sum()), float(len(off)))}


def numbers(records: Sequence[Record]) -> Tensor:
    """The labels as numbers, (N, 1)."""
    found = []
    for record in records:
        try:
            found.append(float(record["label"]))
        except ValueError:
            raise DataError(f"the label {record['label']!r} is not a number", hint="task.kind=classify") from None
    return torch.tensor(found).unsqueeze(1)
