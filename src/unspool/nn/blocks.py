"""What a deep model is stacked from: norms, feed-forward nets, and the block that adds to what it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unspool.nn.attention import CrossAttention, MultiHead
from unspool.nn.cache import CacheStep
from unspool.nn.part import CoreState, Part
from unspool.nn.positions import Rotation
from unspool.schema import Count, Natural, Positive, Share

NormName = Literal["layer", "rms"]
FeedForwardName = Literal["gelu", "gelu-tanh", "relu", "relu-squared", "swiglu"]


def make_norm(name: NormName, width: int, bias: bool = False, epsilon: float = 1e-5) -> nn.Module:
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450) or RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467).

    >>> make_norm("rms", 4).weight.shape
    torch.Size([4])
    """
    return nn.RMSNorm(width, eps=epsilon) if name == "rms" else nn.LayerNorm(width, eps=epsilon, bias=bias)


def _relu_squared(x: Tensor) -> Tensor:
    return x.relu().square()


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu-tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "relu-squared": _relu_squared,  # So et al. 2021, arXiv:2109.08668
}


class FeedForward(Part):
    """Thinks about every token by itself.

    y = W_down g(W_up x)      "swiglu": y = W_down (silu(W_gate x) * W_up x)  (Shazeer 2020, arXiv:2002.05202)

    `inner` is 4 times the width when it is 0, and 8/3 times for "swiglu", which has a third matrix.
    """

    def __init__(self, width: Count, kind: FeedForwardName = "gelu", inner: Natural = 0, bias: bool = False) -> None:
        super().__init__()
        self.gated = kind == "swiglu"
        inner = inner or (-(-8 * width // 24) * 8 if self.gated else 4 * width)  # a multiple of eight
        self.activation = F.silu if self.gated else _ACTIVATIONS[kind]
        self.up = nn.Linear(width, 2 * inner if self.gated else inner, bias=bias)  # the gate comes first
        self.down = nn.Linear(inner, width, bias=bias)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """What it makes of each token."""
        if not self.gated:
            return self.down(self.tap("neurons", self.activation(self.up(x))))
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(self.tap("neurons", self.activation(gate) * up))


@dataclass(frozen=True)
class Sight:
    """What attention needs to know of a reading, the same for every layer."""

    reading: CacheStep
    turns: Rotation | None = None
    bias: Tensor | None = None  # (B, K, T, C)
    source: CacheStep | None = None  # where there is something else to look at


class Block(Part):
    """Looks, then thinks, and adds both to what it was given.

    x' = x + attention(norm(x))      y = x' + feed_forward(norm(x'))          (pre-norm)
    x' = norm(x + attention(x))      y = norm(x' + feed_forward(x'))          (post-norm, as in 2017)

    With `across` it looks at a source in between, in the same manner.
    """

    def __init__(
        self,
        width: Count,
        attention: MultiHead,
        feed_forward: FeedForward,
        norm: NormName = "rms",
        post_norm: bool = False,
        bias: bool = False,
        epsilon: Positive = 1e-5,
        dropout: Share = 0.0,
        across: CrossAttention | None = None,
    ) -> None:
        super().__init__()
        self.post_norm, self.attention, self.feed_forward = post_norm, attention, feed_forward
        self.attention_norm, self.feed_forward_norm = (make_norm(norm, width, bias, epsilon) for _ in range(2))
        self.dropout, self.across = nn.Dropout(dropout), across
        if across is not None:
            self.across_norm = make_norm(norm, width, bias, epsilon)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, sight: Sight, source: CoreState = ()
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """What it makes of the tokens, and the keys and values to keep; `source` is those of the source."""
        look = partial(self.attention, state=state, reading=sight.reading, turns=sight.turns, bias=sight.bias)
        if self.post_norm:
            seen, kept = look(x)
            x = self.attention_norm(x + self.dropout(seen))
            if self.across is not None:
                x = self.across_norm(x + self.dropout(self.across(x, source, sight.source)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        else:
            seen, kept = look(self.attention_norm(x))
            x = x + self.dropout(seen)
            if self.across is not None:
                x = x + self.dropout(self.across(self.across_norm(x), source, sight.source))
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return self.tap("hidden", x), kept
