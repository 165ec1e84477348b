"""Masking of tokens, for masked language models."""

import torch
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.schema import Count, Portion
from unspool.seeds import mix

MASKED, RANDOM = 0.8, 0.1
"""Of the chosen, how many are hidden and how many become any symbol; the others stay as they are."""


class Masked:
    """Masks a share of the inputs of other batches: batch `number` is always masked the same way.

    Of the places of each row `share` are chosen, at least one. What stands there is hidden behind the id `mask` (None:
    `size`) in 8 cases of 10, replaced by any id below `size` in one, and left in one; only the chosen count (Devlin et
    al. 2018, arXiv:1810.04805). Other numbers hide others, so that a text is not masked the same way twice (Liu et al.
    2019, arXiv:1907.11692).

    >>> from unspool.data.batching.contiguous import WindowedEval
    >>> batch = Masked(WindowedEval(torch.arange(9), window=8, batch_size=1), size=9, share=0.25, seed=1)[0]
    >>> batch.positions, batch.inputs[~batch.loss_mask].tolist(), batch.targets.tolist()
    (2, [0, 1, 4, 5, 6, 7], [[0, 1, 2, 3, 4, 5, 6, 7]])
    """

    def __init__(
        self, batches: Batches, size: Count, share: Portion = 0.15, seed: int = 0, mask: int | None = None
    ) -> None:
        self.batches, self.size, self.share, self.seed = batches, size, share, seed
        self.mask = size if mask is None else mask

    @property
    def epoch(self) -> int:
        """As many as there are of the other batches."""
        return self.batches.epoch

    def __getitem__(self, number: int) -> Batch:
        """Batch `number`."""
        plain = self.batches[number]
        random = torch.Generator().manual_seed(mix(self.seed, number))
        there = torch.ones_like(plain.inputs, dtype=torch.bool) if plain.mask is None else plain.mask
        chosen = choose_positions(there, self.share, random)
        fate = torch.rand(plain.inputs.shape, generator=random)
        anything = torch.randint(self.size, plain.inputs.shape, generator=random)
        seen = torch.where(chosen & (fate < MASKED + RANDOM), anything, plain.inputs)
        seen = seen.masked_fill(chosen & (fate < MASKED), self.mask)
        return Batch(seen, plain.inputs, chosen, plain.mask)


def choose_positions(there: Tensor, share: float, random: torch.Generator) -> Tensor:
    """That share of the places of each row that are there, drawn; at least one of a row that has any.

    >>> choose_positions(torch.tensor([[True] * 8, [True, True, False, False, False, False, False, False]]), 0.25,
    ...     torch.Generator().manual_seed(0)).sum(dim=1).tolist()
    [2, 1]
    """
    numbers = there.sum(dim=1, keepdim=True)  # (B, 1)
    wanted = (share * numbers).round().clamp(min=1)
    rank = torch.rand(there.shape, generator=random).masked_fill(~there, 2.0).argsort(dim=1).argsort(dim=1)
    return there & (rank < wanted)
