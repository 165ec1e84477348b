"""An LSTM layer in training on a CPU, its recurrence compiled by Numba.

The input projection is one matrix product before the recurrence, and the gradient of each weight one after it; torch
does those. Rows do not depend on each other, so threads share them. Numba compiles on the first call (seconds) and
caches the result on disk. Import this module inside a function: Numba takes a third of a second to import.
"""

from pathlib import Path
from typing import Any, no_type_check

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from unspool.nn.kernels import vectors
from unspool.nn.kernels.vectors import LANES, ONE, REORDER, compiled, tile
from unspool.nn.kernels.workers import in_parts

f4x1, f1x1, f1x4, f1x6 = (tile("float32", *size) for size in ((4, 1), (1, 1), (1, 4), (1, 6)))
HALF = np.float32(0.5)
ROWS = 4
"""Fewer rows are not shared among threads."""
SOURCE = [Path(__file__), Path(vectors.__file__)]
"""What is compiled."""
NOTHING: NDArray[np.float32] = np.zeros(4 * LANES, np.float32)
"""The bias of a product without one."""


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
        gates = F.linear(x, filled(weight.t()).t(), filled(bias))
        hidden, memory = (s.new_empty(len(x) + 1, *s.shape) for s in (h, c))
        hidden[0], memory[0] = h, c
        run(ahead, panels(recurrent.t()), gates, hidden, memory)
        ctx.save_for_backward(x, weight, recurrent, gates, hidden, memory)
        return hidden[1:].transpose(0, 1), hidden[-1].clone(), memory[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Back-propagate through time; the gradient of a weight is one product over all rows and times."""
        x, weight, recurrent, gates, hidden, memory = ctx.saved_tensors
        outer, dc = gradients[0].transpose(0, 1), gradients[2].clone(memory_format=torch.contiguous_format)
        size, width = recurrent.shape[1], len(recurrent)
        slopes, dh = torch.empty_like(gates), filled(gradients[1].clone())
        run(back, panels(recurrent), gates, memory, outer, slopes, dh, dc)
        flat = slopes.flatten(0, 1)[:, :width]
        dx = (flat @ weight).view(x.shape).transpose(0, 1) if ctx.needs_input_grad[0] else None
        of_weight, of_recurrent = (flat.t() @ before.flatten(0, 1) for before in (x, hidden[:-1]))
        return dx, of_weight, of_recurrent, flat.sum(0), dh[:, :size], dc


def panels(matrix: Float[Tensor, "K N"]) -> Float[Tensor, "P K 16"]:
    """A matrix with 16 of its columns side by side, row after row, filled up with zeros."""
    return filled(matrix.detach()).unflatten(1, (-1, LANES)).transpose(0, 1).contiguous()


def filled(x: Float[Tensor, "*K N"]) -> Float[Tensor, "*K M"]:
    """With zeros behind it, to whole vectors, where it is not so already."""
    more = -x.shape[-1] % LANES
    return F.pad(x, (0, more)) if more else x


def run(function: Any, weight: Tensor, gates: Tensor, *tensors: Tensor) -> None:
    """Call one of the functions below for all rows, on as many threads as torch uses."""
    rows = gates.shape[1]
    parts = max(1, min(torch.get_num_threads(), rows // ROWS))
    in_parts(function, rows, parts, *(s.detach().contiguous().numpy() for s in (weight, gates, *tensors)), NOTHING)


@compiled
@no_type_check
def ahead(weight, gates, hidden, memory, nothing, first, last):
    """All time steps of rows first to last; `gates` (T, B, 4H filled up) are projections, overwritten by i, f, g, o.

    Position t of `hidden` and `memory` (T + 1, B, H) is the state before step t; 0 is given, the others are written.
    """
    size = hidden.shape[2]
    for t in range(len(gates)):
        add_product(weight, hidden[t, first:last], gates[t, first:last], nothing)
        for row in range(first, last):
            gate, h, c, before = gates[t, row], hidden[t + 1, row], memory[t + 1, row], memory[t, row]
            for k in range(2 * size):
                gate[k] = HALF * (ONE + tanh(HALF * gate[k]))  # the logistic function
            for k in range(2 * size, 3 * size):
                gate[k] = tanh(gate[k])
            for k in range(3 * size, 4 * size):
                gate[k] = HALF * (ONE + tanh(HALF * gate[k]))
            for k in range(size):
                c[k] = gate[size + k] * before[k] + gate[k] * gate[2 * size + k]
                h[k] = gate[3 * size + k] * tanh(c[k])


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


@compiled
@no_type_check
def add_product(weight, inputs, outputs, nothing):
    """outputs (B, 16 P) += inputs (B, K) @ weight, which is (P, K, 16) in panels."""
    count, depth, bias = weight.shape[0], weight.shape[1], nothing.ctypes.data
    rows, x, x_step = len(inputs), inputs.ctypes.data, 4 * inputs.shape[1]
    out, out_step = outputs.ctypes.data, 4 * outputs.shape[1]
    base, panel = weight.ctypes.data, 64 * depth
    left = rows % 6 % 4
    if rows >= 4:
        for p in range(count):  # a panel stays in the nearest cache for all rows
            w, y, row = base + p * panel, out + 64 * p, 0
            while row + 6 <= rows:
                f1x6(w, 64, panel, x + row * x_step, x_step, depth, bias, y + row * out_step, out_step, 1)
                row += 6
            if row + 4 <= rows:
                f1x4(w, 64, panel, x + row * x_step, x_step, depth, bias, y + row * out_step, out_step, 1)
    for row in range(rows - left, rows):
        at, y, p = x + row * x_step, out + row * out_step, 0
        while p + 4 <= count:
            f4x1(base + p * panel, 64, panel, at, 0, depth, bias, y + 64 * p, 0, 1)
            p += 4
        while p < count:
            f1x1(base + p * panel, 64, panel, at, 0, depth, bias, y + 64 * p, 0, 1)
            p += 1


@njit(fastmath=REORDER, error_model="numpy", inline="always")
@no_type_check
def tanh(x):
    """Eigen's rational approximation, good to a few units in the last place; unlike libm's it vectorises.

    Beyond 7.9 it is 1, exactly: a gate that is shut for padding lets nothing through.
    """
    low, high = np.float32(-7.90531110763549805), np.float32(7.90531110763549805)
    x = low if x < low else x  # written so that NaN stays NaN
    x = high if x > high else x
    s = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    y = x * p / q
    y = -ONE if x <= low else y
    return ONE if x >= high else y
