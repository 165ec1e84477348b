"""A feed-forward network over a sliding window."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.core import Core, cores
from unspool.nn.kernels.pack import order, pack, tail, unpack
from unspool.nn.part import CoreState
from unspool.schema import Count, Depth, Natural


@cores.register("window-mlp")
class WindowMLP(Core):
    """A feed-forward network over the last inputs, concatenated into one vector.

    y[t] = W_n relu(... relu(W_1 [x[t - window + 1]; ...; x[t]]))

    The neural language model of Bengio et al. 2003, and the lecture's baseline: it has weights for every
    position of the window, and no access to anything before it. Before the first input there are zeros.

    Args:
        width: the size of the output.
        input_width: the size of the input at each position; 0: as `width`.
        window: how many inputs it sees.
        layers: how many linear layers there are.
        inner: the size of the hidden layers; 0: four times the width.

    >>> core = WindowMLP(width=8, window=3)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self, width: Count, input_width: Natural = 0, window: Count = 8, layers: Depth = 2, inner: Natural = 0
    ) -> None:
        super().__init__(width, input_width)
        self.window = window
        inner = inner or 4 * width
        sizes = [window * self.input_width, *[inner] * (layers - 1), width]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """The last inputs, (B, window - 1, D): zeros."""
        return (like.new_zeros(like.shape[0], self.window - 1, self.input_width),)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """The output for each window, (B, T, W), and the last inputs."""
        places = None if mask is None else order(mask)
        packed = x if places is None else pack(x, places)
        every = torch.cat([state[0], packed.to(state[0].dtype)], dim=1)  # (B, window - 1 + T, D)
        y = every.unfold(1, self.window, 1).transpose(2, 3).flatten(2)  # (B, T, window * D), the oldest first
        for number, layer in enumerate(self.layers):
            y = layer(y.relu() if number else y)
            y = self.tap(f"layer{number}", y)
        lengths = None if mask is None else mask.sum(dim=1)
        if places is not None and mask is not None:
            y = unpack(y, places) * mask.unsqueeze(-1)
        return y, (tail(every, self.window - 1, lengths),)
