"""The loop over tokens, compiled by Numba: one function for every program, batch and number of threads.

Import this module inside a function: Numba takes a third of a second to import. What is compiled is cached on disk.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from unspool.generate.compiled.vectors import as_float, meet, tile, tile_int8, wide_registers

REORDER = {"contract", "reassoc", "arcp", "nsz"}  # NaN and infinity stay what they are
compiled = njit(nogil=True, fastmath=REORDER, error_model="numpy", cache=True)
inlined = njit(nogil=True, fastmath=REORDER, error_model="numpy", inline="always")

f8x1, f4x1, f2x1, f1x1 = (tile("float32", vectors, 1) for vectors in (8, 4, 2, 1))
f4x4, f2x4, f1x4 = (tile("float32", vectors, 4) for vectors in (4, 2, 1))
b8x1, b4x1, b1x1 = (tile("bfloat16", vectors, 1) for vectors in (8, 4, 1))
b4x4, b1x4 = (tile("bfloat16", vectors, 4) for vectors in (4, 1))
i4x1, i1x1, i4x4, i1x4 = (tile_int8(vectors, rows) for rows in (1, 4) for vectors in (4, 1))

f32 = np.float32
ONE, TWO, HALF, ZERO = f32(1), f32(2), f32(0.5), f32(0)


@inlined
@no_type_check
def exponential(x):
    """e^x to one unit in the last place or two."""
    x = min(max(x, f32(-87.3)), f32(88.0))
    n = np.floor(x * f32(1.4426950408889634) + HALF)
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)
    p = f32(1.9875691500e-4)
    p = p * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    p = p * r * r + r + ONE
    return p * as_float((np.int32(n) + np.int32(127)) << np.int32(23))


@inlined
@no_type_check
def sigmoid(x):
    return ONE / (ONE + exponential(-x))


@inlined
@no_type_check
def tanh(x):
    return TWO / (ONE + exponential(-TWO * x)) - ONE


@inlined
@no_type_check
def positive(x):
    return x + HALF if x >= ZERO else sigmoid(x)


@inlined
@no_type_check
def lost(x):
    """1 - e^x for x below zero, exact near zero too."""
    p = f32(1 / 5040)
    p = p * x + f32(1 / 720)
    p = p * x + f32(1 / 120)
    p = p * x + f32(1 / 24)
    p = p * x + f32(1 / 6)
    p = p * x + HALF
    p = p * x + ONE
    return -p * x if x > f32(-0.35) else ONE - exponential(x)


@inlined
@no_type_check
def error_function(x):
    """erf to 2e-7 (Abramowitz & Stegun 7.1.26)."""
    z = abs(x)
    t = ONE / (ONE + f32(0.3275911) * z)
    p = f32(1.061405429)
    p = p * t - f32(1.453152027)
    p = p * t + f32(1.421413741)
    p = p * t - f32(0.284496736)
    p = p * t + f32(0.254829592)
    y = ONE - p * t * exponential(-z * z)
    return y if x >= ZERO else -y


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
def round_inputs(op, memory, rounded, scales, offsets):
    """The inputs of a product in int8, in blocks of 32 with a scale each."""
    depth, begin = op[3], op[1]
    blocks = (depth + 31) // 32
    for row in range(memory.shape[0]):
        line = memory[row, begin : begin + depth]
        for block in range(blocks):
            low, high = block * 32, min(depth, block * 32 + 32)
            part, into = line[low:high], rounded[row * blocks * 32 + low : row * blocks * 32 + low + 32]
            largest = ZERO
            for k in range(len(part)):
                largest = max(largest, abs(part[k]))
            inverse = f32(127) / largest if largest > f32(1e-30) else ZERO
            total = np.int32(0)
            for k in range(len(part)):
                value = np.int32(np.rint(part[k] * inverse))
                into[k] = value
                total += value
            for k in range(len(part), 32):
                into[k] = 0
            scales[row * blocks + block] = largest * f32(1 / 127)
            offsets[row * blocks + block] = np.int32(-128) * total


@compiled
@no_type_check
def matrix_int8(op, memory, weights, first, last, rounded, scales, offsets):
    """Panels first to last of a product in int8, for all rows."""
    round_inputs(op, memory, rounded, scales, offsets)
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


@compiled
@no_type_check
def recur(op, line, weights, low, high):
    """Units low to high of a recurrent cell: projections, state and so the next state."""
    kind, size = op[0], op[4]
    if kind == 2:  # LSTM: gates, h, c
        gates, h, c = line[op[1] : op[1] + 4 * size], line[op[2] : op[2] + size], line[op[3] : op[3] + size]
        i, f, g, o = gates[:size], gates[size : 2 * size], gates[2 * size : 3 * size], gates[3 * size :]
        for u in range(low, high):
            c[u] = sigmoid(f[u]) * c[u] + sigmoid(i[u]) * tanh(g[u])
        for u in range(low, high):
            h[u] = sigmoid(o[u]) * tanh(c[u])
    elif kind == 3:  # GRU: projections of the input, h, projections of h
        x, h, hidden = line[op[1] : op[1] + 3 * size], line[op[2] : op[2] + size], line[op[3] : op[3] + 3 * size]
        for u in range(low, high):
            reset, keep = sigmoid(x[u] + hidden[u]), sigmoid(x[size + u] + hidden[size + u])
            candidate = tanh(x[2 * size + u] + reset * hidden[2 * size + u])
            h[u] = (ONE - keep) * candidate + keep * h[u]
    elif kind == 4:  # Elman: sums, h, activation
        sums, h = line[op[1] : op[1] + size], line[op[2] : op[2] + size]
        if op[3] == 0:
            for u in range(low, high):
                h[u] = tanh(sums[u])
        else:
            for u in range(low, high):
                h[u] = max(sums[u], ZERO)
    elif kind == 5:  # minGRU: projections, h
        x, h = line[op[1] : op[1] + 2 * size], line[op[2] : op[2] + size]
        for u in range(low, high):
            update = sigmoid(x[u])
            h[u] = (ONE - update) * h[u] + update * positive(x[size + u])
    elif kind == 6:  # minLSTM: projections, h
        x, h = line[op[1] : op[1] + 3 * size], line[op[2] : op[2] + size]
        for u in range(low, high):
            keep = logistic_ratio(x[size + u], x[u])
            h[u] = keep * h[u] + (ONE - keep) * positive(x[2 * size + u])
    else:  # RG-LRU: projections, h, log decays
        x, h = line[op[1] : op[1] + 3 * size], line[op[2] : op[2] + size]
        decay = weights[op[3] : op[3] + 4 * size].view(np.float32)
        for u in range(low, high):
            log_a = sigmoid(x[u]) * decay[u]
            rest = lost(TWO * log_a)
            scale = np.sqrt(max(rest, f32(1e-8)))
            h[u] = exponential(log_a) * h[u] + scale * sigmoid(x[size + u]) * x[2 * size + u]


@inlined
@no_type_check
def logistic_ratio(f, i):
    """sigmoid(f) / (sigmoid(f) + sigmoid(i)), also where both are near zero."""
    return sigmoid(log_sigmoid(f) - log_sigmoid(i))


@inlined
@no_type_check
def log_sigmoid(x):
    return min(x, ZERO) - f32(np.log1p(exponential(-abs(x))))


@compiled
@no_type_check
def normalize(op, line, weights):
    """RMSNorm or LayerNorm: x, out, size, kind, weight, bias, epsilon (the bits of a float64)."""
    size = op[3]
    x, out = line[op[1] : op[1] + size], line[op[2] : op[2] + size]
    weight = weights[op[5] : op[5] + 4 * size].view(np.float32)
    bias = weights[op[6] : op[6] + 4 * size].view(np.float32)
    epsilon = f32(weights[op[7] : op[7] + 4].view(np.float32)[0])
    mean = ZERO
    if op[4] == 1:
        for u in range(size):
            mean += x[u]
        mean /= f32(size)
    square = ZERO
    for u in range(size):
        square += (x[u] - mean) * (x[u] - mean)
    scale = ONE / np.sqrt(square / f32(size) + epsilon)
    for u in range(size):
        out[u] = (x[u] - mean) * scale * weight[u] + bias[u]


@compiled
@no_type_check
def activate(op, line, low, high):
    """Elements low to high of an activation: x, out, size, kind."""
    size = op[3]
    x, out = line[op[1] : op[1] + (2 * size if op[4] == 4 else size)], line[op[2] : op[2] + size]
    if op[4] == 0:
        for u in range(low, high):
            out[u] = HALF * x[u] * (ONE + error_function(x[u] * f32(0.7071067811865476)))
    elif op[4] == 1:
        for u in range(low, high):
            inner = f32(0.7978845608028654) * (x[u] + f32(0.044715) * x[u] * x[u] * x[u])
            out[u] = x[u] * sigmoid(TWO * inner)
    elif op[4] == 2:
        for u in range(low, high):
            out[u] = max(x[u], ZERO)
    elif op[4] == 3:
        for u in range(low, high):
            value = max(x[u], ZERO)
            out[u] = value * value
    else:
        for u in range(low, high):
            out[u] = x[u] * sigmoid(x[u]) * x[size + u]


@compiled
@no_type_check
def convolve(op, line, weights, low, high):
    """Channels low to high of a short convolution: x, out, past, size, width, weights (size, width), bias."""
    size, width = op[4], op[5]
    x, out = line[op[1] : op[1] + width], line[op[2] : op[2] + width]
    past = line[op[3] : op[3] + (size - 1) * width]
    weight = weights[op[6] : op[6] + 4 * size * width].view(np.float32)
    bias = weights[op[7] : op[7] + 4 * width].view(np.float32)
    for u in range(low, high):
        out[u] = bias[u]
    for back in range(size - 1):
        for u in range(low, high):
            out[u] += past[back * width + u] * weight[back * width + u]
    for u in range(low, high):
        out[u] += x[u] * weight[(size - 1) * width + u]
    for back in range(size - 2):
        for u in range(low, high):
            past[back * width + u] = past[(back + 1) * width + u]
    for u in range(low, high):
        past[(size - 2) * width + u] = x[u]


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
    slot = position % capacity
    slots = (capacity + 15) // 16 * 16
    if head >= heads + kv:
        begin = op[6] + ((head - heads - kv) * slots + slot) * padded
        for u in range(width):
            line[begin + u] = part[u]
    elif head >= heads:
        begin = op[5] + (head - heads) * slots * width + slot // 16 * 16 * width + slot % 16
        for u in range(width):
            line[begin + 16 * u] = part[u]


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
def attend(op, line, base, weights, position, head, capacity, scores):
    """One head of attention: qkv, heads, kv_heads, width, keys, values, out, ALiBi's rates or -1, padded width."""
    heads, kv, width, padded = op[2], op[3], op[4], op[9]
    slots = (capacity + 15) // 16 * 16
    group = head // (heads // kv)
    used = min(position + 1, capacity)
    panels = (used + 15) // 16
    zeros, into = scores[slots : slots + 128].ctypes.data, scores.ctypes.data
    keys = base + (op[5] + group * slots * width) * 4
    query, panel, p = base + (op[1] + head * width) * 4, 64 * width, 0
    while p + 4 <= panels:
        f4x1(keys + p * panel, 64, panel, query, 0, width, zeros, into + p * 64, 0, 0)
        p += 4
    while p < panels:
        f1x1(keys + p * panel, 64, panel, query, 0, width, zeros, into + p * 64, 0, 0)
        p += 1
    scale = ONE / np.sqrt(f32(width))
    for s in range(used):
        scores[s] *= scale
    if op[8] >= 0:
        rate = weights[op[8] + 4 * head :][:4].view(np.float32)[0]
        for s in range(used):
            scores[s] -= rate * f32((position - s) % capacity)
    largest = f32(-np.inf)
    for s in range(used):
        largest = max(largest, scores[s])
    total = ZERO
    for s in range(used):
        scores[s] = exponential(scores[s] - largest)
    for s in range(used):
        total += scores[s]
    inverse = ONE / total
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


