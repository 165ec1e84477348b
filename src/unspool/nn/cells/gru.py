"""The gated recurrent unit."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.kernels.training import training_kernel
from unspool.nn.part import CoreState
from unspool.nn.unroll import run_kernel
from unspool.schema import Count


@cells.register("gru")
class GRU(Cell):
    """The gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), reset after the product as cuDNN has it.

    r, z = sigmoid(W x + U h + b)      n = tanh(W_n x + b_n + r * (U_n h + d_n))
    h' = (1 - z) * n + z * h

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.

    >>> cell = GRU(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "update"

    def __init__(self, input_size: Count, hidden_size: Count) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 3 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 3 * hidden_size)
        bound = hidden_size**-0.5  # as torch.nn.GRU does
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The input projections of reset gate, update gate and candidate."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state."""
        (h,) = state
        x_r, x_z, x_n = read.chunk(3, dim=-1)  # each (B, H)
        h_r, h_z, h_n = self.recurrent(h).chunk(3, dim=-1)
        reset = self.tap("reset", (x_r + h_r).sigmoid())
        keep = self.tap("update", (x_z + h_z).sigmoid())
        candidate = self.tap("candidate", torch.tanh(x_n + reset * h_n))
        return (self.tap("hidden", (1 - keep) * candidate + keep * h),)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By torch's GRU kernel, or ours in training on a CPU."""
        weights = [self.input.weight, self.recurrent.weight, self.input.bias, self.recurrent.bias]
        ours = training_kernel("gru", [x, *weights, *state])
        return run_kernel(ours or torch.gru, weights, x, state, mask)
