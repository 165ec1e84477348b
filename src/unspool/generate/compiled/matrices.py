"""Products of matrices with the rows of a batch, compiled by Numba: in float32, bfloat16 and int8.

A matrix lies in panels of sixteen outputs. Several panels are multiplied at a time, with four rows or one; a processor
without AVX-512 has fewer registers and takes smaller tiles. What is added up for an output is the same in all of them.
"""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.generate.compiled.vectors import ZERO, compiled, f32, tile, tile_int8, wide_registers

f8x1, f4x1, f2x1, f1x1 = (tile("float32", vectors, 1) for vectors in (8, 4, 2, 1))
f4x4, f2x4, f1x4 = (tile("float32", vectors, 4) for vectors in (4, 2, 1))
b8x1, b4x1, b1x1 = (tile("bfloat16", vectors, 1) for vectors in (8, 4, 1))
b4x4, b1x4 = (tile("bfloat16", vectors, 4) for vectors in (4, 1))
i4x1, i1x1, i4x4, i1x4 = (tile_int8(vectors, rows) for rows in (1, 4) for vectors in (4, 1))


@compiled
@no_type_check
def matrix_float(op, memory, weights, first, last):
    """Panels first to last of a product in float32, for all rows."""
    rows, step = memory.shape[0], memory.shape[1] * 4
    depth, adds = op[3], op[8]
    base, w, bias = memory.ctypes.data, weights.ctypes.data + op[5], weights.ctypes.data + op[7]
    panel = depth * 64
    row = 0
    while row < rows:
        x, out = base + row * step + op[1] * 4, base + row * step + op[2] * 4
        p = first
        if row + 4 <= rows:
            while wide_registers() and p + 4 <= last:
                f4x4(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while wide_registers() and p + 2 <= last:
                f2x4(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 2
            while p < last:
                f1x4(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 4
        else:
            while wide_registers() and p + 8 <= last:
                f8x1(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 8
            while p + 4 <= last:
                f4x1(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while p + 2 <= last:
                f2x1(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 2
            while p < last:
                f1x1(w + p * panel, 64, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 1


@compiled
@no_type_check
def matrix_half(op, memory, weights, first, last):
    """Panels first to last of a product with weights in bfloat16, for all rows."""
    rows, step = memory.shape[0], memory.shape[1] * 4
    depth, adds = op[3], op[8]
    base, w, bias = memory.ctypes.data, weights.ctypes.data + op[5], weights.ctypes.data + op[7]
    panel = depth * 32
    row = 0
    while row < rows:
        x, out = base + row * step + op[1] * 4, base + row * step + op[2] * 4
        p = first
        if row + 4 <= rows:
            while wide_registers() and p + 4 <= last:
                b4x4(w + p * panel, 32, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while p < last:
                b1x4(w + p * panel, 32, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 4
        else:
            while wide_registers() and p + 8 <= last:
                b8x1(w + p * panel, 32, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 8
            while p + 4 <= last:
                b4x1(w + p * panel, 32, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while p < last:
                b1x1(w + p * panel, 32, panel, x, step, depth, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 1


@compiled
@no_type_check
def round_inputs(op, memory, rounded, scales, offsets, work):
    """The inputs of a product in int8, in blocks of 32 with a scale each."""
    depth, begin = op[3], op[1]
    blocks, whole = (depth + 31) // 32, depth // 32
    for row in range(memory.shape[0]):
        x, into = memory.ctypes.data + 4 * (row * memory.shape[1] + begin), rounded.ctypes.data + row * blocks * 32
        for block in range(blocks):
            at = x + 128 * block
            if block == whole:  # the last one, filled up with zeros
                for k in range(32):
                    inside = block * 32 + k < depth
                    work[k] = memory[row, begin + block * 32 + k] if inside else ZERO
                at = work.ctypes.data
            most = e.magnitude(at, 32, ZERO)
            inverse = f32(127) / most if most > f32(1e-30) else ZERO
            sums = e.round_block(at, into + 32 * block, inverse)
            scales[row * blocks + block] = most * f32(1 / 127)
            offsets[row * blocks + block] = np.int32(-128) * sums


@compiled
@no_type_check
def matrix_int8(op, memory, weights, first, last, rounded, scales, offsets, work):
    """Panels first to last of a product in int8, for all rows."""
    round_inputs(op, memory, rounded, scales, offsets, work)
    rows, step = memory.shape[0], memory.shape[1] * 4
    adds, blocks = op[8], (op[3] + 31) // 32
    base, bias = memory.ctypes.data, weights.ctypes.data + op[7]
    w, factor = weights.ctypes.data + op[5], weights.ctypes.data + op[6]
    panel, line = blocks * 512, blocks * 64
    row = 0
    while row < rows:
        out, at = base + row * step + op[2] * 4, row * blocks
        x, s, o = rounded.ctypes.data + at * 32, scales.ctypes.data + at * 4, offsets.ctypes.data + at * 4
        p = first
        if row + 4 <= rows:
            while wide_registers() and p + 4 <= last:
                i4x4(w + p * panel, factor + p * line, x, s, o, blocks, blocks, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while p < last:
                i1x4(w + p * panel, factor + p * line, x, s, o, blocks, blocks, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 4
        else:
            while wide_registers() and p + 4 <= last:
                i4x1(w + p * panel, factor + p * line, x, s, o, blocks, blocks, bias + p * 64, out + p * 64, step, adds)
                p += 4
            while p < last:
                i1x1(w + p * panel, factor + p * line, x, s, o, blocks, blocks, bias + p * 64, out + p * 64, step, adds)
                p += 1
            row += 1
