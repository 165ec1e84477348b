"""Positional encodings: learned, sinusoidal, rotary and ALiBi."""

from math import floor, log2
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.part import Part

PositionsName = Literal["none", "learned", "sinusoidal", "rotary", "alibi"]

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines of the angles by which queries and keys are rotated, each (B, 1, T, D / 2)."""


class Positions(Part):
    """No positional encoding, and the interface of the others.

    A subclass overrides one of three methods: `add` (to the input), `rotation` (of queries and keys) or `bias` (on the
    attention scores). A position is the number of present tokens of the row that came before, so it does not depend on
    where the padding is.

    >>> x, positions = torch.zeros(1, 3, 8), torch.arange(3).unsqueeze(0)  # (B, T, D) and (B, T)
    >>> Positions().add(x, positions).shape, Positions().rotation(positions, x)
    (torch.Size([1, 3, 8]), None)
    """

    max_length: int | None = None
    """How many positions there are; None where only distances matter, so that a sequence may have any length."""

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """The input with its positions encoded."""
        return x

    def rotation(self, positions: Int[Tensor, "#B T"], like: Tensor) -> Rotation | None:
        """The rotation of queries and keys at these positions, in the precision of `like`; None: none."""
        return None

    def bias(
        self, positions: Int[Tensor, "#B T"], keys: Int[Tensor, "#B C"], like: Tensor
    ) -> Float[Tensor, "#B K T C"] | None:
        """The bias that each head adds to its attention scores, in the precision of `like`; None: none."""
        return None


class Learned(Positions):
    """A learned vector for each of `context` positions (Gehring et al. 2017, arXiv:1705.03122; GPT-2).

    x' = x + E[p]

    Args:
        width: the model width D.
        context: how many positions there are.

    >>> x, positions = torch.zeros(1, 3, 8), torch.arange(3).unsqueeze(0)  # (B, T, D) and (B, T)
    >>> Learned(width=8, context=16).add(x, positions).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.max_length = context
        self.weight = nn.Parameter(torch.randn(context, width) * 0.02)

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """The input plus the vector of its position."""
        return x + self.weight[positions.clamp(0, len(self.weight) - 1)]


