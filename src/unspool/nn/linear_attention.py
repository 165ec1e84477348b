"""Linear attention with decay, step by step and in chunks: what mLSTM, Mamba-2 and gated linear attention share."""

from math import gcd

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.errors import ConfigError
from unspool.nn.kernels.scan import where_present

CHUNK, SHORT = 64, 16  # steps in a chunk: with one decay per head, and with one decay per key
FADE = -4.0
"""The smallest log-decay of a key: its inverse over half a short chunk must fit into float32."""


def recall(
    q: Float[Tensor, "B groups keys"],
    k: Float[Tensor, "B groups keys"],
    v: Float[Tensor, "B heads values"],
    a: Float[Tensor, "B heads fading"],
    memory: Float[Tensor, "B heads keys values"],
) -> tuple[Float[Tensor, "B heads values"], Float[Tensor, "B heads keys values"]]:
    """One step of linear attention: the memory decays, one key and value are added, and the query reads it.

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
    """All steps by chunks: attention over all pairs inside a chunk, the recurrent memory between chunks.

    y_t = S_0^T (exp(G_t) * q_t) + sum over s <= t of v_s (q_t . exp(G_t - G_s) k_s)      G_t = log a_1 + ... + log a_t

    `g` is log a, at most 0: one for each head (fading = 1), or one for each of its keys (at least FADE). It is
    computed in float32 or wider, because memories are long sums (Yang et al. 2023, arXiv:2312.06635; Dao & Gu 2024,
    arXiv:2405.21060). There are as many groups as heads, or one whose queries and keys all heads share. At padded
    positions the memory does not change.
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
    """The number of heads; 0 picks four, or two or one where the width of four heads would not be a multiple of four.

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
    """RMS-normalize every head and concatenate them; without gains, which the next linear layer would absorb."""
    return F.rms_norm(y, y.shape[-1:], eps=1e-5).flatten(-2)


def _cut(value: Tensor, size: int) -> Tensor:
    """(B, T, heads, ...) in chunks of that size; the last one is filled with zeros, which leave the memory as it is."""
    value = F.pad(value, (0, 0, 0, 0, 0, -value.shape[1] % size))
    return value.transpose(1, 2).unflatten(2, (-1, size))


def _as_one(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """With one decay per head: attention weights in a chunk, keys decayed to its end, queries decayed from its start.

    G_t - G_s is summed for every pair: the difference of two large sums would lose precision.
    """
    size = g.shape[-2]
    later = torch.ones(size, size, dtype=torch.bool, device=g.device).tril(-1)
    between = g.expand(*g.shape[:-1], size).masked_fill(~later, 0.0).cumsum(dim=-2)  # from s to t
    weights = between.masked_fill(later.mT, -torch.inf).exp()
    return (q @ k.mT) * weights, k * weights[..., -1, :].unsqueeze(-1), q * g.cumsum(dim=-2).exp()


def _by_key(q: Tensor, k: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same with one decay per key, relative to the middle of the chunk, so that no factor overflows."""
    fade = g.cumsum(dim=-2)
    end, middle = fade[..., -1:, :], fade[..., fade.shape[-2] // 2, None, :]
    scores = (q * (fade - middle).exp()) @ (k * (middle - fade).exp()).mT
    return scores.tril(), k * (end - fade).exp(), q * fade.exp()
