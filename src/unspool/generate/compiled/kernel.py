"""The loop over tokens, compiled by Numba: one function for every program, batch and number of threads.

Import this module inside a function: Numba takes a third of a second to import. What is compiled is cached on disk.
"""

from typing import no_type_check

import numpy as np
from numba import njit

from unspool.generate.compiled import elementwise as e
from unspool.generate.compiled.vectors import meet, tile, tile_int8, wide_registers

REORDER = {"contract", "reassoc", "arcp", "nsz"}  # NaN and infinity stay what they are
compiled = njit(nogil=True, fastmath=REORDER, error_model="numpy", cache=True)
inlined = njit(nogil=True, fastmath=REORDER, error_model="numpy", inline="always")

f8x1, f4x1, f2x1, f1x1 = (tile("float32", vectors, 1) for vectors in (8, 4, 2, 1))
f4x4, f2x4, f1x4 = (tile("float32", vectors, 4) for vectors in (4, 2, 1))
b8x1, b4x1, b1x1 = (tile("bfloat16", vectors, 1) for vectors in (8, 4, 1))
b4x4, b1x4 = (tile("bfloat16", vectors, 4) for vectors in (4, 1))
i4x1, i1x1, i4x4, i1x4 = (tile_int8(vectors, rows) for rows in (1, 4) for vectors in (4, 1))

f32, ZERO, ONE = np.float32, np.float32(0), np.float32(1)


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


@compiled
@no_type_check
def recur(op, line, weights, low, high):
    """Vectors low to high of a recurrent cell: projections and state give the next state."""
    kind, step, count = op[0], 4 * op[4], high - low
    x, h, other = line + 4 * op[1] + 64 * low, line + 4 * op[2] + 64 * low, line + 4 * op[3] + 64 * low
    if kind == 2:  # gates, h, c
        e.lstm(count, x, x + step, x + 2 * step, x + 3 * step, other, h, 0)
    elif kind == 3:  # projections of the input, h, projections of h
        e.gru(count, x, x + step, x + 2 * step, other, other + step, other + 2 * step, h)
    elif kind == 4 and op[3] == 0:  # sums, h, activation
        e.elman_tanh(count, x, h, 0, 0, 0, 0, 0)
    elif kind == 4:
        e.elman_relu(count, x, h, 0, 0, 0, 0, 0)
    elif kind == 5:  # projections, h
        e.mingru(count, x, x + step, h, 0, 0, 0, 0)
    elif kind == 6:
        e.minlstm(count, x, x + step, x + 2 * step, h, 0, 0, 0)
    else:  # projections, h, log decays
        e.rglru(count, x, x + step, x + 2 * step, weights + op[3] + 64 * low, h, 0, 0)


