"""How attention to a source is aligned with it: how diagonal it is, and pictures of it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unspool.metrics.drawings import Heatmap, Heatmaps
from unspool.metrics.metric import Mean

SENTENCES = 100
"""Of so many predictions the diagonal is measured."""
PANELS, LONGEST = 4, 14
"""So many of them are drawn, with at most so many tokens."""


def diagonal(weights: Tensor) -> float:
    """How diagonal attention is: 1 is a straight line, 0 where nothing moves.

    It is the correlation of the position of each token with the mean position that it attends to.

    Args:
        weights: (U, S), each row sums to 1.

    >>> diagonal(torch.eye(3))
    1.0
    """
    rows, columns = torch.arange(len(weights)).double(), torch.arange(weights.shape[1]).double()
    places = weights.double() @ columns
    rows, places = rows - rows.mean(), places - places.mean()
    size = float(rows.norm() * places.norm())
    return round(float(rows @ places) / size, 6) if size > 1e-9 else 0.0


class Diagonal(Mean):
    """How diagonal the attention to the source is, the mean over the first hundred predictions.

    Nothing is counted where a model has no attention.

    >>> from unspool.data.predictions import Text
    >>> metric = Diagonal()
    >>> metric.update(Text("a b", ["a", "b"], -1.0, attention=torch.eye(2)), {})
    >>> metric.compute()
    {'diagonal': 1.0}
    """

    name = "diagonal"

    def update(self, output: Any, reference: Any) -> None:
        """Count one generated text."""
        weights = getattr(output, "attention", None)
        if weights is not None and self.number < SENTENCES:
            self.total, self.number = self.total + diagonal(weights), self.number + 1


def attention_maps(maps: Sequence[tuple[Tensor, Sequence[str], Sequence[str]]]) -> dict[str, Heatmaps]:
    """Heat maps of the first of some attention maps that are small enough to be read; nothing where there is none.

    Args:
        maps: the weights (U, S), the generated tokens (U) and the tokens of the source (S) of each.
    """
    fitting = [one for one in maps if max(one[0].shape) <= LONGEST][:PANELS]
    panels = [Heatmap(w.tolist(), [*generated], [*seen], "generated", "attended to") for w, generated, seen in fitting]
    return {"attention": Heatmaps(panels)} if panels else {}
