"""Output heads: the last layer of a model and its loss, for tokens, unaligned tokens and numbers."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unspool.batch import Domain, Tokens, UnalignedTokens
from unspool.errors import ConfigError
from unspool.nn.blocks import activation, make_norm
from unspool.nn.cuda_graphs import all_true
from unspool.nn.density import Density
from unspool.nn.kernels.cross_entropy import LARGE, cross_entropy
from unspool.nn.part import Part
from unspool.schema import Count, Natural

NARROWEST = 1e-4
"""The smallest scale of a Gaussian: without it the likelihood of an exact prediction is unbounded."""


class Head(Part):
    """The output layer of a model and its loss.

    `forward` gives logits or means, `loss` the mean over the positions of the loss mask.

    Args:
        width: the size D of the vectors that come in.
        rows: V, the number of outputs: a row of the weight each.

    >>> layer = head(Tokens(5), width=3)
    >>> y, targets = torch.zeros(1, 2, 3), torch.tensor([[4, 0]])
    >>> round(layer.loss(y, targets, loss_mask=torch.ones(1, 2, dtype=torch.bool)).item(), 4)  # log 5
    1.6094
    """

    predicts_distribution: bool = False
    """Whether it predicts a distribution over numbers with scales of its own, so that samples of it are meaningful."""
    measure: str = "nats"
    """The unit of the loss of a position."""
    smoothing: float = 0.0
    """Label smoothing: in training this much of each target is spread over all tokens."""

    def __init__(self, width: int, rows: int) -> None:
        """Initialize the weight as torch.nn.Linear does, and the bias with zeros."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))
        self.bias = nn.Parameter(torch.zeros(rows))
        nn.init.uniform_(self.weight, -(width**-0.5), width**-0.5)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """The prediction at every position: here logits, (..., V), tapped as "logits"; of numbers their means."""
        return self.tap("logits", F.linear(y, self.weight, self.bias))

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """The predicted distribution of the numbers at every position.

        Raises:
            ConfigError: for a head that predicts tokens.
        """
        raise ConfigError("this model predicts tokens, which have no density", hint="use its logits")

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, ""]:
        """The mean loss over the positions of the loss mask; zero where there are none.

        Args:
            y: outputs of the core.
            targets: ids (B, T) or numbers (B, T, size).
            loss_mask: the targets that count.
            mask: the positions of `y` that are not padding; None: all. It matters where targets are not aligned.
        """
        raise NotImplementedError


TransformName = Literal["none", "gelu", "gelu-tanh", "relu"]


class Transform(nn.Module):
    """What the head of a masked language model has before its output layer (Devlin et al. 2018, arXiv:1810.04805).

    y' = LayerNorm(g(W y + b))

    Args:
        width: the size D of the vectors that come in and go out.
        kind: the activation g.

    >>> Transform(width=4, kind="gelu")(torch.zeros(1, 4)).shape
    torch.Size([1, 4])
    """

    EPSILON = 1e-12

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.kind, self.activation = kind, activation(kind)
        self.dense, self.norm = nn.Linear(width, width), make_norm("layer", width, bias=True, epsilon=self.EPSILON)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """The transformed vectors."""
        return self.norm(self.activation(self.dense(y)))


class Categorical(Head):
    """A categorical distribution over tokens; the loss is the cross-entropy.

    Args:
        width: the size D of the vectors that come in.
        rows: V, the number of tokens.
        transform: the activation of a `Transform` before the output layer; "none": without.

    >>> Categorical(width=3, rows=5)(torch.zeros(1, 2, 3)).shape
    torch.Size([1, 2, 5])
    """

    def __init__(self, width: int, rows: int, transform: TransformName = "none") -> None:
        super().__init__(width, rows)
        self.transform = nn.Identity() if transform == "none" else Transform(width, transform)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Logits, (..., V). Taps "logits"."""
        return super().forward(self.transform(y))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats, summed in float32; with label smoothing in training mode."""
        y, targets = counted(y, targets, loss_mask)
        number = max(1, len(targets))
        smoothing = self.smoothing if self.training else 0.0
        if self.watcher is None and len(self.weight) >= LARGE and not smoothing:
            return cross_entropy(self.transform(y), self.weight, self.bias, targets) / number
        return F.cross_entropy(at_least_float32(self(y)), targets, reduction="sum", label_smoothing=smoothing) / number


