"""Regression: one number for each sequence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.pipelines.pipeline import Predictor

LEVELS = (0.05, 0.95)
"""The quantiles that are given beside the mean, where a model predicts a distribution."""


class Regression(Predictor):
    """The number that belongs to a text, and where it lies with 90 % probability if the model predicts that."""

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """The mean (1,) of each row, or mean, low and high (3,)."""
        means = self.engine.forward(batch)[batch.loss_mask.to(self.model.device)].cpu()
        density = self.engine.density(batch)
        if density is None:
            return list(means)
        return list(torch.cat([means, *(density.quantile(level).cpu() for level in LEVELS)], dim=-1))
