"""A GRU layer in training on a CPU, its recurrence compiled by Numba, in the manner of `kernels.lstm`."""

from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unspool.nn.kernels.products import add_product, filled, gradient_of_inputs, logistic, own_copy, panels, run, tanh
from unspool.nn.kernels.vectors import ONE, compiled


def gru(x: Float[Tensor, "B T D"], state: Tensor, weights: list[Tensor], *_: Any) -> tuple[Tensor, Tensor]:
    """What `torch.gru` computes for one layer, batch first: outputs (B, T, H) and the last one (1, B, H).

    Args:
        x: inputs.
        state: h, (1, B, H).
        weights: input weight (3H, D), recurrent weight (3H, H), and their biases (3H).
    """
    y, h = Layer.apply(x, *weights, state[0])
    return y, h.unsqueeze(0)


class Layer(torch.autograd.Function):
    """Inputs (B, T, D), weights, biases, h (B, H) -> all hidden states (B, T, H), and the last one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "B T D"],
        weight: Float[Tensor, "G D"],
        recurrent: Float[Tensor, "G H"],
        bias: Float[Tensor, " G"],
        recurrent_bias: Float[Tensor, " G"],
        h: Float[Tensor, "B H"],
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B H"]]:
        """Run all time steps."""
        x, size = x.transpose(0, 1).contiguous(), h.shape[1]
        both = torch.cat([bias[: 2 * size] + recurrent_bias[: 2 * size], bias[2 * size :]])
        gates = F.linear(x, filled(weight.t()).t(), filled(both))
        reset = filled(recurrent_bias[2 * size :]).expand(*x.shape[:2], -1).contiguous()  # U_n h + d_n, to be reset
        hidden = h.new_empty(len(x) + 1, *h.shape)
        hidden[0] = h
        of_gates, of_candidate = panels(recurrent[: 2 * size].t()), panels(recurrent[2 * size :].t())
        run(ahead, len(h), of_gates, of_candidate, gates, reset, hidden)
        ctx.save_for_backward(x, weight, recurrent, gates, reset, hidden)
        return hidden[1:].transpose(0, 1), hidden[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Back-propagate through time; the gradient of a weight is one product over all rows and times."""
        x, weight, recurrent, gates, reset, hidden = ctx.saved_tensors
        outer, size, width = gradients[0].transpose(0, 1), hidden.shape[2], len(recurrent)
        slopes, inner = torch.empty_like(gates), torch.empty_like(reset)
        dh = own_copy(gradients[1])
        of_gates, of_candidate = panels(recurrent[: 2 * size]), panels(recurrent[2 * size :])
        run(back, len(dh), of_gates, of_candidate, gates, reset, hidden, outer, slopes, inner, dh)
        flat, inner = slopes.flatten(0, 1)[:, :width], inner.flatten(0, 1)[:, :size]
        dx = gradient_of_inputs(flat, weight, x) if ctx.needs_input_grad[0] else None
        before, of_bias = hidden[:-1].flatten(0, 1), flat.sum(0)
        of_recurrent = torch.cat([flat[:, : 2 * size].t() @ before, inner.t() @ before])
        of_recurrent_bias = torch.cat([of_bias[: 2 * size], inner.sum(0)])
        return dx, flat.t() @ x.flatten(0, 1), of_recurrent, of_bias, of_recurrent_bias, dh[:, :size]


@compiled
@no_type_check
def ahead(of_gates, of_candidate, gates, reset, hidden, nothing, first, last):
    """All time steps of rows first to last; `gates` (T, B, 3H filled up) are projections, overwritten by r, z, n.

    `reset` (T, B, H filled up) holds the bias, and gets the part of the candidate that is multiplied by r. Position t
    of `hidden` (T + 1, B, H) is the state before step t; 0 is given, the others are written.
    """
    size = hidden.shape[2]
    for t in range(len(gates)):
        add_product(of_gates, hidden[t, first:last], gates[t, first:last], nothing)
        add_product(of_candidate, hidden[t, first:last], reset[t, first:last], nothing)
        for row in range(first, last):
            gate, part, before, h = gates[t, row], reset[t, row], hidden[t, row], hidden[t + 1, row]
            for k in range(2 * size):
                gate[k] = logistic(gate[k])
            for k in range(size):
                n = tanh(gate[2 * size + k] + gate[k] * part[k])
                gate[2 * size + k] = n
                h[k] = n + gate[size + k] * (before[k] - n)


@compiled
@no_type_check
def back(of_gates, of_candidate, gates, reset, hidden, outer, slopes, inner, dh, nothing, first, last):
    """All time steps of rows first to last, backwards: `slopes`, like `gates`, get the gradients before the gates.

    `inner`, like `reset`, gets the gradient of the part that is reset; `outer` (T, B, H) are the gradients of the
    hidden states. `dh` (B, H filled up) is that of the last state and is overwritten by that of the first.
    """
    size = hidden.shape[2]
    for t in range(len(gates) - 1, -1, -1):
        for row in range(first, last):
            gate, slope, part, before = gates[t, row], slopes[t, row], reset[t, row], hidden[t, row]
            kept, shown, through = dh[row], outer[t, row], inner[t, row]
            for k in range(size):
                r, z, n = gate[k], gate[size + k], gate[2 * size + k]
                arriving = kept[k] + shown[k]
                candidate = arriving * (ONE - z) * (ONE - n * n)
                slope[k] = candidate * part[k] * r * (ONE - r)
                slope[size + k] = arriving * (before[k] - n) * z * (ONE - z)
                slope[2 * size + k] = candidate
                through[k] = candidate * r
                kept[k] = arriving * z
        add_product(of_gates, slopes[t, first:last], dh[first:last], nothing)
        add_product(of_candidate, inner[t, first:last], dh[first:last], nothing)
