"""The LSTM recurrence for a single row, compiled by Numba for the CPU, where torch's kernel is bound by overhead.

Only the recurrence is here. The input projection is one matrix product before it, and the gradient of the recurrent
weights one after; torch does both. Numba compiles on the first call (seconds) and caches the result on disk. Import
this module inside a function: Numba takes a third of a second to import.
"""

from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from numba import njit
from torch import Tensor

REORDER = {"contract", "reassoc", "arcp"}  # sums may be fused and reordered; NaN and infinity stay what they are
compiled = njit(fastmath=REORDER, error_model="numpy", cache=True)


class Recurrence(torch.autograd.Function):
    """Input projections (T, G), recurrent weights, h and c -> all hidden states (T, H), and the last memory (H)."""

    @staticmethod
    def forward(
        ctx: Any,
        read: Float[Tensor, "T G"],
        weight: Float[Tensor, "G H"],
        h: Float[Tensor, " H"],
        c: Float[Tensor, " H"],
    ) -> tuple[Float[Tensor, "T H"], Float[Tensor, " H"]]:
        """Run all time steps."""
        gates = read.clone(memory_format=torch.contiguous_format)
        hidden, memory = (s.new_empty(len(read) + 1, len(s)) for s in (h, c))
        hidden[0], memory[0] = h, c
        ahead(*(x.detach().numpy() for x in (gates, weight.t().contiguous(), hidden, memory)))
        ctx.save_for_backward(gates, weight, hidden, memory)
        return hidden[1:].clone(), memory[-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Back-propagate through time; the gradient of the weights is one product over all times."""
        gates, weight, hidden, memory = ctx.saved_tensors
        outer, last = gradients
        slopes, dh, dc = torch.empty_like(gates), torch.zeros_like(hidden[0]), last.clone()
        back(*(x.detach().contiguous().numpy() for x in (gates, weight, memory, outer, slopes, dh, dc)))
        return slopes, slopes.t() @ hidden[:-1], dh, dc


@compiled
@no_type_check
def ahead(gates: Any, weight: Any, hidden: Any, memory: Any) -> None:
    """All time steps. `gates` (T, 4H) are the input projections, overwritten by i, f, g, o; `weight` is (H, 4H).

    Row t of `hidden` and `memory` (T + 1, H) is the state before step t; row 0 is given, the others are written.
    """
    half, one = np.float32(0.5), np.float32(1)
    size = hidden.shape[1]
    for t in range(len(gates)):
        gate, h, c, before = gates[t], hidden[t + 1], memory[t + 1], memory[t]
        add_product(weight, hidden[t], gate)
        for k in range(2 * size):
            gate[k] = half * (one + tanh(half * gate[k]))  # the logistic function
        for k in range(2 * size, 3 * size):
            gate[k] = tanh(gate[k])
        for k in range(3 * size, 4 * size):
            gate[k] = half * (one + tanh(half * gate[k]))
        for k in range(size):
            c[k] = gate[size + k] * before[k] + gate[k] * gate[2 * size + k]
            h[k] = gate[3 * size + k] * tanh(c[k])


@compiled
@no_type_check
def back(gates: Any, weight: Any, memory: Any, outer: Any, slopes: Any, dh: Any, dc: Any) -> None:
    """All time steps from the last: writes the gradients before the gates to `slopes` (T, 4H).

    `outer` (T, H) are the gradients of the hidden states. `dh` and `dc` (H) hold the gradients of the last state and
    are overwritten by those of the first.
    """
    zero, one = np.float32(0), np.float32(1)
    size = len(dh)
    for t in range(len(gates) - 1, -1, -1):
        gate, slope, before, now = gates[t], slopes[t], memory[t], memory[t + 1]
        for k in range(size):
            i, f, g, o = gate[k], gate[size + k], gate[2 * size + k], gate[3 * size + k]
            shown, arriving = tanh(now[k]), dh[k] + outer[t, k]
            through = dc[k] + arriving * o * (one - shown * shown)
            slope[k] = through * g * i * (one - i)
            slope[size + k] = through * before[k] * f * (one - f)
            slope[2 * size + k] = through * i * (one - g * g)
            slope[3 * size + k] = arriving * shown * o * (one - o)
            dc[k] = through * f
            dh[k] = zero
        add_product(weight, slope, dh)


@compiled
@no_type_check
def add_product(weight: Any, x: Any, y: Any) -> None:
    """y += x @ weight, eight rows of it at a time, so that y is read and written an eighth as often."""
    whole = len(x) // 8 * 8
    for j in range(0, whole, 8):
        a, b, c, d, e, f, g, h = x[j], x[j + 1], x[j + 2], x[j + 3], x[j + 4], x[j + 5], x[j + 6], x[j + 7]
        w0, w1, w2, w3 = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
        w4, w5, w6, w7 = weight[j + 4], weight[j + 5], weight[j + 6], weight[j + 7]
        for k in range(len(y)):
            low = a * w0[k] + b * w1[k] + c * w2[k] + d * w3[k]
            y[k] += low + (e * w4[k] + f * w5[k] + g * w6[k] + h * w7[k])
    for j in range(whole, len(x)):
        a = x[j]
        for k in range(len(y)):
            y[k] += a * weight[j, k]


@njit(fastmath=REORDER, error_model="numpy", inline="always")
@no_type_check
def tanh(x: Any) -> Any:
    """Eigen's rational approximation, good to a few units in the last place; unlike libm's it vectorises."""
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
    return x * p / q
