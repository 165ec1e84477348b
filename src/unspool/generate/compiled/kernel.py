"""The loop over tokens, compiled by Numba: one function for every program, batch and number of threads.

Import this module inside a function: Numba takes a third of a second to import. What is compiled is cached on disk.
"""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.generate.compiled.drawing import draw, log_probability
from unspool.generate.compiled.heads import angles, attend, rotate
from unspool.generate.compiled.matrices import matrix_float, matrix_int8
from unspool.generate.compiled.program import (
    ACTIVATE,
    ADD,
    ANGLES,
    ATTEND,
    CONVOLVE,
    ELMAN,
    EMBED,
    GRU,
    LSTM,
    MATRIX,
    MINGRU,
    MINLSTM,
    NORM,
    PLACE,
    RGLRU,
    ROTATE,
)  # fmt: skip
from unspool.nn.kernels.vectors import ONE, ZERO, compiled, f32, meet


@compiled
@no_type_check
def recur(op, line, weights, low, high):
    """Vectors low to high of a recurrent cell: projections and state give the next state."""
    kind, step, count = op[0], 4 * op[4], high - low
    x, h, other = line + 4 * op[1] + 64 * low, line + 4 * op[2] + 64 * low, line + 4 * op[3] + 64 * low
    if kind == LSTM:  # gates, h, c
        e.lstm(count, x, x + step, x + 2 * step, x + 3 * step, other, h, 0)
    elif kind == GRU:  # projections of the input, h, projections of h
        e.gru(count, x, x + step, x + 2 * step, other, other + step, other + 2 * step, h)
    elif kind == ELMAN and op[3] == 0:  # sums, h, activation
        e.elman_tanh(count, x, h, 0, 0, 0, 0, 0)
    elif kind == ELMAN:
        e.elman_relu(count, x, h, 0, 0, 0, 0, 0)
    elif kind == MINGRU:  # projections, h
        e.mingru(count, x, x + step, h, 0, 0, 0, 0)
    elif kind == MINLSTM:
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
def share(pieces, number, threads):
    """The part of a thread of so many pieces: first, last."""
    return pieces * number // threads, pieces * (number + 1) // threads


@compiled
@no_type_check
def execute(op, memory, weights, tokens, positions, capacity, number, threads, scratch, rounded, scales, offsets):
    """A thread's part of one instruction."""
    kind, rows = op[0], memory.shape[0]
    base, step, fixed = memory.ctypes.data, 4 * memory.shape[1], weights.ctypes.data
    if kind == MATRIX:
        first, last = share(op[4], number, threads)
        if op[9] < 2:
            matrix_float(op, memory, weights, first, last, op[9] == 1, scratch)
        else:
            matrix_int8(op, memory, weights, first, last, rounded, scales, offsets, scratch)
    elif LSTM <= kind <= RGLRU:
        low, high = share((op[4] + 15) // 16, number, threads)
        for row in range(rows):
            recur(op, base + row * step, fixed, low, high)
    elif kind == EMBED:
        low, high = share(op[3] // 16, number, threads)
        for row in range(rows):
            at = fixed + op[2] + tokens[row] * op[3] * 4
            e.copy(high - low, at + 64 * low, base + row * step + 4 * op[1] + 64 * low, 0, 0, 0, 0, 0)
    elif kind == NORM:
        for row in range(number, rows, threads):
            normalize(op, base + row * step, weights)
    elif kind == ACTIVATE:
        low, high = share((op[3] + 15) // 16, number, threads)
        for row in range(rows):
            activate(op, base + row * step, low, high)
    elif kind == ADD:
        low, high = share((op[3] + 15) // 16, number, threads)
        for row in range(rows):
            line = base + row * step + 64 * low
            e.add(high - low, line + 4 * op[1], line + 4 * op[2], 0, 0, 0, 0, 0)
    elif kind == CONVOLVE:
        low, high = share(op[5] // 16, number, threads)
        for row in range(rows):
            convolve(op, base + row * step, fixed, low, high)
    elif kind == PLACE:
        for row in range(number, rows, threads):
            at = fixed + op[2] + positions[row] * op[3] * 4
            e.add(op[3] // 16, at, base + row * step + 4 * op[1], 0, 0, 0, 0, 0)
    elif kind == ANGLES:
        for row in range(number, rows, threads):
            angles(op, memory[row], weights, positions[row])
    elif kind == ROTATE:
        for row in range(rows):
            for head in range(number, op[2] + 2 * op[3], threads):
                rotate(op, memory[row], weights, positions[row], head, capacity)
    elif kind == ATTEND:
        for row in range(rows):
            for head in range(number, op[2], threads):
                attend(op, memory[row], weights, positions[row], head, capacity, scratch)


@compiled
@no_type_check
def run(code, memory, weights, tokens, given, positions, capacity, head, logits, size, noise, options, bias, seen,
        chances, number, threads, counter, scratch, rounded, scales, offsets, choice, order):  # fmt: skip
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
