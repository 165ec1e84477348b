"""Normalization, feed-forward networks, and the residual block of transformers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unspool.nn.attention import CrossAttention, MultiHead
from unspool.nn.cache import CacheStep
from unspool.nn.norms import RMSNorm
from unspool.nn.part import CoreState, Part
from unspool.nn.positions import Rotation
from unspool.schema import Count, Natural, Positive, Share

NormName = Literal["layer", "rms"]
FeedForwardName = Literal["gelu", "gelu-tanh", "relu", "relu-squared", "swiglu"]


def make_norm(name: NormName, width: int, bias: bool = False, epsilon: float = 1e-5) -> nn.Module:
    """LayerNorm (Ba et al. 2016, arXiv:1607.06450) or RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467).

    Args:
        name: "layer" or "rms".
        width: the size of the normalized vectors.
        bias: whether LayerNorm has one; RMSNorm never has.
        epsilon: added to the variance before its root is taken.

    >>> make_norm("rms", 4).weight.shape
    torch.Size([4])
    """
    return RMSNorm(width, eps=epsilon) if name == "rms" else nn.LayerNorm(width, eps=epsilon, bias=bias)


def _relu_squared(x: Tensor) -> Tensor:
    return x.relu().square()


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu-tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "relu-squared": _relu_squared,  # So et al. 2021, arXiv:2109.08668
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name: "gelu", "gelu-tanh", "relu" or "relu-squared".

    >>> import torch
    >>> activation("relu-squared")(torch.tensor([-1.0, 3.0])).tolist()
    [0.0, 9.0]
    """
    return _ACTIVATIONS[name]


class FeedForward(Part):
    """A position-wise feed-forward network.

    y = W_down g(W_up x)      "swiglu": y = W_down (silu(W_gate x) * W_up x)  (Shazeer 2020, arXiv:2002.05202)

    Args:
        width: the size of the vectors that go in and come out.
        kind: the activation g, or "swiglu".
        inner: the size of the hidden layer; 0: 4 times the width, 8/3 times for "swiglu", which has a third matrix.
        bias: whether the linear layers have biases.

    >>> import torch
    >>> FeedForward(width=8, kind="swiglu")(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 5, 8])
    """

    def __init__(self, width: Count, kind: FeedForwardName = "gelu", inner: Natural = 0, bias: bool = False) -> None:
        super().__init__()
        self.gated = kind == "swiglu"
        inner = inner or (-(-8 * width // 24) * 8 if self.gated else 4 * width)  # a multiple of eight
        self.activation = F.silu if self.gated else _ACTIVATIONS[kind]
        self.up = nn.Linear(width, 2 * inner if self.gated else inner, bias=bias)  # the gate comes first
        self.down = nn.Linear(inner, width, bias=bias)

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """The network applied at every position. Taps "neurons"."""
        if not self.gated:
            return self.down(self.tap("neurons", self.activation(self.up(x))))
        gate, up = self.up(x).chunk(2, dim=-1)
        return self.down(self.tap("neurons", self.activation(gate) * up))


@dataclass(frozen=True)
class AttentionContext:
    """What the attention of every layer needs: cache step, rotation, score bias and source mask, computed once.

    Args:
        step: how the new tokens are added to the cache.
        rotation: cosines and sines of rotary positions; None: without.
        bias: what is added to the attention scores, (B, K, T, C); None: nothing.
        source: the mask of the cross-attention to a source; None: without a source.

    >>> import torch
    >>> from unspool.nn.cache import read
    >>> AttentionContext(read(torch.tensor([0]), 0, 3, capacity=8)).step.positions.tolist()
    [[0, 1, 2]]
    """

    step: CacheStep
    rotation: Rotation | None = None
    bias: Tensor | None = None  # (B, K, T, C)
    source: CacheStep | None = None  # for cross-attention


class Block(Part):
    """A residual block: attention, then a feed-forward network (Vaswani et al. 2017, arXiv:1706.03762).

    x' = x + attention(norm(x))      y = x' + feed_forward(norm(x'))          (pre-norm)
    x' = norm(x + attention(x))      y = norm(x' + feed_forward(x'))          (post-norm, as in 2017)

    With `cross_attention` there is attention to a source between the two, with a norm and a residual connection too.

    Args:
        width: the model width D.
        attention: the self-attention.
        feed_forward: the feed-forward network.
        norm: "rms" or "layer".
        post_norm: whether each sum is normalized, as in 2017, and not what the two parts read.
        bias: whether the norms have biases.
        epsilon: is added to a variance before its root is taken.
        dropout: on what each part adds.
        cross_attention: the attention to a source; None: without.

    >>> import torch
    >>> from unspool.nn.cache import read
    >>> block, x = Block(8, MultiHead(8, heads=2), FeedForward(8)), torch.zeros(1, 5, 8)
    >>> context = AttentionContext(read(torch.tensor([0]), 0, 5, capacity=16))
    >>> block(x, block.attention.start(x), context)[0].shape
    torch.Size([1, 5, 8])
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
        cross_attention: CrossAttention | None = None,
    ) -> None:
        super().__init__()
        self.post_norm, self.attention, self.feed_forward = post_norm, attention, feed_forward
        self.attention_norm, self.feed_forward_norm = (make_norm(norm, width, bias, epsilon) for _ in range(2))
        self.dropout, self.cross_attention = nn.Dropout(dropout), cross_attention
        if cross_attention is not None:
            self.cross_norm = make_norm(norm, width, bias, epsilon)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, context: AttentionContext, source: CoreState = ()
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """The output (B, T, D) and the updated cache; `source` holds the keys and values of the source."""
        attention = partial(
            self.attention, state=state, step=context.step, rotation=context.rotation, bias=context.bias
        )
        if self.post_norm:
            seen, kept = attention(x)
            x = self.attention_norm(x + self.dropout(seen))
            if self.cross_attention is not None:
                x = self.cross_norm(x + self.dropout(self.cross_attention(x, source, context.source)))
            x = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        else:
            seen, kept = attention(self.attention_norm(x))
            x = x + self.dropout(seen)
            if self.cross_attention is not None:
                x = x + self.dropout(self.cross_attention(self.cross_norm(x), source, context.source))
            x = x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
        return self.tap("hidden", x), kept
