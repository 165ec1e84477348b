"""Sequence classification: one label for each sequence."""

from collections.abc import Sequence

from torch import Tensor

from unspool.batch import Batch
from unspool.pipelines.pipeline import Predictor


class SequenceClassification(Predictor):
    """The label of a text, an image, a sound or a row of numbers."""

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """Logits (V,) of each row, at its last position."""
        return list(self.engine.forward(batch)[batch.loss_mask.to(self.model.device)].cpu())
