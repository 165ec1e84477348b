"""Long short-term memory."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.kernels.training import training_kernel
from unspool.nn.part import CoreState
from unspool.nn.unroll import run_kernel
from unspool.schema import Count


@cells.register("lstm")
class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    i, f, o = sigmoid(W x + U h + b)      g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g                    h' = o * tanh(c')

    `torch.nn.LSTMCell` and `torch.nn.LSTM` compute the same with two biases that are added, W x + b and U h + b'; with
    `biases=2` so does this cell, weight for weight: `input` is their weight_ih and bias_ih, `recurrent` weight_hh and
    bias_hh. The second bias adds weights and no ability.

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        forget_bias: the bias of the forget gate before training; above 0 the memory is kept at first. 1 after
            Jozefowicz et al. 2015.
        biases: 1, or 2 as torch.nn.LSTMCell has.

    >>> cell = LSTM(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, c = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "forget"

    def __init__(
        self, input_size: Count, hidden_size: Count, forget_bias: float = 1.0, biases: Literal[1, 2] = 1
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=biases == 2)
        bound = hidden_size**-0.5  # as torch.nn.LSTM does
        for weight in (self.input.weight, self.recurrent.weight):
            nn.init.uniform_(weight, -bound, bound)
        with torch.no_grad():  # remember by default: Jozefowicz et al. 2015
            self.input.bias.zero_()
            self.input.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)
            if biases == 2:
                self.recurrent.bias.zero_()

    def start(self, like: Tensor) -> CoreState:
        """Hidden state and memory: zeros."""
        return super().start(like) * 2

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The input projections of the three gates and the candidate."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state and memory."""
        h, c = state
        i, f, g, o = (read + self.recurrent(h)).chunk(4, dim=-1)  # each (B, H)
        write = self.tap("input", i.sigmoid())
        keep = self.tap("forget", f.sigmoid())
        show = self.tap("output", o.sigmoid())
        c = self.tap("memory", keep * c + write * self.tap("candidate", g.tanh()))
        h = self.tap("hidden", show * c.tanh())
        return h, c

    def fused(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B T H"], CoreState] | None:
        """By torch's LSTM kernel, its second bias zero if there is one; in training by ours where that is faster."""
        second = torch.zeros_like(self.input.bias) if self.recurrent.bias is None else self.recurrent.bias
        weights = [self.input.weight, self.recurrent.weight, self.input.bias, second]
        has_avx512 = "AVX512" in torch.backends.cpu.get_cpu_capability()  # torch's kernel is as fast there
        ours = None if len(x) > 1 and has_avx512 else training_kernel("lstm", [x, *weights, *state])
        return run_kernel(ours or torch.lstm, weights, x, state, mask)
