"""Which label does a text have?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from unspool.batch import Tokens
from unspool.data.batching.buckets import Side
from unspool.data.labelled import Labelled
from unspool.data.readers.tables import Record
from unspool.data.records import Examples
from unspool.data.source import parts
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.schema import Count, Natural
from unspool.tasks.answer import column
from unspool.tasks.of_text import OfText
from unspool.tasks.one_label import OneLabel, answered
from unspool.tasks.task import tasks


@tasks.register("classify")
class Classify(OfText, OneLabel):
    """Which label does a text have? The answer is asked for where the text ends.

    Texts of similar lengths make a batch: every `pool` batches share out their rows by length (1: lengths are as they
    come). `padding` is the side that shorter texts are filled up at. With `masked` false the padding is a token like
    others, and the answer is asked for behind it: a mistake that has been published, for comparison. Of each text
    `longest` tokens are read (0: all), those that it begins with or, with `keep` "last", those that it ends with.

    A core that reads both ways is fine here. Core "pooled" answers from all places, not from the last alone.
    """

    material = Labelled
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "labels": "label"}

    def __init__(
        self,
        splits: Examples,
        tokenizer: Tokenizer,
        labels: Tokenizer,
        seed: int = 0,
        batch_size: Count = 32,
        longest: Natural = 0,
        keep: Literal["first", "last"] = "first",
        padding: Side = "right",
        masked: bool = True,
        pool: Natural = 50,
    ) -> None:
        self.tokenizer = tokenizer
        self.inputs = Tokens(tokenizer.size + (not masked))
        rows = {
            name: answered(read(records, tokenizer, longest, keep), records, labels)
            for name, records in parts(splits).items()
        }
        pad = 0 if masked else tokenizer.size
        super().__init__(rows, labels, batch_size, padding, masked, pool, pad, seed)

    @classmethod
    def texts(cls, part: Sequence[Record]) -> dict[str, str]:
        """The texts and the labels, one after the other."""
        return super().texts(part) | {"tokenizer": column(part, "text")}


def read(records: Sequence[Record], tokenizer: Tokenizer, longest: int, keep: str = "first") -> list[Tensor]:
    """The ids of each text, at most `longest` of them (0: all)."""
    wanted = slice(-longest, None) if keep == "last" else slice(longest or None)
    found = []
    for record in records:
        ids = tokenizer.encode(record["text"])[wanted]
        if not len(ids):
            raise DataError(f"no token is left of the text {record['text'][:40]!r}", hint="leave it out")
        found.append(torch.from_numpy(ids).long())
    return found
