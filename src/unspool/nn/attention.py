"""Looking: from one state at a source, and from every token at those before it."""

from contextlib import nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.cache import CacheStep
from unspool.nn.part import CoreState, Part
from unspool.nn.positions import Rotation, rotate
from unspool.schema import Count, Natural, Share

AttentionName = Literal["additive", "dot", "general"]


def masked_softmax(
    scores: Float[Tensor, "*B C"], visible: Bool[Tensor, "*#B C"] | None = None
) -> Float[Tensor, "*B C"]:
    """The softmax over what is visible; zeros where nothing is, never NaN.

    >>> masked_softmax(torch.zeros(2, 2), torch.tensor([[True, True], [False, False]])).tolist()
    [[0.5, 0.5], [0.0, 0.0]]
    """
    if visible is None:
        return scores.softmax(dim=-1)
    return scores.masked_fill(~visible, torch.finfo(scores.dtype).min).softmax(dim=-1) * visible


class Attention(Part):
    """One look at a source: a query gives the mean of what there is to see, weighted by how well it fits.

    weights = softmax(score(query, source))      seen = sum over S of weights * source

    What does not depend on the query, `keys`, is worked out once.
    """

    attends_to_source = True

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__()
        self.width, self.source_width = width, source_width

    def keys(self, source: Float[Tensor, "B S D"]) -> Float[Tensor, "B S H"]:
        """What the scores need to know of the source."""
        return source

    def score(self, query: Float[Tensor, "B H"], keys: Float[Tensor, "B S H"]) -> Float[Tensor, "B S"]:
        """How well each place of the source fits; here the dot product (Luong et al. 2015, arXiv:1508.04025).

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
        """What is seen; zeros where there is nothing to look at."""
        scores = self.tap("scores", self.score(query, keys))
        weights = self.tap("weights", masked_softmax(scores, mask))
        return torch.einsum("bs,bsd->bd", weights.to(source.dtype), source)


class Dot(Attention):
    """The dot product of query and source (Luong et al. 2015, arXiv:1508.04025).

    score = query . source
    """

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__(width, source_width)
        if width != source_width:
            raise ConfigError(
                f"dot attention compares {width} numbers of the state with {source_width} of the source",
                hint='make the widths equal, or look with "general"',
            )


class General(Attention):
    """The product of query and source through a matrix (Luong et al. 2015, arXiv:1508.04025).

    score = query . W source
    """

    def __init__(self, width: Count, source_width: Count) -> None:
        super().__init__(width, source_width)
        self.key = nn.Linear(source_width, width, bias=False)

    def keys(self, source: Float[Tensor, "B S D"]) -> Float[Tensor, "B S H"]:
        """W source."""
        return self.key(source)


class Additive(Attention):
    """A small network judges the fit (Bahdanau et al. 2015, arXiv:1409.0473).

    score = v . tanh(W query + U source)
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
        """What the small network says of each place."""
        return self.judge(torch.tanh(self.query(query).unsqueeze(1) + keys)).squeeze(-1)


def build_attention(name: AttentionName, width: Count, source_width: Count) -> Attention:
    """The way to look of that name.

    >>> build_attention("general", 4, 6).keys(torch.zeros(1, 2, 6)).shape
    torch.Size([1, 2, 4])
    """
    return {"additive": Additive, "dot": Dot, "general": General}[name](width, source_width)


class Heads(Part):
    """Several heads that compare queries with keys; `kv_heads` says how many pairs of keys and values they share."""

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
        """What a layer gives, head by head."""
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)

    def attend(self, q: Tensor, keys: Tensor, values: Tensor, reading: CacheStep, bias: Tensor | None = None) -> Tensor:
        """What every token sees, (B, T, D): by the kernel, or by the formula where somebody watches."""
        way = self.fast if self.watcher is None else self.plain
        return way(q, keys, values, reading, bias).transpose(1, 2).flatten(2)

    def plain(self, q: Tensor, keys: Tensor, values: Tensor, reading: CacheStep, bias: Tensor | None) -> Tensor:
        """The formula, for those who watch: taps "scores" and "weights", (B, K, T, C)."""
        keys, values = (kv.repeat_interleave(self.heads // self.kv_heads, dim=1) for kv in (keys, values))
        scores = q @ keys.mT * self.head_width**-0.5
        scores = self.tap("scores", scores if bias is None else scores + bias)
        weights = self.tap("weights", masked_softmax(scores, reading.attention_mask()))
        return F.dropout(weights, self.dropout, self.training) @ values

    def fast(self, q: Tensor, keys: Tensor, values: Tensor, reading: CacheStep, bias: Tensor | None) -> Tensor:
        """The same in one kernel; in float32 on a CPU, where the bfloat16 kernel is slow."""
        attn_mask = reading.visible if bias is None else reading.attention_mask()
        blind = None if reading.visible is None else ~reading.visible.any(dim=-1, keepdim=True)  # (B, 1, T, 1)
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
                is_causal=attn_mask is None and reading.causal,
                enable_gqa=self.kv_heads < self.heads,
            )
        return seen if blind is None else seen.masked_fill(blind, 0)


class MultiHead(Heads):
    """Every token looks at those before it and at itself, with several heads (Vaswani et al. 2017, arXiv:1706.03762).

    [q; k; v] = W x      weights = softmax(q k / sqrt(D / heads))      y = W_o (weights v)

    The state is keys and values (see `unspool.nn.cache`). With fewer `kv_heads` several heads share keys and values
    (Shazeer 2019, arXiv:1911.02150; Ainslie et al. 2023, arXiv:2305.13245). `query_key_norm` keeps the scores in bounds
    (Henry et al. 2020, arXiv:2010.04245).
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
        self.query_norm = nn.RMSNorm(self.head_width, eps=1e-6) if query_key_norm else None
        self.key_norm = nn.RMSNorm(self.head_width, eps=1e-6) if query_key_norm else None

    def start(self, like: Tensor) -> CoreState:
        """Keys and values of nothing."""
        return (like.new_zeros(like.shape[0], self.kv_heads, 0, self.head_width),) * 2

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        state: CoreState,
        reading: CacheStep,
        turns: Rotation | None = None,
        bias: Float[Tensor, "#B K T C"] | None = None,
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """What every token sees, and the keys and values to keep."""
        heads = self.cut(self.read(x)).to(state[0].dtype)
        q, k, v = heads.split([self.heads, self.kv_heads, self.kv_heads], dim=1)  # each (B, K, T, D)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if turns is not None:
            q, k = rotate(q, turns), rotate(k, turns)
        keys, kept_keys = reading.extend(state[0], k)
        values, kept_values = reading.extend(state[1], v)
        return self.output(self.attend(q, keys, values, reading, bias)), (kept_keys, kept_values)


class CrossAttention(Heads):
    """Every token looks at a source, with several heads (Vaswani et al. 2017, arXiv:1706.03762).

    q = W x      [k; v] = U source      weights = softmax(q k / sqrt(D / heads))      y = W_o (weights v)

    Keys and values do not depend on the tokens: they are worked out once, by `keys`, and are a part of the state.
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

    def forward(self, x: Float[Tensor, "B T D"], state: CoreState, reading: CacheStep) -> Float[Tensor, "B T D"]:
        """What every token sees; zeros through `output` where there is nothing to look at."""
        keys, values = state
        return self.output(self.attend(self.cut(self.query(x)).to(keys.dtype), keys, values, reading))
