"""A simple recurrent layer in training on a CPU, its recurrence compiled by Numba, in the manner of `kernels.lstm`."""

from functools import partial
from typing import Any, no_type_check

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.nn.kernels.products import add_product, filled, gradient_of_inputs, own_copy, panels, run, tanh
from unspool.nn.kernels.vectors import LANES, ONE, ZERO, compiled


def elman_tanh(x: Float[Tensor, "B T D"], state: Tensor, weights: list[Tensor], *_: Any) -> tuple[Tensor, Tensor]:
    """What `torch.rnn_tanh` computes for one layer, batch first: outputs (B, T, H) and the last one (1, B, H).

    Args:
        x: inputs.
        state: h, (1, B, H).
        weights: input weight (H, D), recurrent weight (H, H), and the two biases (H).
    """
    y, h = Layer.apply(x, weights[0], weights[1], weights[2] + weights[3], state[0], False)
    return y, h.unsqueeze(0)


def elman_relu(x: Float[Tensor, "B T D"], state: Tensor, weights: list[Tensor], *_: Any) -> tuple[Tensor, Tensor]:
    """What `torch.rnn_relu` computes; see `elman_tanh`."""
    y, h = Layer.apply(x, weights[0], weights[1], weights[2] + weights[3], state[0], True)
    return y, h.unsqueeze(0)


class Layer(torch.autograd.Function):
    """Inputs (B, T, D), weights, bias, h (B, H) -> all hidden states (B, T, H), and the last one."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "B T D"],
        weight: Float[Tensor, "H D"],
        recurrent: Float[Tensor, "H H"],
        bias: Float[Tensor, " H"],
        h: Float[Tensor, "B H"],
        relu: bool,
    ) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B H"]]:
        """Run all time steps."""
        x, size = x.transpose(0, 1).contiguous(), h.shape[1]
        hidden = h.new_empty(len(x) + 1, len(h), size + -size % LANES)
        hidden[0, :, :size] = h
        torch.matmul(x, filled(weight.t()), out=hidden[1:]).add_(filled(bias))
        run(partial(ahead, relu), len(h), panels(recurrent.t()), hidden)
        ctx.save_for_backward(x, weight, recurrent, hidden)
        ctx.relu = relu
        return hidden[1:, :, :size].transpose(0, 1), hidden[-1, :, :size].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Back-propagate through time; the gradient of a weight is one product over all rows and times."""
        x, weight, recurrent, hidden = ctx.saved_tensors
        outer, size = gradients[0].transpose(0, 1), len(recurrent)
        slopes = torch.empty_like(outer, memory_format=torch.contiguous_format)
        dh = own_copy(gradients[1])
        run(partial(back, ctx.relu), len(dh), panels(recurrent), hidden, outer, slopes, dh)
        flat = slopes.flatten(0, 1)
        dx = gradient_of_inputs(flat, weight, x) if ctx.needs_input_grad[0] else None
        of_recurrent = flat.t() @ hidden[:-1].flatten(0, 1)[:, :size]
        return dx, flat.t() @ x.flatten(0, 1), of_recurrent, flat.sum(0), dh[:, :size], None


@compiled
@no_type_check
def ahead(relu, weight, hidden, nothing, first, last):
    """All time steps of rows first to last; `hidden` (T + 1, B, H filled up) begins as h, then projections.

    The activation is max(0, x) where `relu`, else tanh.
    """
    size = weight.shape[1]
    for t in range(len(hidden) - 1):
        add_product(weight, hidden[t, first:last], hidden[t + 1, first:last], nothing)
        for row in range(first, last):
            h = hidden[t + 1, row]
            if relu:
                for k in range(size):
                    h[k] = ZERO if h[k] < ZERO else h[k]  # written so that NaN stays NaN
            else:
                for k in range(size):
                    h[k] = tanh(h[k])


@compiled
@no_type_check
def back(relu, weight, hidden, outer, slopes, dh, nothing, first, last):
    """All time steps of rows first to last, backwards: `slopes` (T, B, H) get the gradients before the activation.

    `outer` (T, B, H) are the gradients of the hidden states; `dh` (B, H filled up) is that of the last state and is
    overwritten by that of the first.
    """
    size = slopes.shape[2]
    for t in range(len(slopes) - 1, -1, -1):
        for row in range(first, last):
            h, slope, kept, shown = hidden[t + 1, row], slopes[t, row], dh[row], outer[t, row]
            if relu:
                for k in range(size):
                    slope[k] = kept[k] + shown[k] if h[k] > ZERO else ZERO
            else:
                for k in range(size):
                    slope[k] = (kept[k] + shown[k]) * (ONE - h[k] * h[k])
            kept[:] = 0
        add_product(weight, slopes[t, first:last], dh[first:last], nothing)
