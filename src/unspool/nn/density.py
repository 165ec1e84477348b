"""Mixtures of Gaussians over vectors of numbers."""

from math import log, pi
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

FAR = 1e12
"""Distances from a mean are clamped to this: larger ones overflow float32 when squared."""


class Density(NamedTuple):
    """A mixture of K diagonal Gaussians over `size` numbers; `*B` are any leading axes.

    p(v) = sum_k weight_k prod_i normal(v_i; mean_ki, scale_ki)

    Mixture density networks: Bishop 1994; Graves 2013, arXiv:1308.0850.

    >>> one = Density(torch.zeros(1), torch.zeros(1, 2), torch.ones(1, 2))
    >>> one.log_probability(torch.zeros(2))
    tensor(-1.8379)
    """

    log_weights: Float[Tensor, "*B K"]
    means: Float[Tensor, "*B K size"]
    scales: Float[Tensor, "*B K size"]

    def log_probability(self, values: Float[Tensor, "*B size"]) -> Float[Tensor, " *B"]:
        """The log-density of some values, in nats."""
        off = (values.unsqueeze(-2) - self.means).clamp(-FAR, FAR) / self.scales
        each = -0.5 * off.square() - self.scales.log() - 0.5 * log(2 * pi)
        return (self.log_weights + each.sum(dim=-1)).logsumexp(dim=-1)

    def mean(self) -> Float[Tensor, "*B size"]:
        """The expected values, (..., size)."""
        return (self.log_weights.exp().unsqueeze(-1) * self.means).sum(dim=-2)

    def draw(self, random: torch.Generator | None = None) -> Float[Tensor, "*B size"]:
        """One sample of each distribution, (..., size).

        Args:
            random: the generator; None: torch's default one.
        """
        flat = self.log_weights.exp().flatten(0, -2)
        chosen = torch.multinomial(flat, 1, generator=random).view(*self.log_weights.shape[:-1], 1, 1)
        chosen = chosen.expand(*chosen.shape[:-1], self.means.shape[-1])
        mean, scale = (t.gather(-2, chosen).squeeze(-2) for t in (self.means, self.scales))
        noise = torch.randn(mean.shape, generator=random, dtype=mean.dtype, device=mean.device)
        return mean + scale * noise

    def quantile(self, level: float) -> Float[Tensor, "*B size"]:
        """The quantiles of each number's marginal distribution, found by bisection.

        Args:
            level: between 0 and 1.

        Returns:
            (..., size).

        >>> one = Density(torch.zeros(1), torch.zeros(1, 1), torch.ones(1, 1))
        >>> round(float(one.quantile(0.95)), 3)
        1.645
        """
        low = (self.means - 40 * self.scales).amin(dim=-2)
        high = (self.means + 40 * self.scales).amax(dim=-2)
        weights = self.log_weights.exp().unsqueeze(-1)
        for _ in range(60):
            middle = (low + high) / 2
            below = torch.special.ndtr((middle.unsqueeze(-2) - self.means) / self.scales)
            reached = (weights * below).sum(dim=-2) >= level
            low, high = torch.where(reached, low, middle), torch.where(reached, middle, high)
        return (low + high) / 2