@compiled
@no_type_check
def share(size, number, threads, quantum):
    """The part of a thread of so many elements: first, last."""
    pieces = (size + quantum - 1) // quantum
    return min(size, pieces * number // threads * quantum), min(size, pieces * (number + 1) // threads * quantum)


@compiled
@no_type_check
def execute(op, memory, weights, tokens, positions, capacity, number, threads, scratch, rounded, scales, offsets):
    """A thread's part of one instruction."""
    kind, rows = op[0], memory.shape[0]
    if kind == 1:
        first, last = share(op[4], number, threads, 1)
        if op[9] == 0:
            matrix_float(op, memory, weights, first, last)
        elif op[9] == 1:
            matrix_half(op, memory, weights, first, last)
        else:
            matrix_int8(op, memory, weights, first, last, rounded, scales, offsets)
    elif 2 <= kind <= 7:
        low, high = share(op[4], number, threads, 16)
        for row in range(rows):
            recur(op, memory[row], weights, low, high)
    elif kind == 0:
        low, high = share(op[3], number, threads, 16)
        for row in range(rows):
            at = op[2] + tokens[row] * op[3] * 4
            memory[row, op[1] + low : op[1] + high] = weights[at + 4 * low : at + 4 * high].view(np.float32)
    elif kind == 8:
        for row in range(number, rows, threads):
            normalize(op, memory[row], weights)
    elif kind == 9:
        low, high = share(op[3], number, threads, 16)
        for row in range(rows):
            activate(op, memory[row], low, high)
    elif kind == 10:
        low, high = share(op[3], number, threads, 16)
        for row in range(rows):
            memory[row, op[2] + low : op[2] + high] += memory[row, op[1] + low : op[1] + high]
    elif kind == 11:
        low, high = share(op[5], number, threads, 16)
        for row in range(rows):
            convolve(op, memory[row], weights, low, high)
    elif kind == 12:
        for row in range(number, rows, threads):
            table = weights[op[2] + positions[row] * op[3] * 4 :][: op[3] * 4].view(np.float32)
            memory[row, op[1] : op[1] + op[3]] += table
    elif kind == 15:
        for row in range(number, rows, threads):
            angles(op, memory[row], weights, positions[row])
    elif kind == 13:
        for row in range(rows):
            for head in range(number, op[2] + 2 * op[3], threads):
                rotate(op, memory[row], weights, positions[row], head, capacity)
    elif kind == 14:
        for row in range(rows):
            for head in range(number, op[2], threads):
                base = memory[row].ctypes.data
                attend(op, memory[row], base, weights, positions[row], head, capacity, scratch)


@compiled
@no_type_check
def run(code, memory, weights, tokens, given, positions, capacity, head, logits, size, noise, options, bias, seen, chances,
        number, threads, counter, scratch, rounded, scales, offsets, choice, order):  # fmt: skip
    """All rows read tokens, or draw each from their logits and read it. Every thread calls it with its number.

    Args:
        tokens: (n, B): read where they are given, else written.
        given: whether they are. Then there are logits behind the last one only.
        positions: (threads, B): how many tokens every row has read; each thread counts for itself.
        head: the first instruction that only logits need.
        noise: (n, B) numbers from 0 to below 1.
        options: (B, 6): temperature, top_k, top_p, min_p, repetition penalty, whether log-probabilities are wanted.
        bias: (B, V) added to the scores; minus infinity bans.
        seen: (B, V) whether an id occurred before.
        chances: (n, B), written where wanted: log-probabilities in nats.
    """
    met, at, rows = 0, counter.ctypes.data, memory.shape[0]
    for t in range(len(tokens)):
        if not given:
            for row in range(number, rows, threads):
                scores = memory[row, logits : logits + size]
                id = draw(scores, options[row], bias[row], seen[row], noise[t, row], choice[number], order[number])
                tokens[t, row], seen[row, id] = id, True
                if options[row, 5] != 0:
                    chances[t, row] = log_probability(scores, id)
            if threads > 1:
                met += threads
                meet(at, met)
        last = head if given and t < len(tokens) - 1 else len(code)
        for i in range(last):
            execute(code[i], memory, weights, tokens[t], positions[number], capacity, number, threads, scratch[number],
                    rounded[number], scales[number], offsets[number])  # fmt: skip
            if threads > 1:
                met += threads
                meet(at, met)
        for row in range(rows):
            positions[number, row] += 1


@compiled
@no_type_check
def draw(logits, options, bias, seen, noise, work, order):
    """The next id of a row: bias, repetition penalty, temperature, top-k, top-p and min-p in this order, then the draw."""
    size = len(logits)
    scores = work[:size]
    for v in range(size):
        scores[v] = logits[v] + bias[v]
    penalty, temperature = f32(options[4]), f32(options[0])
    if penalty != ONE:
        for v in range(size):
            if seen[v]:
                scores[v] = scores[v] / penalty if scores[v] > ZERO else scores[v] * penalty
    largest, best = f32(-np.inf), 0
    for v in range(size):
        largest = max(largest, scores[v])
    if options[0] < 1e-6:
        while scores[best] < largest:
            best += 1
        return best
    if temperature != ONE:
        for v in range(size):
            scores[v] /= temperature
        largest /= temperature
    for v in range(size):
        scores[v] = exponential(scores[v] - largest) if scores[v] > f32(-np.inf) else ZERO
    if 0 < options[1] < size:
        keep_likeliest(scores, order, np.int64(options[1]), 2.0)
    if options[2] < 1:
        keep_likeliest(scores, order, size, options[2])
    if options[3] > 0:
        for v in range(size):
            scores[v] = ZERO if scores[v] < f32(options[3]) else scores[v]
    total = 0.0
    for v in range(size):
        total += np.float64(scores[v])
    target, reached, chosen = noise * total, 0.0, 0
    for v in range(size):
        if scores[v] > ZERO:
            chosen = v
            reached += np.float64(scores[v])
            if reached > target:
                break
    return chosen


@compiled
@no_type_check
def keep_likeliest(weights, order, most, p):
    """Zero all weights but the largest: `most` of them and what equals the last, or as few as have the share p."""
    size, total, reached = len(weights), 0.0, 0.0
    for v in range(size):
        order[v] = v
        total += np.float64(weights[v])
    for v in range(size // 2 - 1, -1, -1):
        sift(weights, order, v, size)
    left, least = size, ZERO
    while left > 0 and size - left < most and reached < p * total:
        least = weights[order[0]]
        reached += np.float64(least)
        left -= 1
        order[0], order[left] = order[left], order[0]
        sift(weights, order, 0, left)
    for v in range(left):
        if p < 1 or weights[order[v]] < least:
            weights[order[v]] = ZERO


@compiled
@no_type_check
def sift(weights, order, at, size):
    """Let an entry of a heap of indices, the largest weight first, sink to its place; of equals the first id is larger."""
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and before(weights, order[child + 1], order[child]):
            child += 1
        if not before(weights, order[child], order[at]):
            return
        order[at], order[child] = order[child], order[at]
        at = child


@inlined
@no_type_check
def before(weights, a, b):
    return weights[a] > weights[b] or (weights[a] == weights[b] and a < b)


@compiled
@no_type_check
def log_probability(logits, id):
    """The log-softmax of an id, in nats."""
    largest = f32(-np.inf)
    for v in range(len(logits)):
        largest = max(largest, logits[v])
    total = ZERO
    for v in range(len(logits)):
        total += exponential(logits[v] - largest)
    return logits[id] - largest - f32(np.log(total))
