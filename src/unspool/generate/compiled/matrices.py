"""Products of matrices with the rows of a batch, compiled by Numba: in float32, bfloat16 and int8.

The weights of 64 outputs lie side by side, for one input after the other, so that a thread reads one stream of memory.
A tile is four vectors of outputs with one row or with four; a processor without AVX-512 has fewer registers and takes
smaller ones. What is added up for an output is the same in all of them.
"""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.nn.kernels.vectors import ZERO, compiled, f32, tile, tile_int8, wide_registers

f4x1, f4x4, f1x4 = tile("float32", 4, 1), tile("float32", 4, 4), tile("float32", 1, 4)
b4x1, b4x4, b1x4 = tile("bfloat16", 4, 1), tile("bfloat16", 4, 4), tile("bfloat16", 1, 4)
i4x1, i1x1, i4x4, i1x4 = (tile_int8(vectors, rows) for rows in (1, 4) for vectors in (4, 1))


@compiled
@no_type_check
def matrix_float(op, memory, weights, first, last, half):
    """Groups first to last of a product with weights in float32, or in bfloat16 where they are `half`, for all rows."""
    rows, step = memory.shape[0], memory.shape[1] * 4
    depth, adds = op[3], op[8]
    base, w, bias = memory.ctypes.data, weights.ctypes.data + op[5], weights.ctypes.data + op[7]
    lane = 32 if half else 64  # the bytes of 16 weights
    for g in range(first, last):  # the weights of a group stay in the cache for all rows
        at, c, row = w + g * depth * 4 * lane, bias + g * 256, 0
        while row < rows:
            x, y = base + row * step + op[1] * 4, base + row * step + op[2] * 4 + g * 256
            four = row + 4 <= rows
            if four and wide_registers():
                if half:
                    b4x4(at, 128, 32, x, step, depth, c, y, step, adds)
                else:
                    f4x4(at, 256, 64, x, step, depth, c, y, step, adds)
            elif four:
                for v in range(4):
                    if half:
                        b1x4(at + 32 * v, 128, 32, x, step, depth, c + 64 * v, y + 64 * v, step, adds)
                    else:
                        f1x4(at + 64 * v, 256, 64, x, step, depth, c + 64 * v, y + 64 * v, step, adds)
            elif half:
                b4x1(at, 128, 32, x, step, depth, c, y, step, adds)
            else:
                f4x1(at, 256, 64, x, step, depth, c, y, step, adds)
            row += 4 if four else 1


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
                filled = work[len(work) - 32 :]  # what is before it belongs to attention
                for k in range(32):
                    inside = block * 32 + k < depth
                    filled[k] = memory[row, begin + block * 32 + k] if inside else ZERO
                at = filled.ctypes.data
            most = e.magnitude(at, 32, ZERO)
            inverse = f32(127) / most if most > f32(1e-30) else ZERO
            sums = e.round_block(at, into + 32 * block, inverse)
            scales[row * blocks + block] = most * f32(1 / 127)
            offsets[row * blocks + block] = np.int32(-128) * sums


@compiled
@no_type_check
def matrix_int8(op, memory, weights, first, last, rounded, scales, offsets, work):
    """Groups first to last of a product in int8, for all rows."""
    round_inputs(op, memory, rounded, scales, offsets, work)
    rows, step = memory.shape[0], memory.shape[1] * 4
    adds, blocks = op[8], (op[3] + 31) // 32
    base, bias = memory.ctypes.data, weights.ctypes.data + op[7]
    w, factor = weights.ctypes.data + op[5], weights.ctypes.data + op[6]
    for g in range(first, last):
        a, k, c, row = w + g * blocks * 2048, factor + g * blocks * 256, bias + g * 256, 0
        while row < rows:
            y, at = base + row * step + op[2] * 4 + g * 256, row * blocks
            x, s, o = rounded.ctypes.data + at * 32, scales.ctypes.data + at * 4, offsets.ctypes.data + at * 4
            four = row + 4 <= rows
            if four and wide_registers():
                i4x4(a, k, x, s, o, blocks, blocks, c, y, step, adds)
            elif wide_registers():
                i4x1(a, k, x, s, o, blocks, blocks, c, y, step, adds)
            else:
                for v in range(4):
                    if four:
                        i1x4(a + 512 * v, k + 64 * v, x, s, o, blocks, blocks, c + 64 * v, y + 64 * v, step, adds)
                    else:
                        i1x1(a + 512 * v, k + 64 * v, x, s, o, blocks, blocks, c + 64 * v, y + 64 * v, step, adds)
            row += 4 if four else 1
