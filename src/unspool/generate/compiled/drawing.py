"""The next token of a row, drawn from its logits, compiled by Numba: what `sampling.Sampler` does."""

from typing import no_type_check

import numpy as np

from unspool.generate.compiled import elementwise as e
from unspool.nn.kernels.vectors import ONE, ZERO, compiled, f32


@compiled
@no_type_check
def draw(logits, options, bias, seen, noise, work, order):
    """The next id of a row: bias, repetition penalty, temperature, top-k, top-p, min-p in this order, then the draw."""
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
    """Let an entry of a heap of ids sink to its place: the largest weight first, of equals the first id."""
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and before(weights, order[child + 1], order[child]):
            child += 1
        if not before(weights, order[child], order[at]):
            return
        order[at], order[child] = order[child], order[at]
        at = child


@compiled
@no_type_check
def before(weights, a, b):
    """Whether a comes before b in the order of likelihood."""
    return weights[a] > weights[b] or (weights[a] == weights[b] and a < b)


@compiled
@no_type_check
def log_probability(logits, size, id):
    """The log-softmax of an id, in nats."""
    at = logits.ctypes.data
    most = e.largest(at, size, ZERO)
    return logits[id] - most - f32(np.log(e.exponentials(at, size, most)))
