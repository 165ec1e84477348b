"""A short causal depthwise convolution."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.part import CoreState, Part
from unspool.schema import Count


class ShortConv(Part):
    """A causal depthwise convolution over the last `size` inputs.

    y_t = b + w_0 * x_t + w_1 * x_{t-1} + ...

    The state is the last size - 1 inputs, oldest first; before the first input they are zero.

    Args:
        width: the number of channels.
        size: the kernel size.

    >>> convolution = ShortConv(width=1, size=2)
    >>> x = torch.zeros(1, 3, 1)
    >>> convolution(x, convolution.start(x))[0].shape
    torch.Size([1, 3, 1])
    """

    def __init__(self, width: Count, size: Count) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(width, 1, size))  # as torch.nn.Conv1d has it: the latest input last
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.uniform_(self.weight, -(size**-0.5), size**-0.5)

    def start(self, like: Tensor) -> CoreState:
        """The inputs before the first: zeros, (B, size - 1, D)."""
        return (like.new_zeros(like.shape[0], self.size - 1, len(self.bias)),)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """Outputs (B, T, D), undefined at padded positions, and the last present inputs."""
        (past,) = state
        if mask is None:
            y, seen = self._sums(x, past)
            return y, (seen[:, x.shape[1] :],)
        order = (~mask).long().argsort(dim=1, stable=True).unsqueeze(-1)  # what is present first: (B, T, 1)
        y, seen = self._sums(x.gather(1, order.expand_as(x)), past)
        y = torch.zeros_like(y).scatter(1, order.expand_as(y), y)
        ends = mask.sum(dim=1, keepdim=True) + torch.arange(self.size - 1, device=x.device)  # (B, size - 1)
        return y, (seen.gather(1, ends.unsqueeze(-1).expand(-1, -1, x.shape[-1])),)

    def _sums(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        time, seen = x.shape[1], torch.cat([past, x], dim=1)  # (B, size - 1 + T, D)
        y: Tensor = self.bias
        for back, weight in enumerate(self.weight.squeeze(1).unbind(1)):  # on a CPU twice as fast as torch's kernel
            y = torch.addcmul(y, seen[:, back : back + time], weight)
        return y, seen