class Ctc(Head):
    """A token or the blank at every position, for targets that are not aligned with the inputs.

    The loss is the negative log-probability of the targets, -ln sum over alignments of prod_t p_t(token or blank): the
    sum over all ways to spread them over the positions, with repetitions and blanks in between. This is connectionist
    temporal classification (Graves et al. 2006, "Connectionist Temporal Classification", ICML), in float32.

    The last of the `rows` outputs is the blank. A row's targets stand at its first positions, as `loss_mask` says.

    Args:
        width: the size D of the vectors that come in.
        rows: V, the number of tokens and the blank.

    >>> layer = Ctc(width=3, rows=2)
    >>> targets, there = torch.tensor([[0, 0]]), torch.tensor([[True, False]])
    >>> _ = layer.weight.data.zero_()
    >>> round(layer.loss(torch.zeros(1, 2, 3), targets, there).item(), 4)  # -log(3/4): all paths of two but both blank
    0.2877
    """

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Nats per target token: infinite where a row has more targets than its positions can say.

        Args:
            y: outputs of the core.
            targets: ids (B, T), those of a row at its first positions.
            loss_mask: which of them there are.
            mask: the positions of `y` that are not padding, which stands behind a row; None: all.
        """
        lengths = torch.full_like(loss_mask[:, 0], y.shape[1], dtype=torch.long) if mask is None else mask.sum(dim=1)
        scores = at_least_float32(self(y)).log_softmax(dim=-1).transpose(0, 1)  # (T, B, V)
        sizes, blank = loss_mask.sum(dim=1), len(self.weight) - 1
        total = F.ctc_loss(scores, targets, lengths, sizes, blank, reduction="sum")
        return total / max(1, int(loss_mask.sum()))


def cross_entropy_without(
    logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], excluded: Bool[Tensor, "N V"], smoothing: float = 0.0
) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of a softmax from which some tokens are excluded.

    An excluded token has no probability and gets no gradient, so nothing is learned against it.

    Args:
        logits: the scores of all tokens, (N, V).
        targets: the ids of the right tokens, (N,); none of them may be excluded.
        excluded: true for the tokens to leave out of the softmax, (N, V).
        smoothing: label smoothing over the tokens that are not excluded.

    Returns:
        A scalar; zero where N is 0.

    >>> logits = torch.zeros(1, 4)
    >>> round(float(cross_entropy_without(logits, torch.tensor([0]), torch.tensor([[False, False, True, True]]))), 4)
    0.6931
    """
    log_probabilities = at_least_float32(logits).masked_fill(excluded, float("-inf")).log_softmax(dim=-1)
    even = log_probabilities.masked_fill(excluded, 0.0).sum(dim=-1) / (~excluded).sum(dim=-1)
    right = log_probabilities.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return -((1 - smoothing) * right + smoothing * even).sum() / max(1, targets.numel())


