"""A memory of outer products that fades: what mLSTM, state space duality and gated linear attention have in common."""

from math import gcd

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.errors import ConfigError
from unspool.nn.kernels.scan import where_present

CHUNK, SHORT = 64, 16  # times at once where a head fades as one, and where every key fades for itself
FADE = -4.0
"""The least logarithm of a key's own decay: over half a short chunk, its inverse must be a float32."""


def recall(
    q: Float[Tensor, "B groups keys"],
    k: Float[Tensor, "B groups keys"],
    v: Float[Tensor, "B heads values"],
    a: Float[Tensor, "B heads fading"],
    memory: Float[Tensor, "B heads keys values"],
) -> tuple[Float[Tensor, "B heads values"], Float[Tensor, "B heads keys values"]]:
    """One step: the memory fades, takes in one pair, and is asked.

    S' = a * S + k v^T      y = S'^T q
    """
    memory = a.unsqueeze(-1) * memory + k.unsqueeze(-1) * v.unsqueeze(-2)
    return (q.unsqueeze(-1) * memory).sum(dim=-2), memory


def recall_all(
    q: Float[Tensor, "B T groups keys"],
    k: Float[Tensor, "B T groups keys"],
    v: Float[Tensor, "B T heads values"],
    g: Float[Tensor, "B T heads fading"],
    memory: Float[Tensor, "B heads keys values"],
    mask: Bool[Tensor, "B T"] | None = None,
) -> tuple[Float[Tensor, "B T heads values"], Float[Tensor, "B heads keys values"]]:
    """All steps: inside a chunk of time every pair is weighed at once, between chunks the memory is carried.

    y_t = S_0^T (exp(G_t) * q_t) + sum over s <= t of v_s (q_t . exp(G_t - G_s) k_s)      G_t = log a_1 + ... + log a_t

    `g` is log a: one for a head (fading = 1, at most 0) or one for each of its keys (between FADE and 0). It all
    happens in full precision: memories are sums (Yang et al. 2023, arXiv:2312.06635; Dao & Gu 2024, arXiv:2405.21060).
    There are as many groups as heads, or one, whose queries and keys all heads share. Where nothing is present the
    memory stays as it is.
    """
    v, g = where_present(mask, v, 0.0), where_present(mask, g, 0.0)
    time = q.shape[1]
    size = min(time, CHUNK if g.shape[-1] == 1 else SHORT)
    with torch.autocast(q.device.type, enabled=False):
        q, k, v, g = (_cut(value, size) for value in (q, k, v, g))  # (B, heads, chunks, size, ...)
        scores, left, reach = (_as_one if g.shape[-1] == 1 else _by_key)(q, k, g)
        news = left.mT @ v  # (B, heads, chunks, keys, values)
        kept = g.sum(dim=-2).exp().unsqueeze(-1)  # (B, heads, chunks, fading, 1)
        before = []
        for keep, new in zip(kept.unbind(2), news.unbind(2), strict=True):
            before.append(memory)
            memory = keep * memory + new
        y = scores @ v + reach @ torch.stack(before, dim=2)
    return y.flatten(2, 3)[:, :, :time].transpose(1, 2), memory


def split_heads(hidden_size: int, heads: int) -> int:
    """How many heads share a width; 0 means four, or two or one where four would not be multiples of four wide.

    >>> split_heads(64, 0), split_heads(8, 0), split_heads(64, 8)
    (4, 2, 8)
    """
    heads = heads or max(1, gcd(hidden_size, 16) // 4)
    if hidden_size % heads:
        raise ConfigError(
            f"cell.heads = {heads} does not divide the width {hidden_size}", hint="leave it out, or let it divide"
        )
    return heads


def norm_heads(y: Float[Tensor, "*B heads values"]) -> Float[Tensor, "*B H"]:
    """Every head brought to size one, side by side; gains would be undone by the weights that follow."""
    return F.rms_norm(y, y.shape[-1:], eps=1e-5).flatten(-2)


def _cut(value: Tensor, size: int) -> Tensor:
    """(B, T, heads, ...) in chunks of that size, the last filled with zeros: nothing fades, nothing comes in."""
    value = F.pad(value, (0, 0, 0, 0, 0, -value.shape[1] % size))
    return value.transpose(1, 2).unflatten(2, (-1, size))


def _as_one(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of every pair in a chunk, what is left of each key at its end, what each query has of its beginning.

    G_t - G_s is summed up anew for every pair: the difference of two large sums would lose what lies between them.
    """
    size = g.shape[-2]
    later = torch.ones(size, size, dtype=torch.bool, device=g.device).tril(-1)
    between = g.expand(*g.shape[:-1], size).masked_fill(~later, 0.0).cumsum(dim=-2)  # from s to t
    weights = between.masked_fill(later.mT, -torch.inf).exp()
    return (q @ k.mT) * weights, k * weights[..., -1, :].unsqueeze(-1), q * g.cumsum(dim=-2).exp()


def _by_key(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for keys that fade on their own: seen from the middle of the chunk, queries shrink and keys grow."""
    fade = g.cumsum(dim=-2)
    end, middle = fade[..., -1:, :], fade[..., fade.shape[-2] // 2, None, :]
    scores = (q * (fade - middle).exp()) @ (k * (middle - fade).exp()).mT
    return scores.tril(), k * (end - fade).exp(), q * fade.exp()
