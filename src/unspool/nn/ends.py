"""The two ends of a model, one pair for each kind of thing."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.batch import Kind, Tokens
from unspool.nn.cross_entropy import LARGE, cross_entropy
from unspool.nn.part import Part


class Head(Part):
    """The last layer and its loss.

    `forward` gives the scores, `loss` the mean over the positions that count, in nats.
    """

    weight: nn.Parameter
    smoothing: float = 0.0
    """In training, so much of each target is spread over all of them."""

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """What the model predicts at every position."""
        raise NotImplementedError

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        counts: Bool[Tensor, "B T"],
        spared: Bool[Tensor, "B T V"] | None = None,
    ) -> Float[Tensor, ""]:
        """The mean loss over the positions that count; zero when none does. Training leaves `spared` tokens out."""
        raise NotImplementedError


class Categorical(Head):
    """Which token comes next: scores are logits, the loss is the cross-entropy."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, width))
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.uniform_(self.weight, -(width**-0.5), width**-0.5)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits."""
        return self.tap("logits", F.linear(y, self.weight, self.bias))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        counts: Bool[Tensor, "B T"],
        spared: Bool[Tensor, "B T V"] | None = None,
    ) -> Float[Tensor, ""]:
        """Cross-entropy in nats, summed in float32; in training with smoothed targets, among those not spared."""
        chosen = spared[counts] if spared is not None and self.training else None
        if not bool(counts.all()):
            y, targets = y[counts], targets[counts]
        y, targets, number = y.flatten(0, -2), targets.flatten(), max(1, targets.numel())
        smoothing = self.smoothing if self.training else 0.0
        if chosen is not None:
            likely = in_full(self(y)).masked_fill(chosen, float("-inf")).log_softmax(dim=-1)
            even = likely.masked_fill(chosen, 0.0).sum(dim=-1) / (~chosen).sum(dim=-1)
            right = likely.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
            return -((1 - smoothing) * right + smoothing * even).sum() / number
        if self.watcher is None and len(self.weight) >= LARGE and not smoothing:
            return cross_entropy(y, self.weight, self.bias, targets) / number
        return F.cross_entropy(in_full(self(y)), targets, reduction="sum", label_smoothing=smoothing) / number


class Gaussian(Head):
    """Which numbers come next, as the mean of a Gaussian of unit variance: the loss is half the squared error."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(size, width))
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.uniform_(self.weight, -(width**-0.5), width**-0.5)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Means."""
        return self.tap("means", F.linear(y, self.weight, self.bias))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        counts: Bool[Tensor, "B T"],
        spared: Bool[Tensor, "B T V"] | None = None,
    ) -> Float[Tensor, ""]:
        """Half the squared error, summed over the numbers of a position and averaged over positions."""
        error = (in_full(self(y[counts])) - targets[counts]).square().sum() / 2
        return error / max(1, int(counts.sum()))


def in_full(value: Tensor) -> Tensor:
    """At least float32: sums and losses are never taken in half precision."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


class OneHot(nn.Module):
    """A token as a vector of zeros and a one."""

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.eye(size), persistent=False)

    def forward(self, ids: Tensor) -> Float[Tensor, "*B V"]:
        """The rows of the unit matrix."""
        return F.embedding(ids, self.table)


def embedding(kind: Kind, width: int, learned: bool = True) -> nn.Module:
    """What turns a thing into a vector of that width: learned, or one-hot tokens, and numbers as they are.

    >>> embedding(Tokens(5), 3).weight.shape
    torch.Size([5, 3])
    """
    if not learned:
        return OneHot(kind.size) if isinstance(kind, Tokens) else nn.Identity()
    return nn.Embedding(kind.size, width) if isinstance(kind, Tokens) else nn.Linear(kind.size, width)


def head(kind: Kind, width: int) -> Head:
    """What turns a vector of that width into a prediction, and judges it.

    >>> head(Tokens(5), 3)(torch.zeros(1, 3)).shape
    torch.Size([1, 5])
    """
    return (Categorical if isinstance(kind, Tokens) else Gaussian)(width, kind.size)
