"""Fill-mask: the likeliest tokens for the blanks of a text."""

from collections.abc import Sequence
from typing import Any

import torch

from unspool.batch import Batch
from unspool.pipelines.pipeline import Predictor


class FillMask(Predictor):
    """What could stand in each ___ of a text, by a model that reads both ways; each blank is filled by itself."""

    def forward(self, batch: Batch) -> Sequence[Any]:
        """The ids (T,) of each row and the logits (T, V) behind them."""
        logits, there = self.engine.forward(batch).cpu(), batch.mask
        every = torch.ones_like(batch.inputs, dtype=torch.bool) if there is None else there
        return [(row[here], some[here]) for row, some, here in zip(batch.inputs, logits, every, strict=True)]
