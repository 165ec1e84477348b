"""The LSTM with exponential gates."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.heads import at_least_float32
from unspool.nn.part import CoreState
from unspool.schema import Count


@cells.register("slstm")
class SLSTM(Cell):
    """The LSTM with exponential input gates, here with one head (xLSTM: Beck et al. 2024, arXiv:2405.04517).

    f, o = sigmoid(W x + U h + b)      z = tanh(W_z x + U_z h + b_z)      i = exp(W_i x + U_i h + b_i)
    c' = f * c + i * z                 n' = f * n + i                     h' = o * c' / n'

    c and n are stored divided by exp(m), m' = max(log f + m, log i), so that nothing overflows; h does not depend on m.
    The gates read h, so the recurrence is sequential.

    Args:
        input_size: the size D of the input.
        hidden_size: the size H of the output.
        forget_bias: the bias of the forget gate before training; above 0 the memory is kept at first.

    >>> cell = SLSTM(input_size=2, hidden_size=4)
    >>> x = torch.zeros(1, 2)  # (B, D)
    >>> h, c, n, m = cell.tick(cell.read(x), cell.start(x))
    >>> h.shape
    torch.Size([1, 4])
    """

    def __init__(self, input_size: Count, hidden_size: Count, forget_bias: float = 3.0) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.recurrent = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        bound = hidden_size**-0.5
        for weight in (self.input.weight, self.recurrent.weight):
            nn.init.uniform_(weight, -bound, bound)
        with torch.no_grad():
            self.input.bias.zero_()
            self.input.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)

    def start(self, like: Tensor) -> CoreState:
        """Hidden state, memory and normalizer: zeros; the stabilizer begins at its lowest value."""
        (h,) = super().start(like)
        return h, h, h, torch.full_like(h, -1e9)

    def read(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B G"]:
        """The input projections of the three gates and the candidate."""
        return self.input(x)

    def tick(self, read: Float[Tensor, "B G"], state: CoreState) -> CoreState:
        """The next hidden state, memory, normalizer and stabilizer."""
        h, c, n, m = state
        i, f, z, o = at_least_float32(read + self.recurrent(h)).chunk(4, dim=-1)  # each (B, H)
        log_f = F.logsigmoid(f)
        stable = torch.maximum(log_f + m, i).detach()  # h does not depend on it, so it needs no gradient
        keep, write = self.tap("forget", (log_f + m - stable).exp()), self.tap("input", (i - stable).exp())
        c = self.tap("memory", keep * c + write * self.tap("candidate", z.tanh()))
        n = self.tap("normalizer", keep * n + write)
        return self.tap("hidden", self.tap("output", o.sigmoid()) * c / n), c, n, stable
