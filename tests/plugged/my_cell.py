"""A user's own cell in one file: `unspool train char-lm core.cell=mgu --plugin tests/plugged/my_cell.py`."""

import torch
from torch import Tensor, nn

from unspool.nn.cell import Cell, cells
from unspool.nn.part import CoreState
from unspool.schema import Count


@cells.register("mgu")
class MinimalGated(Cell):
    """The minimal gated unit (Zhou et al. 2016, arXiv:1603.09420): one gate forgets and updates.

    f = sigmoid(W x + U h + b)      n = tanh(W_n x + U_n (f * h) + b_n)
    h' = (1 - f) * h + f * n
    """

    def __init__(self, input_size: Count, hidden_size: Count) -> None:
        super().__init__(input_size, hidden_size)
        self.input = nn.Linear(input_size, 2 * hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)

    def read(self, x: Tensor) -> Tensor:
        """What the input says to gate and candidate."""
        return self.input(x)

    def tick(self, read: Tensor, state: CoreState) -> CoreState:
        """The next hidden."""
        (h,) = state
        x_f, x_n = read.chunk(2, dim=-1)  # each (B, H)
        forget = self.tap("forget", torch.sigmoid(x_f + self.gate(h)))
        candidate = self.tap("candidate", torch.tanh(x_n + self.recurrent(forget * h)))
        return (self.tap("hidden", (1 - forget) * h + forget * candidate),)