class Sinusoidal(Positions):
    """Fixed sines and cosines of many wavelengths (Vaswani et al. 2017, arXiv:1706.03762).

    x' = x + E(p)      E(p, 2i) = sin(p / base^(2i / D))      E(p, 2i + 1) = cos(p / base^(2i / D))

    Args:
        context: how many positions there are.
        base: the base of the wavelengths.

    >>> x, positions = torch.zeros(1, 3, 8), torch.arange(3).unsqueeze(0)  # (B, T, D) and (B, T)
    >>> Sinusoidal(context=16).add(x, positions)[0, 0, :2].tolist()
    [0.0, 1.0]
    """

    def __init__(self, context: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.max_length, self.base = context, base

    def add(self, x: Float[Tensor, "B T D"], positions: Int[Tensor, "#B T"]) -> Float[Tensor, "B T D"]:
        """The input plus the encoding of its position."""
        return x + waves(positions, x.shape[-1], self.base).to(x.dtype)


class Rotary(Positions):
    """Rotary position embedding: scores depend on distances alone (Su et al. 2021, arXiv:2104.09864).

    q' = [a cos - b sin; b cos + a sin]      [a; b] = q      angle_i = p / base^(2i / D)

    The halves a and b of a head are rotated together, as in Llama and GPT-NeoX.

    Args:
        head_width: the width of a head, which must be even.
        base: the base of the wavelengths.

    Raises:
        ConfigError: where the width of a head is odd.

    >>> x, positions = torch.zeros(1, 3, 8), torch.arange(3).unsqueeze(0)  # (B, T, D) and (B, T)
    >>> cosines, sines = Rotary(head_width=4).rotation(positions, x)
    >>> cosines.shape
    torch.Size([1, 1, 3, 2])
    """

    def __init__(self, head_width: int, base: float = 10_000.0) -> None:
        super().__init__()
        if head_width % 2:
            raise ConfigError(
                f"rotary positions need an even head width, and it is {head_width}",
                hint="change core.width or core.heads",
            )
        self.head_width, self.base = head_width, base

    def rotation(self, positions: Int[Tensor, "#B T"], like: Tensor) -> Rotation | None:
        """Cosines and sines of the angles, (B, 1, T, D / 2) each."""
        turned = angles(positions, self.head_width, self.base).unsqueeze(1)  # (B, 1, T, D / 2), the same for all heads
        return turned.cos().to(like.dtype), turned.sin().to(like.dtype)


class Alibi(Positions):
    """Attention with linear biases: each head penalizes distance at its own rate (Press et al. 2022, arXiv:2108.12409).

    score' = score - m_k |p_query - p_key|      m_k = 2^(-8 k / K) for head k of K

    Args:
        heads: K, the number of attention heads.

    >>> x, positions = torch.zeros(1, 3, 8), torch.arange(3).unsqueeze(0)  # (B, T, D) and (B, T)
    >>> Alibi(heads=2).bias(positions, positions, x).shape
    torch.Size([1, 2, 3, 3])
    """

    slopes: Tensor

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(rates(heads)), persistent=False)

    def bias(
        self, positions: Int[Tensor, "#B T"], keys: Int[Tensor, "#B C"], like: Tensor
    ) -> Float[Tensor, "#B K T C"] | None:
        """Minus the distance times the rate of the head, (B, K, T, C)."""
        distance = (positions.unsqueeze(2) - keys.unsqueeze(1)).abs().unsqueeze(1)  # (B, 1, T, C)
        return -self.slopes.to(like.dtype).view(1, -1, 1, 1) * distance


def angles(positions: Int[Tensor, "*B"], width: int, base: float) -> Float[Tensor, "*B D"]:
    """p / base^(2i / width) for every pair i; in float64 where the device has it, for precision at large positions."""
    exact = torch.float32 if positions.device.type == "mps" else torch.float64
    pairs = torch.arange(0, width, 2, dtype=exact, device=positions.device)
    return positions.to(exact).unsqueeze(-1) * base ** (-pairs / width)


def waves(positions: Int[Tensor, "*B"], width: int, base: float = 10_000.0) -> Float[Tensor, "*B D"]:
    """The sinusoidal positional encoding: sines at even indices, cosines at odd ones.

    Args:
        positions: (...).
        width: the size D of the encoding.
        base: the base of the wavelengths.

    Returns:
        (..., D).

    >>> waves(torch.tensor([0]), 4).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    turned = angles(positions, width, base)
    return torch.stack([turned.sin(), turned.cos()], dim=-1).flatten(-2)[..., :width]


def rates(heads: int) -> list[float]:
    """The slopes of ALiBi for that number of heads (Press et al. 2022, arXiv:2108.12409).

    >>> rates(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    power = 2 ** floor(log2(heads))
    first = [2 ** (-8 * k / power) for k in range(1, power + 1)]
    return first + [2 ** (-4 * k / power) for k in range(1, 2 * (heads - power), 2)]


def rotate(x: Float[Tensor, "B K T D"], by: Rotation) -> Float[Tensor, "B K T D"]:
    """Rotate queries or keys by the angles of their positions (Su et al. 2021, arXiv:2104.09864)."""
    cos, sin = by
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def build(name: PositionsName, width: int, heads: int, context: int, base: float = 10_000.0) -> Positions:
    """Build the positional encoding of that name.

    Args:
        name: "none", "learned", "sinusoidal", "rotary" or "alibi".
        width: the model width.
        heads: the number of attention heads.
        context: how many positions "learned" and "sinusoidal" have.
        base: the base of the wavelengths of "rotary" and "sinusoidal".

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
