"""Attention of one token to a cache, head by head, compiled by Numba."""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.nn.kernels.vectors import ONE, ZERO, compiled, f32, tile

f4x1, f1x1 = tile("float32", 4, 1), tile("float32", 1, 1)


@compiled
@no_type_check
def rotate(op, line, weights, position, head, capacity):
    """One head of queries, keys and values: normalized, rotated, and written into the cache where it is a key's.

    Arguments: qkv, heads, kv_heads, width of a head, keys, values, cosines and sines or -1, norms or -1, padded width.
    """
    heads, kv, width, padded = op[2], op[3], op[4], op[9]
    part = line[op[1] + head * width : op[1] + (head + 1) * width]
    if op[8] >= 0 and head < heads + kv:
        norm = weights[op[8] + (4 * width if head >= heads else 0) :][: 4 * width].view(np.float32)
        square = ZERO
        for u in range(width):
            square += part[u] * part[u]
        scale = ONE / np.sqrt(square / f32(width) + f32(1e-6))
        for u in range(width):
            part[u] *= scale * norm[u]
    if op[7] >= 0 and head < heads + kv:
        half = width // 2
        cosines, sines = line[op[7] : op[7] + half], line[op[7] + half : op[7] + width]
        for u in range(half):
            a, b = part[u], part[half + u]
            part[u] = a * cosines[u] - b * sines[u]
            part[half + u] = b * cosines[u] + a * sines[u]
    slot, slots = position % capacity, (capacity + 15) // 16 * 16
    if head >= heads + kv:
        begin = op[6] + ((head - heads - kv) * slots + slot) * padded
        for u in range(width):
            line[begin + u] = part[u]
    elif head >= heads:
        begin = op[5] + (head - heads) * slots * width + slot // 16 * 16 * width + slot % 16
        for u in range(width):
            line[begin + 16 * u] = part[u]
    else:
        scale = ONE / np.sqrt(f32(width))
        for u in range(width):
            part[u] *= scale


@compiled
@no_type_check
def angles(op, line, weights, position):
    """Cosines and sines of a position: out, half the width of a head, frequencies in float64."""
    half = op[2]
    table = weights[op[3] : op[3] + 8 * half].view(np.float64)
    for u in range(half):
        angle = position * table[u]
        line[op[1] + u] = np.cos(angle)
        line[op[1] + half + u] = np.sin(angle)


@compiled
@no_type_check
def attend(op, line, weights, position, head, capacity, scores):
    """One head of attention: qkv, heads, kv_heads, width, keys, values, out, ALiBi's rates or -1, padded width."""
    heads, kv, width, padded = op[2], op[3], op[4], op[9]
    slots = (capacity + 15) // 16 * 16
    group, base = head // (heads // kv), line.ctypes.data
    used = min(position + 1, capacity)
    panels = (used + 15) // 16
    zeros, into = scores.ctypes.data + 4 * slots, scores.ctypes.data
    keys, query = base + (op[5] + group * slots * width) * 4, base + (op[1] + head * width) * 4
    panel, p = 64 * width, 0
    while p + 4 <= panels:
        f4x1(keys + p * panel, 64, panel, query, 0, width, zeros, into + p * 64, 0, 0)
        p += 4
    while p < panels:
        f1x1(keys + p * panel, 64, panel, query, 0, width, zeros, into + p * 64, 0, 0)
        p += 1
    if op[8] >= 0:
        rate = weights[op[8] + 4 * head :][:4].view(np.float32)[0]
        for s in range(used):
            scores[s] -= rate * f32((position - s) % capacity)
    most = e.largest(into, used, ZERO)
    inverse = ONE / e.weights(into, used, most)
    values, out, v = base + (op[6] + group * slots * padded) * 4, scores[slots + 128 :], 0
    there = out.ctypes.data
    while v + 4 <= padded // 16:
        f4x1(values + v * 64, 4 * padded, 64, into, 0, used, zeros, there + v * 64, 0, 0)
        v += 4
    while v < padded // 16:
        f1x1(values + v * 64, 4 * padded, 64, into, 0, used, zeros, there + v * 64, 0, 0)
        v += 1
    begin = op[7] + head * width
    for u in range(width):
        line[begin + u] = out[u] * inverse
