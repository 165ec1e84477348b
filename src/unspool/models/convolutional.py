"""Dilated causal convolutions."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from unspool.nn.core import Core, cores
from unspool.nn.kernels.pack import order, pack, tail, unpack
from unspool.nn.part import CoreState, Part
from unspool.schema import Count, Depth, Natural, Share


class CausalConvolution(Part):
    """A residual layer: a gated causal convolution of `kernel` inputs, `dilation` positions apart.

    a, b = W * norm(x)      y = x + W_o (tanh(a) * sigmoid(b))

    The state is the last (kernel - 1) * dilation inputs of the convolution.
    """

    def __init__(self, width: Count, kernel: Count, dilation: Count, dropout: Share = 0.0) -> None:
        super().__init__()
        self.width, self.past = width, (kernel - 1) * dilation
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.convolution = nn.Conv1d(width, 2 * width, kernel, dilation=dilation)
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def start(self, like: Tensor) -> CoreState:
        """The inputs before the first: zeros."""
        return (like.new_zeros(like.shape[0], self.past, self.width),)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """The output (B, T, D) and the next state; the first `lengths` tokens of every row are present."""
        every = torch.cat([state[0], self.norm(x).to(state[0].dtype)], dim=1)  # (B, past + T, D)
        filter_, gate = self.convolution(every.transpose(1, 2)).transpose(1, 2).chunk(2, dim=-1)
        gate = self.tap("gate", gate.sigmoid())
        y = x + self.dropout(self.output(self.tap("filter", filter_.tanh()) * gate))
        return self.tap("hidden", y), (tail(every, self.past, lengths),)


@cores.register("convolutional")
class Convolutional(Core):
    """Causal convolutions whose receptive field doubles with every layer.

    WaveNet (van den Oord et al. 2016, arXiv:1609.03499), temporal convolutional networks (Bai et al. 2018,
    arXiv:1803.01271). The property `reach` is how many tokens an output sees.

    Args:
        width: the size of the vector at each position.
        input_width: the size of the input at each position; 0: as `width`.
        layers: how many convolutions lie above each other.
        kernel: how many positions each convolution combines.
        cycle: the dilations are 1, 2, 4 ... 2^(cycle - 1), and again.
        dropout: on what each layer adds.

    >>> core = Convolutional(width=8, layers=3, kernel=2)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        layers: Depth = 6,
        kernel: Count = 3,
        cycle: Count = 10,
        dropout: Share = 0.0,
    ) -> None:
        super().__init__(width, input_width)
        self.enter = nn.Linear(self.input_width, width) if self.input_width != width else nn.Identity()
        dilations = [2 ** (number % cycle) for number in range(layers)]
        self.layers = nn.ModuleList(CausalConvolution(width, kernel, dilation, dropout) for dilation in dilations)
        self.norm = nn.RMSNorm(width, eps=1e-5)

    @property
    def reach(self) -> int:
        """How many tokens an output sees, its own among them."""
        return 1 + sum(layer.past for layer in self._stack())

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """The last inputs of every layer: zeros."""
        return tuple(layer.start(like) for layer in self._stack())

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Layer upon layer; padding is moved out of the way and its outputs are zero."""
        places = None if mask is None else order(mask)
        lengths = None if mask is None else mask.sum(dim=1)
        x = self.enter(x if places is None else pack(x, places))
        after = []
        for layer, before in zip(self._stack(), state, strict=True):
            x, last = layer(x, before, lengths)
            after.append(last)
        x = self.norm(x)
        if places is not None and mask is not None:
            x = unpack(x, places) * mask.unsqueeze(-1)
        return x, tuple(after)

    def _stack(self) -> list[CausalConvolution]:
        return list(self.layers)  # type: ignore[arg-type]
