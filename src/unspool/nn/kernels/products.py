"""What the compiled recurrences share: weights in panels, products with them, and activations.

Import this module inside a function: Numba takes a third of a second to import.
"""

from typing import Any, no_type_check

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from unspool.nn.kernels.vectors import LANES, ONE, REORDER, compiled, f32, tile, wide_registers
from unspool.nn.kernels.workers import in_parts

f4x1, f1x1, f4x4, f1x4, f1x6 = (tile("float32", *size) for size in ((4, 1), (1, 1), (4, 4), (1, 4), (1, 6)))
ROWS = 4
"""Fewer rows are not shared among threads."""
NOTHING: NDArray[np.float32] = np.zeros(4 * LANES, np.float32)
"""The bias of a product without one."""


def panels(matrix: Float[Tensor, "K N"]) -> Float[Tensor, "P K 16"]:
    """A matrix with 16 of its columns side by side, row after row, filled up with zeros."""
    return filled(matrix.detach()).unflatten(1, (-1, LANES)).transpose(0, 1).contiguous()


def filled(x: Float[Tensor, "*K N"]) -> Float[Tensor, "*K M"]:
    """With zeros behind it, to whole vectors, where it is not so already."""
    more = -x.shape[-1] % LANES
    return F.pad(x, (0, more)) if more else x


def gradient_of_inputs(
    slopes: Float[Tensor, "N G"], weight: Float[Tensor, "G D"], x: Float[Tensor, "T B D"]
) -> Float[Tensor, "B T D"]:
    """The gradient of the inputs x, which came as (B, T, D), from those of their projections at all times and rows."""
    return (slopes @ weight).view(x.shape).transpose(0, 1)


def own_copy(gradient: Float[Tensor, "B H"]) -> Float[Tensor, "B M"]:
    """A gradient that a compiled function may overwrite, filled up to whole vectors."""
    return filled(gradient.clone(memory_format=torch.contiguous_format))


def run(function: Any, rows: int, *tensors: Tensor) -> None:
    """Call a compiled function for all rows, on as many threads as torch uses: function(*arrays, nothing, first, last).

    What it writes to must be contiguous.
    """
    parts = max(1, min(torch.get_num_threads(), rows // ROWS))
    in_parts(function, rows, parts, *(s.detach().contiguous().numpy() for s in tensors), NOTHING)


@compiled
@no_type_check
def add_product(weight, inputs, outputs, nothing):
    """outputs (B, 16 P) += inputs (B, K) @ weight, which is (P, K, 16) in panels."""
    count, depth, bias = weight.shape[0], weight.shape[1], nothing.ctypes.data
    rows, x, x_step = len(inputs), inputs.ctypes.data, inputs.strides[0]
    out, out_step = outputs.ctypes.data, outputs.strides[0]
    base, panel, fours = weight.ctypes.data, 64 * depth, count // 4 * 4 if wide_registers() else 0
    for p in range(0, fours, 4):  # a panel stays in the nearest cache for all rows
        w, y, row = base + p * panel, out + 64 * p, 0
        while row + 4 <= rows:
            f4x4(w, 64, panel, x + row * x_step, x_step, depth, bias, y + row * out_step, out_step, 1)
            row += 4
    for p in range(fours, count):
        w, y, row = base + p * panel, out + 64 * p, 0
        while row + 6 <= rows and fours == 0:
            f1x6(w, 64, panel, x + row * x_step, x_step, depth, bias, y + row * out_step, out_step, 1)
            row += 6
        while row + 4 <= rows:
            f1x4(w, 64, panel, x + row * x_step, x_step, depth, bias, y + row * out_step, out_step, 1)
            row += 4
    left = rows % 4 if fours else rows % 6 % 4
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


@njit(fastmath=REORDER, error_model="numpy", inline="always")
@no_type_check
def logistic(x):
    """1 / (1 + exp(-x))."""
    return f32(0.5) * (ONE + tanh(f32(0.5) * x))
