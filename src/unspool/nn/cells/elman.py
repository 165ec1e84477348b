"""The simple recurrent network."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.kernels.training import training_kernel
from unspool.nn.part import CoreState
from unspool.nn.unroll import run_kernel
from unspool.schema import Count


@cells.register("elman")
class Elman(Cell):
    """The simple recurrent network (Elman 1990, doi:10.1207/s15516709cog1402_1).

    h' = g(W x + U h + b)      g = tanh or relu

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        activation: g, "tanh" or "relu".
        initial: how U is initialized: "orthogonal" keeps gradients from vanishing (Saxe et al. 2014, arXiv:1312.6120),
            "identity" with relu is the IRNN (Le et al. 2015, arXiv:1504.00941), "uniform" is that of torch.nn.RNN.

    >>> cell = Elman(input_size=2, hidden_size=4, activation="relu", initial="identity")
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> (h,) = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    def __init__(
        self,
        input_size: Count,
        hidden_size: Count,
        activation: Literal["tanh", "relu"] = "tanh",
        initial: Literal["orthogonal", "identity", "uniform"] = "orthogonal",
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = activation
        self.input = nn.Linear(input_size, hidden_size)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)
        bound = hidden_size**-0.5
        if initial == "uniform":
            for parameter in self.parameters():
                nn.init.uniform_(parameter, -bound, bound)
        else:
            start = nn.init.orthogonal_ if initial == "orthogonal" else nn.init.eye_
            start(self.recurrent.weight)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The input projection, W x + b."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state."""
        (h,) = state
        before = at_least_float32(read + self.recurrent(h))  # (B, H)
        return (self.tap("hidden", before.tanh() if self.activation == "tanh" else before.relu()),)

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By torch's RNN kernel, with a second bias of zero, or ours in training on a CPU."""
        weights = [self.input.weight, self.recurrent.weight, self.input.bias, torch.zeros_like(self.input.bias)]
        ours = training_kernel("elman_tanh" if self.activation == "tanh" else "elman_relu", [x, *weights, *state])
        theirs = torch.rnn_tanh if self.activation == "tanh" else torch.rnn_relu
        return run_kernel(ours or theirs, weights, x, state, mask)
