"""The instructions of the parts of models: cells, norms and feed-forward networks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from unspool.generate.compiled import program as p
from unspool.generate.compiled.program import Builder
from unspool.nn.blocks import FeedForward, activation
from unspool.nn.cells.elman import Elman
from unspool.nn.cells.gru import GRU
from unspool.nn.cells.lstm import LSTM
from unspool.nn.cells.mingru import MinGRU
from unspool.nn.cells.minlstm import MinLSTM
from unspool.nn.cells.rglru import RGLRU

LARGEST_TABLE = 16 * 2**20
"""An embedding is multiplied by the input weights in advance where that takes at most so many bytes."""


class NoInstructionError(Exception):
    """A part of a model that the compiled loop has no instruction for."""


def array(value: Any) -> Any:
    """The numbers of a tensor in float32; of None, None."""
    return None if value is None else value.detach().float().numpy()


def keep_state(b: Builder, cell: Any, path: str) -> list[int]:
    """Room for the state of a cell: hidden state, and the memory of an LSTM."""
    return [b.keep(f"{path}.{i}", (cell.hidden_size,)) for i in range(2 if isinstance(cell, LSTM) else 1)]


def run_cell(b: Builder, cell: Any, state: Sequence[int], x: int, table: Tensor | None = None) -> int:
    """A cell that reads x, or the embedding of the token; where its output is."""
    if type(cell) not in CELLS:
        raise NoInstructionError(type(cell).__name__)
    projected = b.room(cell.input.out_features)
    if table is not None and len(table) * cell.input.out_features * 4 <= LARGEST_TABLE:
        b.embed(array(cell.input(table)), projected)
    else:
        if table is not None:
            x = b.room(table.shape[1])
            b.embed(array(table), x)
        b.matrix(array(cell.input.weight), array(cell.input.bias), x, projected)
    CELLS[type(cell)](b, cell, projected, *state)
    return state[0]


def lstm(b: Builder, cell: Any, projected: int, h: int, c: int) -> None:
    """The step of an LSTM from its input projections on."""
    b.matrix(array(cell.recurrent.weight), array(cell.recurrent.bias), h, projected, adds=True)
    b.add(p.LSTM, projected, h, c, cell.hidden_size)


def elman(b: Builder, cell: Any, projected: int, h: int) -> None:
    """The step of a simple recurrent network."""
    b.matrix(array(cell.recurrent.weight), array(cell.recurrent.bias), h, projected, adds=True)
    b.add(p.ELMAN, projected, h, int(cell.activation == "relu"), cell.hidden_size)


def gru(b: Builder, cell: Any, projected: int, h: int) -> None:
    """The step of a GRU."""
    hidden = b.room(3 * cell.hidden_size)
    b.matrix(array(cell.recurrent.weight), array(cell.recurrent.bias), h, hidden)
    b.add(p.GRU, projected, h, hidden, cell.hidden_size)


def mingru(b: Builder, cell: Any, projected: int, h: int) -> None:
    """The step of a minGRU."""
    b.add(p.MINGRU, projected, h, 0, cell.hidden_size)


def minlstm(b: Builder, cell: Any, projected: int, h: int) -> None:
    """The step of a minLSTM."""
    b.add(p.MINLSTM, projected, h, 0, cell.hidden_size)


def rglru(b: Builder, cell: Any, projected: int, h: int) -> None:
    """The step of an RG-LRU; what its decay is where its gate is open is computed in advance."""
    decay = cell.sharpness * nn.functional.logsigmoid(cell.decay)
    b.add(p.RGLRU, projected, h, b.vector(array(decay)), cell.hidden_size)


CELLS: dict[type, Callable[..., None]] = {
    LSTM: lstm,
    Elman: elman,
    GRU: gru,
    MinGRU: mingru,
    MinLSTM: minlstm,
    RGLRU: rglru,
}
"""For every kind of cell what writes its instructions."""


def normalize(b: Builder, norm: Any, x: int, out: int, width: int) -> None:
    """RMSNorm or LayerNorm; nothing else stands where a norm may be."""
    epsilon = b.vector(np.array([norm.eps], np.float32))
    bias = b.vector(array(getattr(norm, "bias", None)), width)
    b.add(p.NORM, x, out, width, int(isinstance(norm, nn.LayerNorm)), b.vector(array(norm.weight)), bias, epsilon)


def feed_forward(b: Builder, part: FeedForward, x: int, out: int) -> None:
    """out += the feed-forward network of x."""
    inner = part.down.in_features
    up, neurons = b.room(part.up.out_features), b.room(inner)
    b.matrix(array(part.up.weight), array(part.up.bias), x, up)
    b.add(p.ACTIVATE, up, neurons, inner, p.ACTIVATIONS.index(kind_of(part)))
    b.matrix(array(part.down.weight), array(part.down.bias), neurons, out, adds=True)


def kind_of(part: FeedForward) -> str:
    """The name of the activation of a feed-forward network, found by what it does."""
    if part.gated:
        return "swiglu"
    return next(name for name in p.ACTIVATIONS if activation(name) is part.activation)
