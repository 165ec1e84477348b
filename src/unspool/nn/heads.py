"""Heads: the last layer of a model and its loss, one for each domain."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unspool.batch import Domain, Tokens
from unspool.errors import ConfigError
from unspool.nn.density import Density
from unspool.nn.kernels.cross_entropy import LARGE, cross_entropy
from unspool.nn.part import Part
from unspool.schema import Count, Natural

NARROWEST = 1e-4
"""The least scale of a Gaussian: a value that is met exactly would be worth infinitely much otherwise."""


class Head(Part):
    """The last layer and its loss.

    `forward` gives the scores, `loss` the mean over the positions that count, in nats.
    """

    predicts_distribution: bool = False
    """Whether it says how sure it is of numbers, so that drawing them makes sense."""
    measure: str = "nats"
    """What the loss of a position is measured in."""
    smoothing: float = 0.0
    """In training, so much of each target is spread over all of them."""

    def __init__(self, width: int, rows: int) -> None:
        """Begin with weights as torch.nn.Linear's, a row for each score, and no bias."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        self.bias = nn.Parameter(torch.zeros(rows))
        nn.init.uniform_(self.weight, -(width**-0.5), width**-0.5)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """What the model predicts at every position: logits of tokens, the mean of numbers."""
        raise NotImplementedError

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """How the numbers at every position are distributed. Errors: ConfigError where tokens are predicted."""
        raise ConfigError("this model predicts tokens, which have no density", hint="predict numbers")

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """The mean loss over the positions that count; zero when none does."""
        raise NotImplementedError


class Categorical(Head):
    """Which token comes next: scores are logits, the loss is the cross-entropy."""

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits."""
        return self.tap("logits", F.linear(y, self.weight, self.bias))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed in float32; in training with smoothed targets."""
        if not bool(loss_mask.all()):
            y, targets = y[loss_mask], targets[loss_mask]
        y, targets, number = y.flatten(0, -2), targets.flatten(), max(1, targets.numel())
        smoothing = self.smoothing if self.training else 0.0
        if self.watcher is None and len(self.weight) >= LARGE and not smoothing:
            return cross_entropy(y, self.weight, self.bias, targets) / number
        return F.cross_entropy(at_least_float32(self(y)), targets, reduction="sum", label_smoothing=smoothing) / number


def cross_entropy_without(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], excluded: Bool[Tensor, "N V"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of a softmax that leaves some tokens out.

    Args:
        logits: of every token.
        targets: the right tokens; none of them is excluded.
        excluded: the tokens that take no part, so that nothing is learned against them.
        smoothing: this much of each target is spread over the tokens that take part.

    >>> logits = torch.zeros(1, 4)
    >>> round(float(cross_entropy_without(logits, torch.tensor([0]), torch.tensor([[False, False, True, True]]))), 4)
    0.6931
    """
    log_probabilities = at_least_float32(logits).masked_fill(excluded, float("-inf")).log_softmax(dim=-1)
    even = log_probabilities.masked_fill(excluded, 0.0).sum(dim=-1) / (~excluded).sum(dim=-1)
    right = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -((1 - smoothing) * right + smoothing * even).sum() / max(1, targets.numel())


class Gaussian(Head):
    """Which numbers come next, as the mean of a Gaussian of unit variance: the loss is half the squared error."""

    measure = "half squared error"

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Means."""
        return self.tap("means", F.linear(y, self.weight, self.bias))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """Half the squared error, summed over the numbers of a position and averaged over positions."""
        error = (at_least_float32(self(y[loss_mask])) - targets[loss_mask]).square().sum() / 2
        return error / max(1, int(loss_mask.sum()))

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """One Gaussian of unit variance."""
        means = at_least_float32(self(y)).unsqueeze(-2)
        return Density(means.new_zeros(means.shape[:-1]), means, torch.ones_like(means))


class Mixture(Head):
    """Which numbers come next, as a mixture of Gaussians with means and scales of their own; one is just a Gaussian.

    weights = softmax(W_w y), means = W_m y, scales = softplus(W_s y) + 0.0001

    The numbers of a position are independent within each Gaussian (Bishop 1994, mixture density networks; Graves 2013,
    arXiv:1308.0850). The loss is the negative logarithm of the density: it may be below zero.

    >>> Mixture(4, 2, components=3).density(torch.zeros(5, 4)).means.shape
    torch.Size([5, 3, 2])
    """

    predicts_distribution = True

    def __init__(self, width: int, size: int, components: Count = 1) -> None:
        super().__init__(width, components * (1 + 2 * size))
        self.size, self.components = size, components

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Means of the whole mixture."""
        return self.tap("means", self.density(y).mean())

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """The mixture at every position, in float32 at least."""
        raw = at_least_float32(F.linear(y, self.weight, self.bias))
        inner = self.components * self.size
        weights, means, scales = raw.split((self.components, inner, inner), dim=-1)
        means, scales = (t.unflatten(-1, (self.components, self.size)) for t in (means, scales))
        return Density(weights.log_softmax(dim=-1), means, F.softplus(scales) + NARROWEST)

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
    ) -> Float[Tensor, ""]:
        """The negative log-likelihood in nats, of all numbers of a position together, averaged over positions."""
        said = self.density(y[loss_mask]).log_probability(at_least_float32(targets[loss_mask]))
        return -said.sum() / max(1, int(loss_mask.sum()))


def at_least_float32(value: Tensor) -> Tensor:
    """At least float32: sums and losses are never taken in half precision."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def head(kind: Domain, width: int, components: Natural = 0) -> Head:
    """What turns a vector of that width into a prediction, and judges it.

    Numbers are a mixture of `components` Gaussians; with 0 their mean alone is predicted.

    >>> head(Tokens(5), 3)(torch.zeros(1, 3)).shape
    torch.Size([1, 5])
    """
    if isinstance(kind, Tokens):
        if components:
            raise ConfigError(
                f"model.components={components} is for numbers, and this task predicts tokens",
                hint="leave model.components out",
            )
        return Categorical(width, kind.size)
    return Mixture(width, kind.size, components) if components else Gaussian(width, kind.size)
