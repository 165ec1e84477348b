"""Where things stand: what attention alone cannot know."""

from math import floor, log2
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.part import Part

PositionsName = Literal["none", "learned", "sinusoidal", "rotary", "alibi"]

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of the angles by which queries and keys are turned, each (B, 1, T, D / 2)."""


class Positions(Part):
    """Tells attention where things stand, in one of three ways; this one tells nothing.

    `add` to what is read, `turns` for queries and keys, or a `bias` on the scores. A position is the number of present
    tokens of the row that came before, so it does not matter where the padding is.
    """

    max_length: int | None = None
    """How many tokens can be told apart; None where only distances matter, so that a text may go on for ever."""

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """What is read, with its place."""
        return x

    def turns(self, positions: Int[Tensor, "#B T"], like: Tensor) -> Rotation | None:
        """The angles by which queries and keys at these positions are turned, in the precision of `like`."""
        return None

    def bias(
        self, positions: Int[Tensor, "#B T"], keys: Int[Tensor, "#B C"], like: Tensor
    ) -> Float[Tensor, "#B K T C"] | None:
        """What each head adds to the scores of keys at some positions, in the precision of `like`."""
        return None


class Learned(Positions):
    """A vector for each of `context` positions, learned (Gehring et al. 2017, arXiv:1705.03122; GPT-2).

    x' = x + E[p]
    """

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.max_length = context
        self.weight = nn.Parameter(torch.randn(context, width) * 0.02)

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """What is read, plus the vector of its place."""
        return x + self.weight[positions.clamp(0, len(self.weight) - 1)]


class Sinusoidal(Positions):
    """Waves of many lengths ("Attention is all you need", Vaswani et al. 2017, arXiv:1706.03762).

    x' = x + E(p)      E(p, 2i) = sin(p / base^(2i / D))      E(p, 2i + 1) = cos(p / base^(2i / D))
    """

    def __init__(self, context: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.max_length, self.base = context, base

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """What is read, plus the waves at its place."""
        return x + waves(positions, x.shape[-1], self.base).to(x.dtype)


class Rotary(Positions):
    """Turns queries and keys, so that their product knows how far apart they are (Su et al. 2021, arXiv:2104.09864).

    q' = [a cos - b sin; b cos + a sin]      [a; b] = q      angle_i = p / base^(2i / D)

    The halves a and b of a head are turned together, as in Llama and GPT-NeoX.
    """

    def __init__(self, head_width: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_width % 2:
            raise ConfigError(f"rotary positions turn pairs, a head is {head_width} wide", hint="make it even")
        self.head_width, self.base = head_width, base

    def turns(self, positions: Int[Tensor, "#B T"], like: Tensor) -> Rotation | None:
        """Cosines and sines."""
        turned = angles(positions, self.head_width, self.base).unsqueeze(1)  # (B, 1, T, D / 2), the same for all heads
        return turned.cos().to(like.dtype), turned.sin().to(like.dtype)


class Alibi(Positions):
    """Makes what is far away count less, each head at its own rate (Press et al. 2022, arXiv:2108.12409).

    score' = score - m_k |p_query - p_key|      m_k = 2^(-8 k / K) for head k of K
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.rates = rates(heads)

    def bias(
        self, positions: Int[Tensor, "#B T"], keys: Int[Tensor, "#B C"], like: Tensor
    ) -> Float[Tensor, "#B K T C"] | None:
        """The distance times the head's rate, below zero."""
        distance = (positions.unsqueeze(2) - keys.unsqueeze(1)).abs().unsqueeze(1)  # (B, 1, T, C)
        return -torch.tensor(self.rates, dtype=like.dtype, device=like.device).view(1, -1, 1, 1) * distance


def angles(positions: Int[Tensor, "*B"], width: int, base: float) -> Float[Tensor, "*B D"]:
    """p / base^(2i / width) for every pair i; in double where there is one, or a long text would lose its place."""
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    pairs = torch.arange(0, width, 2, dtype=exact, device=positions.device)
    return positions.to(exact).unsqueeze(-1) * base ** (-pairs / width)


def waves(positions: Int[Tensor, "*B"], width: int, base: float = 10_000.0) -> Float[Tensor, "*B D"]:
    """The lecture's positional encoding: sines at even places, cosines at odd ones.

    >>> waves(torch.tensor([0]), 4).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    turned = angles(positions, width, base)
    return torch.stack([turned.sin(), turned.cos()], dim=-1).flatten(-2)[..., :width]


def rates(heads: int) -> list[float]:
    """How fast each head forgets with distance, as ALiBi's authors choose for any number of heads.

    >>> rates(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    power = 2 ** floor(log2(heads))
    first = [2 ** (-8 * k / power) for k in range(1, power + 1)]
    return first + [2 ** (-4 * k / power) for k in range(1, 2 * (heads - power), 2)]


def rotate(x: Float[Tensor, "B K T D"], by: Rotation) -> Float[Tensor, "B K T D"]:
    """Queries or keys, turned by the angles of their places."""
    cos, sin = by
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def build(name: PositionsName, width: int, heads: int, context: int, base: float = 10_000.0) -> Positions:
    """The positions of that name for so many heads in a width.

    >>> build("learned", width=8, heads=2, context=16).max_length
    16
    """
    if name == "learned":
        return Learned(width, context)
    if name == "sinusoidal":
        return Sinusoidal(context, base)
    if name == "rotary":
        return Rotary(width // heads, base)
    return Alibi(heads) if name == "alibi" else Positions()
