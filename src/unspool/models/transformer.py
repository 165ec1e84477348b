"""Transformers: decoders, encoders, and decoders that attend to a source."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.errors import DataError
from unspool.nn.attention import CrossAttention, MultiHead
from unspool.nn.blocks import AttentionContext, Block, FeedForward, FeedForwardName, NormName, make_norm
from unspool.nn.cache import read, whole
from unspool.nn.core import Core, cores, needed
from unspool.nn.cuda_graphs import recording
from unspool.nn.part import CoreState
from unspool.nn.positions import PositionsName, build
from unspool.schema import Count, Depth, Natural, Positive, Share


@cores.register("transformer")
class Transformer(Core):
    """A stack of attention and feed-forward blocks (Vaswani et al. 2017, arXiv:1706.03762).

    What happens at the end of the context depends on `positions`. Where only distances matter ("rotary", "alibi",
    "none") the context slides and the text may have any length, each layer attending to the last `context` tokens, as
    Transformer-XL carries its memory (Dai et al. 2019, arXiv:1901.02860). "learned" and "sinusoidal" positions end
    there: reading more is a DataError, and generation then goes on by reading the last half anew.

    GPT-2    positions="learned", norm="layer", feed_forward="gelu-tanh", bias=true
    Llama    the defaults, with kv_heads
    2017     positions="sinusoidal", norm="layer", post_norm=true, feed_forward="relu", bias=true, scale_embedding=true
    BERT     positions="learned", norm="layer", post_norm=true, feed_forward="gelu", bias=true, embedding_norm=true,
             causal=false, epsilon=1e-12

    Args:
        width: the size of the vector at each position.
        input_width: the size of the input at each position; 0: as `width`.
        layers: how many blocks lie above each other.
        heads: how many attention heads each block has; `width` is divided among them.
        kv_heads: heads of keys and values, fewer than `heads` for grouped-query attention (0: as many).
        context: how many tokens it can attend to.
        window: how many tokens each token of each layer attends to (0: the whole context).
        positions: how it knows the order of the tokens.
        rotary_base: the base of the wavelengths of rotary positions.
        norm: how vectors are normalized.
        epsilon: is added to a variance before its root is taken.
        post_norm: whether a block normalizes what it adds to, as in 2017, and not what it reads.
        feed_forward: the activation of the feed-forward network; "swiglu" has a gate.
        feed_width: the inner size of the feed-forward network; 0: four times the width, 8/3 times with a gate.
        bias: whether linear layers have biases.
        query_key_norm: whether queries and keys are normalized.
        dropout: on attention, and on what each block adds.
        scale_embedding: whether the input is multiplied by the root of the width.
        embedding_norm: whether the input with its positions is normalized before the first block, as in BERT.
        zero_outputs: whether output matrices begin with zeros, so that a block adds nothing at first.
        causal: whether a token sees only those before it; false makes an encoder, which remembers nothing between
            readings.
        cross_attention: whether every block also attends to a source, whose keys and values are computed once and kept
            in the state.
        source_width: the size of the source's vectors; 0: the encoder's.

    >>> core = Transformer(width=8, layers=2, heads=2, context=16)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        layers: Depth = 4,
        heads: Count = 4,
        kv_heads: Natural = 0,
        context: Count = 256,
        window: Natural = 0,
        positions: PositionsName = "rotary",
        rotary_base: Positive = 10_000.0,
        norm: NormName = "rms",
        epsilon: Positive = 1e-5,
        post_norm: bool = False,
        feed_forward: FeedForwardName = "swiglu",
        feed_width: Natural = 0,
        bias: bool = False,
        query_key_norm: bool = False,
        dropout: Share = 0.0,
        scale_embedding: bool = False,
        embedding_norm: bool = False,
        zero_outputs: bool = False,
        causal: bool = True,
        cross_attention: bool = False,
        source_width: Natural = 0,
    ) -> None:
        super().__init__(width, input_width)
        self.causal, self.needs_source = causal, cross_attention
        self.enter = nn.Linear(self.input_width, width, bias=bias) if self.input_width != width else nn.Identity()
        self.scale = width**0.5 if scale_embedding else 1.0
        self.positions = build(positions, width, heads, context, rotary_base)
        self.embedding_norm = make_norm(norm, width, bias, epsilon) if embedding_norm else nn.Identity()
        self.max_length, self.context = self.positions.max_length, context
        self.window = window or context
        self.layers = nn.ModuleList(
            Block(
                width,
                MultiHead(width, heads, kv_heads, bias, query_key_norm, dropout),
                FeedForward(width, feed_forward, feed_width, bias),
                norm,
                post_norm,
                bias,
                epsilon,
                dropout,
                CrossAttention(width, source_width or width, heads, bias, dropout) if cross_attention else None,
            )
            for _ in range(layers)
        )
        self.norm = nn.Identity() if post_norm else make_norm(norm, width, bias, epsilon)
        self.dropout = nn.Dropout(dropout)
        self._begin(zero_outputs)

    def _begin(self, zero_outputs: bool) -> None:
        """Initialize so that activations keep their scale over the layers (GPT-2), or outputs with zeros."""
        for block in self._stack():
            readers, outputs = [block.attention.read, block.feed_forward.up], [block.attention.output]
            outputs.append(block.feed_forward.down)
            if block.cross_attention is not None:
                readers += [block.cross_attention.query, block.cross_attention.read]
                outputs.append(block.cross_attention.output)
            for linear in readers:
                nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            for linear in outputs:
                shrink = 0.0 if zero_outputs else (2 * len(self.layers)) ** -0.5
                nn.init.normal_(linear.weight, std=shrink * linear.in_features**-0.5)
            for linear in (m for m in block.modules() if isinstance(m, nn.Linear) and m.bias is not None):
                nn.init.zeros_(linear.bias)

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """How many tokens each row has read (none), then the keys and values of each layer (none).

        With cross-attention there is a last part: the source's mask, and each layer's keys and values of it.
        """
        length = like.new_zeros(like.shape[0], dtype=torch.long)
        state = length, *(block.attention.start(like) for block in self._stack())
        if not self.needs_source:
            return state
        source = needed("transformer", source)
        if source_mask is None:
            source_mask = source.new_ones(source.shape[:2], dtype=torch.bool)
        readers = (block.cross_attention for block in self._stack())
        return *state, (source_mask, *(reader.keys(source) for reader in readers if reader is not None))

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Run all blocks.

        Raises:
            DataError: where there would be more tokens than positions.
        """
        if mask is not None and bool(mask.all()):
            mask = None
        length, *caches = state[: 1 + len(self.layers)]
        source = state[1 + len(self.layers) :]  # empty without cross-attention
        slots, capacity = caches[0][0].shape[2], min(self.context, self.window)
        step = read(length, slots, x.shape[1], mask, capacity=capacity, window=self.window, causal=self.causal)
        self._check(step.length, x.shape[1])
        x = self.dropout(self.embedding_norm(self.positions.add(self.enter(x) * self.scale, step.positions)))
        context = AttentionContext(
            step,
            self.positions.rotation(step.positions, like=x),
            self.positions.bias(step.positions, step.keys, like=x),
            whole(source[0][0], x.shape[1]) if source else None,
        )
        after = []
        for number, (block, cache) in enumerate(zip(self._stack(), caches, strict=True), start=1):
            x, kept = block(x, cache, context, source[0][number] if source else ())
            after.append(kept)
        x = self.norm(x) if mask is None else self.norm(x) * mask.unsqueeze(-1)
        return x, (step.length, *after, *source) if self.causal else state

    def remaining(self, state: CoreState) -> int | None:
        """`max_length` less the tokens of the row that has read the most; None without a limit."""
        return None if self.max_length is None else self.max_length - int(state[0].max())

    def _check(self, length: Tensor, time: int) -> None:
        """Refuse more tokens than there are positions; a step of one token on a GPU does not wait to find out."""
        waits = (length.device.type == "cpu" or time > 1) and not recording()
        if self.max_length is None or not waits or torch.compiler.is_compiling():
            return
        if int(length.max()) <= self.max_length:
            return
        raise DataError(
            f"this model reads at most {self.max_length} tokens; this would be {int(length.max())}",
            hint="read less at a time from an empty state, or train with a longer core.context or with "
            'core.positions="rotary", whose context slides',
        )

    def _stack(self) -> list[Block]:
        return list(self.layers)  # type: ignore[arg-type]
