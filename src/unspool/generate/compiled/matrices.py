"""Products of matrices with the rows of a batch, compiled by Numba: in float32, bfloat16 and int8.

The weights of 64 outputs lie side by side, for one input after the other, so that a thread reads one stream of memory.
A tile is four vectors of outputs with one row or with four; a processor without AVX-512 has fewer registers and takes
smaller ones. Where there are four rows, all rows are multiplied by one part of a group before the next, so that they
read it from the nearest cache, while what comes after it is asked for. What is added up for an output, and in which
order, is the same in all of them.
"""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.nn.kernels.vectors import (
    ZERO,
    compiled,
    f32,
    tile,
    tile_int8,
    tile_int8_part,
    tile_part,
    wide_registers,
)

f4x1, f4x4, f1x4 = tile("float32", 4, 1), tile_part("float32", 4, 4), tile_part("float32", 1, 4)
b4x1, b4x4, b1x4 = tile("bfloat16", 4, 1), tile_part("bfloat16", 4, 4), tile_part("bfloat16", 1, 4)
i4x1, i1x1, i4x4, i1x4 = tile_int8(4, 1), tile_int8(1, 1), tile_int8_part(4, 4), tile_int8_part(1, 4)
PART = 64
"""So many inputs at a time are multiplied for all rows: in float32 16 kB of weights, which the nearest cache keeps."""
PART_BLOCKS = 8
"""So many blocks in int8, likewise."""


@compiled
@no_type_check
def matrix_float(op, memory, weights, first, last, half, work):
    """Groups first to last of a product with weights in float32, or in bfloat16 where they are `half`, for all rows."""
    rows, step = memory.shape[0], memory.shape[1] * 4
    depth, adds, fours = op[3], op[8], memory.shape[0] // 4 * 4
    base, w, bias = memory.ctypes.data, weights.ctypes.data + op[5], weights.ctypes.data + op[7]
    lane = 32 if half else 64  # the bytes of 16 weights
    x, y, sums = base + op[1] * 4, base + op[2] * 4, room_for_sums(work, fours)
    for g in range(first, last):
        at, c, out = w + g * depth * 4 * lane, bias + g * 256, y + g * 256
        if fours > 0:
            sums[:] = ZERO
            for k in range(0, depth, PART):
                part_float(at + k * 4 * lane, x + 4 * k, step, min(PART, depth - k), fours, lane, sums)
            write_sums(sums, fours, c, out, step, adds)
        for row in range(fours, rows):
            if half:
                b4x1(at, 128, 32, x + row * step, step, depth, c, out + row * step, step, adds)
            else:
                f4x1(at, 256, 64, x + row * step, step, depth, c, out + row * step, step, adds)


@compiled
@no_type_check
def room_for_sums(work, rows):
    """Where the sums of a group are, 64 for each row: what is before them in a thread's memory belongs to attention."""
    return work[len(work) - 32 - 64 * rows : len(work) - 32]


@compiled
@no_type_check
def part_float(w, x, step, depth, rows, lane, sums):
    """Add the products of a few inputs with the weights of a group to the sums of all rows, four at a time."""
    quarter = depth * lane
    for row in range(0, rows, 4):
        at, out, ahead = x + row * step, sums.ctypes.data + row * 256, w + 2 * PART * 4 * lane + row // 4 % 4 * quarter
        if wide_registers():
            if lane == 32:
                b4x4(w, 128, 32, at, step, depth, out, ahead)
            else:
                f4x4(w, 256, 64, at, step, depth, out, ahead)
        else:
            for v in range(4):
                if lane == 32:
                    b1x4(w + 32 * v, 128, 32, at, step, depth, out + 64 * v, ahead + v * (quarter // 4))
                else:
                    f1x4(w + 64 * v, 256, 64, at, step, depth, out + 64 * v, ahead + v * (quarter // 4))


@compiled
@no_type_check
def write_sums(sums, rows, bias, out, step, adds):
    """Write the sums of a group with its bias as the outputs of all rows, or add them to what is there."""
    for row in range(rows):
        at, y = sums.ctypes.data + 256 * row, out + row * step
        e.add(4, bias, at, 0, 0, 0, 0, 0)
        if adds:
            e.add(4, at, y, 0, 0, 0, 0, 0)
        else:
            e.copy(4, at, y, 0, 0, 0, 0, 0)


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
                filled = work[len(work) - 32 :]  # what is before it belongs to sums
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
    adds, blocks, fours = op[8], (op[3] + 31) // 32, memory.shape[0] // 4 * 4
    y, bias = memory.ctypes.data + op[2] * 4, weights.ctypes.data + op[7]
    w, factor = weights.ctypes.data + op[5], weights.ctypes.data + op[6]
    x, s, o = rounded.ctypes.data, scales.ctypes.data, offsets.ctypes.data
    sums = room_for_sums(work, fours)
    for g in range(first, last):
        a, k, c, out = w + g * blocks * 2048, factor + g * blocks * 256, bias + g * 256, y + g * 256
        if fours > 0:
            sums[:] = ZERO
            for b in range(0, blocks, PART_BLOCKS):
                count = min(PART_BLOCKS, blocks - b)
                part_int8(a + b * 2048, k + b * 256, x + b * 32, s + b * 4, o + b * 4, count, blocks, fours, sums)
            write_sums(sums, fours, c, out, step, adds)
        for row in range(fours, rows):
            at, line = row * blocks, out + row * step
            if wide_registers():
                i4x1(a, k, x + at * 32, s + at * 4, o + at * 4, blocks, blocks, c, line, step, adds)
            else:
                for v in range(4):
                    i1x1(a + 512 * v, k + 64 * v, x + at * 32, s + at * 4, o + at * 4, blocks, blocks,
                         c + 64 * v, line + 64 * v, step, adds)  # fmt: skip


@compiled
@no_type_check
def part_int8(w, factor, x, s, o, count, blocks, rows, sums):
    """Add the products of a few blocks with the weights of a group to the sums of all rows, four at a time."""
    for row in range(0, rows, 4):
        at, out = row * blocks, sums.ctypes.data + row * 256
        ahead = w + 2 * PART_BLOCKS * 2048 + row // 4 % 4 * (count * 512)
        if wide_registers():
            i4x4(w, factor, x + at * 32, s + at * 4, o + at * 4, count, blocks, out, ahead)
        else:
            for v in range(4):
                i1x4(w + 512 * v, factor + 64 * v, x + at * 32, s + at * 4, o + at * 4, count, blocks,
                     out + 64 * v, ahead + v * (count * 128))  # fmt: skip
