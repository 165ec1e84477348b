"""A neural cache: the last outputs of a core and the tokens that followed them, which make those likelier again."""

from math import log, log1p

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from unspool.nn.heads import Head, at_least_float32


class NeuralCache:
    """What was read lately, as a distribution over the next token (Grave et al. 2017, arXiv:1612.04426).

    p(w) = (1 - share) p_model(w) + share p_cache(w)      p_cache(w) ~ sum over i with w_i = w of exp(theta cos(y, y_i))

    y is the output of the core now, y_i what it was when the token w_i came next. The paper has the scalar product
    where this has the cosine: outputs differ in size between cores, and so one theta suits all of them. The cache needs
    no training, and fits any core.

    Args:
        size: how many outputs are remembered; the oldest are forgotten.
        theta: how much likeness counts; 0: every remembered token counts alike.
        share: of the cache in the mixture, between 0 and 1; the paper calls it lambda.

    >>> cache = NeuralCache(size=4, theta=5.0, share=0.5)
    >>> cache.add(torch.eye(2), torch.tensor([3, 1]))
    >>> mixed = cache.mix(torch.zeros(1, 4), torch.tensor([[1.0, 0.0]])).exp()
    >>> int(mixed.argmax()), round(float(mixed.sum()), 4)
    (3, 1.0)
    """

    def __init__(self, size: int, theta: float, share: float) -> None:
        self.size, self.theta, self.share = size, theta, share
        self.outputs: Float[Tensor, "M D"] | None = None  # of length one
        self.tokens: Int[Tensor, " M"] | None = None

    @torch.no_grad()
    def add(self, outputs: Float[Tensor, "T D"], tokens: Int[Tensor, " T"]) -> None:
        """Remember outputs and the tokens that came next."""
        outputs = F.normalize(at_least_float32(outputs), dim=-1)
        if self.outputs is not None and self.tokens is not None:
            outputs, tokens = torch.cat([self.outputs, outputs]), torch.cat([self.tokens, tokens])
        self.outputs, self.tokens = outputs[-self.size :].clone(), tokens[-self.size :].clone()

    @torch.no_grad()
    def score(
        self, log_probability: Float[Tensor, " T"], outputs: Float[Tensor, "T D"], tokens: Int[Tensor, " T"]
    ) -> Float[Tensor, " T"]:
        """The log-probabilities of tokens under the mixture; nothing is remembered of them.

        Each is predicted from what was added and from those before it, as if they were added one by one.

        Args:
            log_probability: of the tokens under the model alone, nats.
            outputs: of the core at the positions that predict them.
            tokens: the tokens.

        Returns:
            Nats, (T,).
        """
        queries, old = F.normalize(at_least_float32(outputs), dim=-1), 0
        keys, values = queries, tokens
        if self.outputs is not None and self.tokens is not None:
            old = len(self.tokens)
            keys, values = torch.cat([self.outputs, queries]), torch.cat([self.tokens, tokens])
        age = torch.arange(len(tokens), device=tokens.device)[:, None] + old
        age = age - torch.arange(len(values), device=tokens.device)  # how long ago; at 0 a token would see itself
        likeness = (self.theta * queries @ keys.T).masked_fill((age < 1) | (age > self.size), -torch.inf)
        every = likeness.logsumexp(dim=-1)
        same = likeness.masked_fill(values != tokens[:, None], -torch.inf).logsumexp(dim=-1)
        cached = same - every
        mixed = torch.logaddexp(log_probability + log1p(-self.share), cached + log(self.share))
        return torch.where(every == -torch.inf, log_probability, mixed)

    def mix(self, logits: Float[Tensor, "*B V"], outputs: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """The log-probabilities of all tokens under the mixture.

        Args:
            logits: of the model alone.
            outputs: of the core at the same positions.
        """
        model = at_least_float32(logits).log_softmax(dim=-1)
        if self.outputs is None or self.tokens is None:
            return model
        likeness = self.theta * F.normalize(at_least_float32(outputs), dim=-1) @ self.outputs.T
        cached = torch.zeros_like(model).index_add(-1, self.tokens, likeness.softmax(dim=-1))
        return torch.logaddexp(model + log1p(-self.share), cached.log() + log(self.share))


class CachedHead(Head):
    """A head whose predictions are mixed with what a neural cache remembers.

    What the cache holds stays as it is: tokens that are generated are not added.

    Args:
        head: the head of a model of tokens.
        cache: filled by reading.

    >>> from unspool import Tokens, head
    >>> cache = NeuralCache(size=4, theta=5.0, share=0.5)
    >>> cache.add(torch.ones(1, 3), torch.tensor([2]))
    >>> int(CachedHead(head(Tokens(5), 3), cache)(torch.ones(1, 3)).argmax())
    2
    """

    def __init__(self, head: Head, cache: NeuralCache) -> None:
        nn.Module.__init__(self)  # the weights are those of the other head
        self.head, self.cache, self.measure = head, cache, head.measure
        self.register_buffer("outputs", cache.outputs)  # so that a fingerprint of the weights covers what is remembered
        self.register_buffer("tokens", cache.tokens)

    def forward(self, y: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """The log-probabilities of the mixture, (..., V)."""
        return self.cache.mix(self.head(y), y)

    def loss(
        self, y: Float[Tensor, "B T D"], targets: Tensor, loss_mask: Tensor, mask: Tensor | None = None
    ) -> Float[Tensor, ""]:
        """The mean cross-entropy of the mixture, in nats."""
        return F.nll_loss(self(y)[loss_mask], targets[loss_mask], reduction="sum") / max(1, int(loss_mask.sum()))