@compiled
@no_type_check
def normalize(op, line, weights):
    """RMSNorm or LayerNorm: x, out, size, kind, weight, bias, epsilon."""
    size, x = op[3], line + 4 * op[1]
    mean = e.total(x, size, ZERO) / f32(size) if op[4] == 1 else ZERO
    spread = e.squares(x, size, mean) / f32(size) + weights[op[7] : op[7] + 4].view(np.float32)[0]
    at, scale = weights.ctypes.data, ONE / np.sqrt(spread)
    e.normalize((size + 15) // 16, x, at + op[5], at + op[6], line + 4 * op[2], mean, scale)


@compiled
@no_type_check
def activate(op, line, low, high):
    """Vectors low to high of an activation: x, out, size, kind."""
    count, x, out = high - low, line + 4 * op[1] + 64 * low, line + 4 * op[2] + 64 * low
    if op[4] == 0:
        e.gelu(count, x, out, 0, 0, 0, 0, 0)
    elif op[4] == 1:
        e.gelu_tanh(count, x, out, 0, 0, 0, 0, 0)
    elif op[4] == 2:
        e.relu(count, x, out, 0, 0, 0, 0, 0)
    elif op[4] == 3:
        e.relu_squared(count, x, out, 0, 0, 0, 0, 0)
    else:
        e.swiglu(count, x, x + 4 * op[3], out, 0, 0, 0, 0)


@compiled
@no_type_check
def convolve(op, line, weights, low, high):
    """Vectors low to high of a short convolution: x, out, past, size, padded width, weights (size, width), bias."""
    size, step, count, at = op[4], 4 * op[5], high - low, 64 * low
    x, out, past = line + 4 * op[1] + at, line + 4 * op[2] + at, line + 4 * op[3] + at
    weight = weights + op[6] + at
    e.copy(count, weights + op[7] + at, out, 0, 0, 0, 0, 0)
    for back in range(size - 1):
        e.multiply_accumulate(count, past + back * step, weight + back * step, out, 0, 0, 0, 0)
    e.multiply_accumulate(count, x, weight + (size - 1) * step, out, 0, 0, 0, 0)
    for back in range(size - 2):
        e.copy(count, past + (back + 1) * step, past + back * step, 0, 0, 0, 0, 0)
    e.copy(count, x, past + (size - 2) * step, 0, 0, 0, 0, 0)


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


@compiled
@no_type_check
def share(pieces, number, threads):
    """The part of a thread of so many pieces: first, last."""
    return pieces * number // threads, pieces * (number + 1) // threads


@compiled
@no_type_check
def execute(op, memory, weights, tokens, positions, capacity, number, threads, scratch, rounded, scales, offsets):
    """A thread's part of one instruction."""
    kind, rows = op[0], memory.shape[0]
    base, step, fixed = memory.ctypes.data, 4 * memory.shape[1], weights.ctypes.data
    if kind == 1:
        first, last = share(op[4], number, threads)
        if op[9] == 0:
            matrix_float(op, memory, weights, first, last)
        elif op[9] == 1:
            matrix_half(op, memory, weights, first, last)
        else:
            matrix_int8(op, memory, weights, first, last, rounded, scales, offsets, scratch)
    elif 2 <= kind <= 7:
        low, high = share((op[4] + 15) // 16, number, threads)
        for row in range(rows):
            recur(op, base + row * step, fixed, low, high)
    elif kind == 0:
        low, high = share(op[3] // 16, number, threads)
        for row in range(rows):
            at = fixed + op[2] + tokens[row] * op[3] * 4
            e.copy(high - low, at + 64 * low, base + row * step + 4 * op[1] + 64 * low, 0, 0, 0, 0, 0)
    elif kind == 8:
        for row in range(number, rows, threads):
            normalize(op, base + row * step, weights)
    elif kind == 9:
        low, high = share((op[3] + 15) // 16, number, threads)
        for row in range(rows):
            activate(op, base + row * step, low, high)
    elif kind == 10:
        low, high = share((op[3] + 15) // 16, number, threads)
        for row in range(rows):
            line = base + row * step + 64 * low
            e.add(high - low, line + 4 * op[1], line + 4 * op[2], 0, 0, 0, 0, 0)
    elif kind == 11:
        low, high = share(op[5] // 16, number, threads)
        for row in range(rows):
            convolve(op, base + row * step, fixed, low, high)
    elif kind == 12:
        for row in range(number, rows, threads):
            at = fixed + op[2] + positions[row] * op[3] * 4
            e.add(op[3] // 16, at, base + row * step + 4 * op[1], 0, 0, 0, 0, 0)
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
                attend(op, memory[row], weights, positions[row], head, capacity, scratch)


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
        bias: (B, V padded to vectors) added to the scores; minus infinity bans, and fills.
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
                    chances[t, row] = log_probability(scores, size, id)
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
    size, at = len(seen), work.ctypes.data
    scores = work[:size]
    e.sum_of((size + 15) // 16, logits.ctypes.data, bias.ctypes.data, at, 0, 0, 0, 0)
    penalty = f32(options[4])
    if penalty != ONE:
        for v in range(size):
            if seen[v]:
                scores[v] = scores[v] / penalty if scores[v] > ZERO else scores[v] * penalty
    if options[0] < 1e-6:
        most, best = e.largest(at, size, ZERO), 0
        while scores[best] < most:
            best += 1
        return best
    e.weights(at, size, e.divided(at, size, f32(options[0])))
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
def log_probability(logits, size, id):
    """The log-softmax of an id, in nats."""
    at = logits.ctypes.data
    most = e.largest(at, size, ZERO)
    return logits[id] - most - f32(np.log(e.exponentials(at, size, most)))
