"""Attention: over a source from one state, and multi-head self-attention and cross-attention."""

from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.cache import CacheStep
from unspool.nn.norms import RMSNorm
from unspool.nn.part import CoreState, Part
from unspool.nn.positions import Rotation, rotate
from unspool.schema import Count, Natural, Share

AttentionName = Literal["additive", "dot", "general"]


def masked_softmax(
    scores: Float[Tensor, "*B C"], visible: Bool[Tensor, "*#B C"] | None = None
) -> Float[Tensor, "*B C"]:
    """Softmax over the visible positions; a row in which nothing is visible gives zeros, not NaN.

    Args:
        scores: (..., C).
        visible: (..., C), true where attention is allowed; None: everywhere.

    >>> masked_softmax(torch.zeros(2, 2), torch.tensor([[True, True], [False, False]])).tolist()
    [[0.5, 0.5], [0.0, 0.0]]
    """
    if visible is None:
        return scores.softmax(dim=-1)
    return scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim=-1) * visible


class Attention(Part):
    """Single-query attention over a source: the mean of the source vectors, weighted by their scores.

    weights = softmax(score(query, source))      context = sum over S of weights * source

    `keys` does not depend on the query and is computed once per source. The subclasses differ in `score`.

    Args:
        width: the size of the query.
        source_width: the size of the source vectors.

    >>> source = torch.zeros(1, 3, 4)  # (B, S, D)
    >>> attention = build_attention("additive", width=5, source_width=4)
    >>> attention(torch.zeros(1, 5), source, attention.keys(source), torch.ones(1, 3, dtype=torch.bool)).shape
    torch.Size([1, 4])
    """

    attends_to_source = True

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__()
        self.width, self.source_width = width, source_width

    def keys(self, source: Float[Tensor, "B S D"]) -> Float[Tensor, "B S H"]:
        """The projection of the source that the scores compare with; here the source itself."""
        return source

    def score(self, query: Float[Tensor, "B H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B S"]:
        """The score of each source position; here the dot product (Luong et al. 2015, arXiv:1508.04025).

        score = query . source
        """
        return torch.einsum("bh,bsh->bs", query, keys)

    def forward(
        self,
        query: Float[Tensor, "B H"],
        source: Float[Tensor, "B S D"],
        keys: Float[Tensor, "B S H"],
        mask: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B D"]:
        """The context vector; zeros for rows whose source is empty. Taps "scores" and "weights", (B, S)."""
        scores = self.tap("scores", self.score(query, keys))
        weights = self.tap("weights", masked_softmax(scores, mask))
        return torch.einsum("bs,bsd->bd", weights.to(source.dtype), source)


class Dot(Attention):
    """The dot product of query and source (Luong et al. 2015, arXiv:1508.04025).

    score = query . source

    Args:
        width: the size of the query, H.
        source_width: the size of the source vectors, D.

    Raises:
        ConfigError: where the two sizes differ.

    >>> Dot(4, 4).score(torch.ones(1, 4), torch.ones(1, 2, 4)).tolist()
    [[4.0, 4.0]]
    """

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__(width, source_width)
        if width != source_width:
            raise ConfigError(
                f"dot attention compares {width} numbers of the state with {source_width} of the source",
                hint='make the widths equal, or set core.attention="general"',
            )


class General(Attention):
    """The product of query and source through a matrix (Luong et al. 2015, arXiv:1508.04025).

    score = query . W source

    Args:
        width: the size of the query, H.
        source_width: the size of the source vectors, D.

    >>> General(4, 6).keys(torch.zeros(1, 2, 6)).shape
    torch.Size([1, 2, 4])
    """

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__(width, source_width)
        self.key = nn.Linear(source_width, width, bias=False)

    def keys(self, source: Float[Tensor, "B S D"]) -> Float[Tensor, "B S H"]:
        """W source."""
        return self.key(source)


class Additive(Attention):
    """The score is a small feed-forward network (Bahdanau et al. 2015, arXiv:1409.0473).

    score = v . tanh(W query + U source)

    Args:
        width: the size of the query, H.
        source_width: the size of the source vectors, D.

    >>> Additive(4, 6).keys(torch.zeros(1, 2, 6)).shape
    torch.Size([1, 2, 4])
    """

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__(width, source_width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(source_width, width)
        self.judge = nn.Linear(width, 1, bias=False)

    def keys(self, source: Float[Tensor, "B S D"]) -> Float[Tensor, "B S H"]:
        """U source."""
        return self.key(source)

    def score(self, query: Float[Tensor, "B H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B S"]:
        """The output of the scoring network for each source position."""
        return self.judge(torch.tanh(self.query(query).unsqueeze(1) + keys)).squeeze(-1)


def build_attention(name: AttentionName, width: Count, source_width: Count) -> Attention:
    """Build the attention of that name.

    Args:
        name: "additive", "dot" or "general".
        width: the size of the query.
        source_width: the size of the source vectors.

    >>> build_attention("general", 4, 6).keys(torch.zeros(1, 2, 6)).shape
    torch.Size([1, 2, 4])
    """
    return {"additive": Additive, "dot": Dot, "general": General}[name](width, source_width)


class Heads(Part):
    """Multi-head scaled dot-product attention, the common part of `MultiHead` and `CrossAttention`.

    Args:
        width: the model width D, divided among the heads.
        heads: the number of query heads.
        kv_heads: the number of key and value heads, fewer than `heads` for grouped-query attention; 0: as many.
        dropout: on the attention weights.

    Raises:
        ConfigError: where the heads do not divide the width, or the key heads do not divide the heads.

    >>> Heads(width=8, heads=2).cut(torch.zeros(1, 5, 8)).shape
    torch.Size([1, 2, 5, 4])
    """

    def __init__(self, width: Count, heads: Count, kv_heads: Natural = 0, dropout: Share = 0.0) -> None:
        super().__init__()
        kv_heads = kv_heads or heads
        if width % heads:
            raise ConfigError(f"a width of {width} cannot be cut in {heads} heads", hint="let heads divide the width")
        if heads % kv_heads:
            raise ConfigError(
                f"{heads} heads cannot share {kv_heads} pairs of keys and values", hint="let kv_heads divide heads"
            )
        self.heads, self.kv_heads, self.head_width, self.dropout = heads, kv_heads, width // heads, dropout

    def cut(self, x: Float[Tensor, "B T _"]) -> Float[Tensor, "B _ T D"]:
        """Split (B, T, K * D) into heads: (B, K, T, D)."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, step: CacheStep, bias: Tensor | None = None) -> Tensor:
        """The attention output, (B, T, D): by the fused kernel, or by the formula.

        The formula is for watchers, and for a single token on a GPU, where the fused kernel has nothing to share out.
        """
        single = q.is_cuda and q.shape[2] == 1
        way = self.fast if self.watcher is None and not single else self.plain
        return way(q, keys, values, step, bias).transpose(1, 2).flatten(2)

    def plain(self, q: Tensor, keys: Tensor, values: Tensor, step: CacheStep, bias: Tensor | None) -> Tensor:
        """The formula step by step: taps "scores" and "weights", (B, K, T, C)."""
        scores = self.ungrouped(self.grouped(q) @ keys.mT, q) * self.head_width**-0.5
        scores = self.tap("scores", scores if bias is None else scores + bias)
        weights = self.tap("weights", masked_softmax(scores, step.attention_mask()))
        return self.ungrouped(self.grouped(F.dropout(weights, self.dropout, self.training)) @ values, q)

    def grouped(self, x: Float[Tensor, "B K T _"]) -> Float[Tensor, "B G N _"]:
        """The heads that share their keys and values, one below the other: nothing is repeated for each of them."""
        return x.unflatten(1, (self.kv_heads, -1)).flatten(2, 3)

    def ungrouped(self, x: Float[Tensor, "B G N _"], q: Float[Tensor, "B K T _"]) -> Float[Tensor, "B K T _"]:
        """The inverse of `grouped`, for as many heads and times as `q` has."""
        return x.unflatten(2, (-1, q.shape[2])).flatten(1, 2)

    def fast(self, q: Tensor, keys: Tensor, values: Tensor, step: CacheStep, bias: Tensor | None) -> Tensor:
        """The same by `scaled_dot_product_attention`; in float32 on a CPU, where the bfloat16 kernel is slow."""
        attn_mask = step.visible if bias is None else step.attention_mask()
        blind = None  # (B, 1, T, 1)
        if step.visible is not None and step.may_see_nothing:
            blind = ~step.visible.any(dim=-1, keepdim=True)
        if attn_mask is not None and blind is not None:
            attn_mask = attn_mask | blind  # kernels differ in what they make of a row that sees nothing
        if bias is not None:
            attn_mask = bias if attn_mask is None else bias.masked_fill(~attn_mask, float("-inf"))
        slow = q.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if slow else nullcontext():
            seen = F.scaled_dot_product_attention(
                q,
                keys,
                values,
                attn_mask=attn_mask,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=attn_mask is None and step.causal,
                enable_gqa=self.kv_heads < self.heads,
            )
        return seen if blind is None else seen.masked_fill(blind, 0)


class MultiHead(Heads):
    """Multi-head self-attention with a key-value cache (Vaswani et al. 2017, arXiv:1706.03762).

    [q; k; v] = W x      weights = softmax(q k / sqrt(D / heads))      y = W_o (weights v)

    The state is the cached keys and values (see `unspool.nn.cache`).

    Args:
        width: the model width D.
        heads: the number of query heads.
        kv_heads: the number of key and value heads; fewer than `heads` is grouped-query attention (Shazeer 2019,
            arXiv:1911.02150; Ainslie et al. 2023, arXiv:2305.13245); 0: as many.
        bias: whether the linear layers have biases.
        query_key_norm: whether queries and keys are RMS-normalized, which bounds the scores (Henry et al. 2020,
            arXiv:2010.04245).
        dropout: on the attention weights.

    >>> from unspool.nn.cache import read
    >>> attention, x = MultiHead(width=8, heads=2), torch.zeros(1, 5, 8)
    >>> y, (keys, values) = attention(x, attention.start(x), read(torch.tensor([0]), 0, 5, capacity=16))
    >>> y.shape, keys.shape
    (torch.Size([1, 5, 8]), torch.Size([1, 2, 5, 4]))
    """

    def __init__(
        self,
        width: Count,
        heads: Count,
        kv_heads: Natural = 0,
        bias: bool = False,
        query_key_norm: bool = False,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(width, heads, kv_heads, dropout)
        self.read = nn.Linear(width, (self.heads + 2 * self.kv_heads) * self.head_width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)
        self.query_norm = RMSNorm(self.head_width, eps=1e-6) if query_key_norm else None
        self.key_norm = RMSNorm(self.head_width, eps=1e-6) if query_key_norm else None

    def start(self, like: Tensor) -> CoreState:
        """The empty cache: keys and values, (B, K, 0, D) each."""
        return (like.new_zeros(like.shape[0], self.kv_heads, 0, self.head_width),) * 2

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        state: CoreState,
        step: CacheStep,
        rotation: Rotation | None = None,
        bias: Float[Tensor, "#B K T C"] | None = None,
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """The attention output (B, T, D) and the updated cache."""
        heads = self.cut(self.read(x)).to(state[0].dtype)
        qk, v = heads.split([self.heads + self.kv_heads, self.kv_heads], dim=1)  # each (B, K, T, D)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = qk.split([self.heads, self.kv_heads], dim=1)
            qk = torch.cat([self.query_norm(q), self.key_norm(k)], dim=1)
        q, k = (qk if rotation is None else rotate(qk, rotation)).split([self.heads, self.kv_heads], dim=1)
        keys, kept_keys = step.extend(state[0], k)
        values, kept_values = step.extend(state[1], v)
        return self.output(self.attend(q, keys, values, step, bias)), (kept_keys, kept_values)


class CrossAttention(Heads):
    """Multi-head attention from every token to a source (Vaswani et al. 2017, arXiv:1706.03762).

    q = W x      [k; v] = U source      weights = softmax(q k / sqrt(D / heads))      y = W_o (weights v)

    Keys and values do not depend on the tokens: `keys` computes them once, and they are part of the state.

    Args:
        width: the model width D, divided among the heads.
        source_width: the size of the source vectors.
        heads: the number of heads.
        bias: whether the linear layers have biases.
        dropout: on the attention weights.

    >>> from unspool.nn.cache import whole
    >>> attention, source = CrossAttention(width=8, source_width=6, heads=2), torch.zeros(1, 3, 6)
    >>> step = whole(torch.ones(1, 3, dtype=torch.bool), 5)
    >>> attention(torch.zeros(1, 5, 8), attention.keys(source), step).shape
    torch.Size([1, 5, 8])
    """

    attends_to_source = True

    def __init__(
        self, width: Count, source_width: Count, heads: Count, bias: bool = False, dropout: Share = 0.0
    ) -> None:
        super().__init__(width, heads, 0, dropout)
        self.query = nn.Linear(width, width, bias=bias)
        self.read = nn.Linear(source_width, 2 * width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def keys(self, source: Float[Tensor, "B S D"]) -> CoreState:
        """Keys and values of the source, (B, K, S, D) each."""
        return self.cut(self.read(source)).chunk(2, dim=1)

    def forward(self, x: Float[Tensor, "B T D"], state: CoreState, step: CacheStep) -> Float[Tensor, "B T D"]:
        """The attention output (B, T, D); a row whose source is empty gets `output` of zeros."""
        keys, values = state
        return self.output(self.attend(self.cut(self.query(x)).to(keys.dtype), keys, values, step))
