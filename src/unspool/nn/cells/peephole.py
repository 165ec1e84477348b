"""The LSTM with peephole connections."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.part import CoreState
from unspool.schema import Count


@cells.register("peephole")
class Peephole(Cell):
    """The LSTM with peephole connections: each gate also reads its own unit's memory (Gers & Schmidhuber 2000).

    i, f = sigmoid(W x + U h + p * c + b)      g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g                         o = sigmoid(W_o x + U_o h + p_o * c' + b_o)
    h' = o * tanh(c')

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        forget_bias: the bias of the forget gate before training; above 0 the memory is kept at first.

    >>> cell = Peephole(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, c = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    keeps = "forget"

    def __init__(self, input_size: Count, hidden_size: Count, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.peep = nn.Parameter(torch.zeros(3, hidden_size))  # input, forget, output
        bound = hidden_size**-0.5
        for weight in (self.input.weight, self.recurrent.weight, self.peep):
            nn.init.uniform_(weight, -bound, bound)
        with torch.no_grad():
            self.input.bias.zero_()
            self.input.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)

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
        peep_i, peep_f, peep_o = self.peep
        write = self.tap("input", torch.sigmoid(i + peep_i * c))
        keep = self.tap("forget", torch.sigmoid(f + peep_f * c))
        c = self.tap("memory", keep * c + write * self.tap("candidate", g.tanh()))
        show = self.tap("output", torch.sigmoid(o + peep_o * c))
        return self.tap("hidden", show * c.tanh()), c
