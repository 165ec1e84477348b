"""An LSTM layer in training on a CPU, its recurrence compiled by Numba.

The input projection is one matrix product before the recurrence, and the gradient of each weight one after it; torch
does those. Rows do not depend on each other, so threads share them. Numba compiles on the first call (seconds) and
caches the result on disk. Import this module inside a function: Numba takes a third of a second to import.
"""

from typing import Any, no_type_check

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.nn.kernels.products import add_product, filled, gradient_of_inputs, logistic, own_copy, panels, run, tanh
from unspool.nn.kernels.vectors import ONE, compiled


def lstm(
    x: Float[Tensor, "B T D"], state: tuple[Tensor, ...], weights: list[Tensor], *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """What `torch.lstm` computes for one layer, batch first: outputs (B, T, H), last h and c (1, B, H).

    Args:
        x: inputs.
        state: h and c, (1, B, H) each.
        weights: input weight (4H, D), recurrent weight (4H, H), and the two biases (4H).
    """
    y, h, c = Layer.apply(x, weights[0], weights[1], weights[2] + weights[3], state[0][0], state[1][0])
    return y, h.unsqueeze(0), c.unsqueeze(0)


class Layer(torch.autograd.Function):
    """Inputs (B, T, D), weights, bias, h and c (B, H) -> all hidden states (B, T, H), the last one, the last memory.

    Inside, time comes first, so that what is worked on at a time lies together.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "B T D"],
        weight: Float[Tensor, "G D"],
        recurrent: Float[Tensor, "G H"],
        bias: Float[Tensor, " G"],
        h: Float[Tensor, "B H"],
        c: Float[Tensor, "B H"],
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B H"], Float[Tensor, "B H"]]:
        """Run all time steps."""
        x = x.transpose(0, 1).contiguous()
        gates = x @ filled(weight.t())
        hidden, memory = (s.new_empty(len(x) + 1, *s.shape) for s in (h, c))
        hidden[0], memory[0] = h, c
        run(ahead, gates.shape[1], panels(recurrent.t()), bias, gates, hidden, memory)
        ctx.save_for_backward(x, weight, recurrent, gates, hidden, memory)
        return hidden[1:].transpose(0, 1), hidden[-1].clone(), memory[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Back-propagate through time; the gradient of a weight is one product over all rows and times."""
        x, weight, recurrent, gates, hidden, memory = ctx.saved_tensors
        outer, dc = gradients[0].transpose(0, 1), gradients[2].clone(memory_format=torch.contiguous_format)
        size, width = recurrent.shape[1], len(recurrent)
        slopes, dh = torch.empty_like(gates), own_copy(gradients[1])
        run(back, gates.shape[1], panels(recurrent), gates, memory, outer, slopes, dh, dc)
        flat = slopes.flatten(0, 1)[:, :width]
        dx = gradient_of_inputs(flat, weight, x) if ctx.needs_input_grad[0] else None
        of_weight, of_recurrent = (flat.t() @ before.flatten(0, 1) for before in (x, hidden[:-1]))
        return dx, of_weight, of_recurrent, flat.sum(0), dh[:, :size], dc


@compiled
@no_type_check
def ahead(weight, bias, gates, hidden, memory, nothing, first, last):
    """All time steps of rows first to last; `gates` (T, B, 4H filled up) are projections, overwritten by i, f, g, o.

    The bias (4H) is added to them. Position t of `hidden` and `memory` (T + 1, B, H) is the state before step t; 0 is
    given, the others are written. Every loop counts from 0: of an index that begins elsewhere Numba does not know that
    it is not negative, and LLVM makes no vectors of the loop.
    """
    size = hidden.shape[2]
    of_g, of_o = bias[2 * size : 3 * size], bias[3 * size :]
    for t in range(len(gates)):
        add_product(weight, hidden[t, first:last], gates[t, first:last], nothing)
        for row in range(first, last):
            gate, h, c, before = gates[t, row], hidden[t + 1, row], memory[t + 1, row], memory[t, row]
            i, f, g, o = gate[:size], gate[size : 2 * size], gate[2 * size : 3 * size], gate[3 * size : 4 * size]
            for k in range(2 * size):
                gate[k] = logistic(gate[k] + bias[k])  # i and f
            for k in range(size):
                g[k] = tanh(g[k] + of_g[k])
            for k in range(size):
                o[k] = logistic(o[k] + of_o[k])
            for k in range(size):
                c[k] = f[k] * before[k] + i[k] * g[k]
            for k in range(size):
                h[k] = o[k] * tanh(c[k])


@compiled
@no_type_check
def back(weight, gates, memory, outer, slopes, dh, dc, nothing, first, last):
    """All time steps of rows first to last, backwards: `slopes`, like `gates`, get the gradients before the gates.

    `outer` (T, B, H) are the gradients of the hidden states. `dh` (B, H filled up) and `dc` (B, H) hold the gradients
    of the last state and are overwritten by those of the first.
    """
    size = dc.shape[1]
    for t in range(len(gates) - 1, -1, -1):
        for row in range(first, last):
            gate, slope, before, now = gates[t, row], slopes[t, row], memory[t, row], memory[t + 1, row]
            ahead_of, kept, shown = dh[row], dc[row], outer[t, row]
            for k in range(size):
                i, f, g, o = gate[k], gate[size + k], gate[2 * size + k], gate[3 * size + k]
                out, arriving = tanh(now[k]), ahead_of[k] + shown[k]
                through = kept[k] + arriving * o * (ONE - out * out)
                slope[k] = through * g * i * (ONE - i)
                slope[size + k] = through * before[k] * f * (ONE - f)
                slope[2 * size + k] = through * i * (ONE - g * g)
                slope[3 * size + k] = arriving * out * o * (ONE - o)
                kept[k] = through * f
            ahead_of[:] = 0
        add_product(weight, slopes[t, first:last], dh[first:last], nothing)