class Gaussian(Head):
    """The mean of a Gaussian with unit variance; the loss is half the squared error.

    Args:
        width: the size D of the vectors that come in.
        rows: how many numbers are predicted at a position.

    >>> layer = Gaussian(width=3, rows=2)
    >>> y, targets = torch.zeros(1, 1, 3), torch.ones(1, 1, 2)
    >>> layer.loss(y, targets, torch.ones(1, 1, dtype=torch.bool)).item()
    1.0
    """

    measure = "half squared error"

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Means, (..., size). Taps "means"."""
        return self.tap("means", F.linear(y, self.weight, self.bias))

    def loss(
        self,
        y: Float[Tensor, "B T D"],
        targets: Tensor,
        loss_mask: Bool[Tensor, "B T"],
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, ""]:
        """Half the squared error, summed over the numbers of a position and averaged over positions."""
        y, targets = counted(y, targets, loss_mask)
        return (at_least_float32(self(y)) - targets).square().sum() / 2 / max(1, len(targets))

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """One Gaussian of unit variance."""
        means = at_least_float32(self(y)).unsqueeze(-2)
        return Density(means.new_zeros(means.shape[:-1]), means, torch.ones_like(means))


class Mixture(Head):
    """A mixture of Gaussians with predicted means and scales: a mixture density network.

    weights = softmax(W_w y), means = W_m y, scales = softplus(W_s y) + 0.0001

    The numbers of a position are independent within each Gaussian (Bishop 1994; Graves 2013, arXiv:1308.0850). The loss
    is the negative logarithm of a density, so it may be below zero.

    Args:
        width: the size of the vectors that come in.
        size: how many numbers are predicted at a position.
        components: the number of Gaussians; 1 is one Gaussian with a predicted scale.

    >>> Mixture(4, 2, components=3).density(torch.zeros(5, 4)).means.shape
    torch.Size([5, 3, 2])
    """

    predicts_distribution = True

    def __init__(self, width: int, size: int, components: Count = 1) -> None:
        super().__init__(width, components * (1 + 2 * size))
        self.size, self.components = size, components

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Means of the mixture, (..., size). Taps "means"."""
        return self.tap("means", self.density(y).mean())

    def density(self, y: Float[Tensor, "*B D"]) -> Density:
        """The mixture at every position, in float32 or wider."""
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
        mask: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, ""]:
        """The negative log-likelihood in nats of all numbers of a position, averaged over positions."""
        y, targets = counted(y, targets, loss_mask)
        return -self.density(y).log_probability(at_least_float32(targets)).sum() / max(1, len(targets))


def counted(
    y: Float[Tensor, "B T D"], targets: Tensor, loss_mask: Bool[Tensor, "B T"]
) -> tuple[Float[Tensor, "N D"], Tensor]:
    """The outputs and targets of the positions that count, one below the other: (N, D), and (N) or (N, size)."""
    if all_true(loss_mask):
        return y.flatten(0, 1), targets.flatten(0, 1)
    return y[loss_mask], targets[loss_mask]


def at_least_float32(value: Tensor) -> Tensor:
    """Cast half precision to float32, and leave float32 and float64: sums and losses need the precision."""
    return value.to(torch.promote_types(value.dtype, torch.float32))


def head(kind: Domain, width: int, components: Natural = 0, transform: TransformName = "none") -> Head:
    """Build the output head for a domain.

    Args:
        kind: what is predicted: `Tokens(V)`, `UnalignedTokens(V)` or `Vectors(size)`.
        width: the size of the vectors that come in.
        components: for numbers, how many Gaussians are mixed; 0 predicts the mean alone.
        transform: for tokens, the activation of a `Transform` before the output layer; "none": without.

    Raises:
        ConfigError: where `components` is set for tokens, or `transform` for anything else.

    >>> head(Tokens(5), 3)(torch.zeros(1, 3)).shape
    torch.Size([1, 5])
    """
    if isinstance(kind, Tokens):
        if components:
            raise ConfigError(
                f"model.components={components} is for numbers, and this task predicts tokens",
                hint="leave model.components out",
            )
        if not isinstance(kind, UnalignedTokens):
            return Categorical(width, kind.size, transform)
    if transform != "none":
        raise ConfigError(
            f"model.transform={transform} is for tokens that stand beside the inputs, and this task predicts others",
            hint="leave model.transform out",
        )
    if isinstance(kind, Tokens):
        return Ctc(width, kind.size)
    return Mixture(width, kind.size, components) if components else Gaussian(width, kind.size)
