"""Token classification: a label for each token."""

from collections.abc import Sequence

from torch import Tensor

from unspool.batch import Batch
from unspool.pipelines.pipeline import Predictor


class TokenClassification(Predictor):
    """A label for each token of a text, and the spans that they make."""

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        """Logits (T, V) of each row's own tokens."""
        logits = self.engine.forward(batch).cpu()
        return [row[counted] for row, counted in zip(logits, batch.loss_mask.cpu(), strict=True)]
