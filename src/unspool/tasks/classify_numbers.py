"""Which label do a few numbers have?"""

from collections.abc import Mapping
from typing import ClassVar

import torch

from unspool.batch import Vectors
from unspool.data.features import Features
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count
from unspool.tasks.legacy import tasks
from unspool.tasks.one_label import OneLabel, answered


@tasks.register("classify-numbers")
class ClassifyNumbers(OneLabel):
    """Which label do a few numbers have? One to one: each example is a sequence of length one.

    The numbers are read as how many standard deviations they are from their mean in training. Time has no part in it,
    so core "window-mlp" with a window of 1, a feed-forward net, is all it takes; any other core reads it too.
    """

    dataset = Features
    tokenizers: ClassVar[Mapping[str, str]] = {"labels": "label"}

    def __init__(self, splits: Splits, labels: Tokenizer, seed: int = 0, batch_size: Count = 32) -> None:
        every = parts(splits)
        names = list(splits.train[0]["features"])
        self.inputs = Vectors(len(names))
        read = {
            part: torch.tensor([[[r["features"][name] for name in names]] for r in records], dtype=torch.float64)
            for part, records in every.items()
        }  # (N, 1, size)
        mean = read["train"].mean(dim=0)
        spread = read["train"].std(dim=0, correction=0)
        spread[spread == 0] = 1.0
        rows = {
            part: answered(list(((values - mean) / spread).float()), every[part], labels)
            for part, values in read.items()
        }
        super().__init__(rows, labels, batch_size, "right", True, 1, 0, seed)
