"""Tiles of matrices: every size of tile and both kinds of processor give the same sums."""

import os
import subprocess
import sys

import numpy as np
import pytest

from unspool.generate.compiled.program import as_bfloat16, quantize

SAME = """
import numpy as np
from numba import njit
from unspool.generate.compiled.program import quantize
from unspool.nn.kernels.vectors import tile_int8, tile_int8_part, wide_registers
tile, part = tile_int8(1, 1), tile_int8_part(4, 4)

@njit
def product(w, s, x, scales, offsets, bias, out, sums):
    w, s, x, scales, offsets = w.ctypes.data, s.ctypes.data, x.ctypes.data, scales.ctypes.data, offsets.ctypes.data
    tile(w, s, x, scales, offsets, 3, 3, bias.ctypes.data, out.ctypes.data, 64, 0)
    part(w, s, x, scales, offsets, 2, 3, sums.ctypes.data, w)
    part(w + 2 * 2048, s + 2 * 256, x + 64, scales + 8, offsets + 8, 1, 3, sums.ctypes.data, w)
    return wide_registers()

draw = np.random.default_rng(4)
full = np.concatenate([draw.normal(size=(16, 96)), np.zeros((48, 96))]).astype(np.float32)
weights, scales = quantize(full)
x = np.concatenate([draw.integers(-127, 128, 96)] * 4).astype(np.int8)
offsets = -128 * x.reshape(12, 32).sum(axis=1, dtype=np.int32)
out, sums = np.zeros(16, np.float32), np.zeros((4, 64), np.float32)
factors = np.float32([0.5, 1, 2] * 4)
wide = product(weights, scales, x, factors, offsets, np.ones(16, np.float32), out, sums)
assert (sums[:, :16] + 1 == out).all() and (sums[:, 16:] == 0).all()
print(wide, out.tobytes().hex())
"""


def run(**environment):
    done = subprocess.run(
        [sys.executable, "-c", SAME], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    wide, raw = done.stdout.split()
    return wide, np.frombuffer(bytes.fromhex(raw), np.float32)


def test_int8_is_the_same_with_and_without_its_instructions_at_once_and_in_parts():
    _, here = run()
    narrow, there = run(NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+sse4.2,+avx,+avx2,+fma,+bmi,+bmi2,+popcnt")
    assert narrow == "0" and np.array_equal(here, there)
    draw = np.random.default_rng(4)
    weights, x = draw.normal(size=(16, 96)).astype(np.float32), draw.integers(-127, 128, 96)
    exact = 1 + (weights @ (x.reshape(3, 32) * np.float64([[0.5], [1], [2]])).reshape(-1))
    assert np.abs(here - exact).max() < 0.02 * np.abs(exact).max()


def test_quantized_weights_are_within_half_a_step():
    weight = np.random.default_rng(0).normal(size=(128, 64)).astype(np.float32)
    packed, scales = quantize(weight)
    whole = packed.astype(np.float32).transpose(0, 2, 4, 1, 3, 5).reshape(128, 64) - 128
    steps = scales.transpose(0, 2, 3, 1).reshape(128, 2).repeat(32, axis=1)
    assert np.abs(whole * steps - weight).max() <= 0.5001 * steps.max()
    assert np.abs(whole * steps - weight).max() > 0.3 * steps.max()
    zeros, flat = quantize(np.zeros((64, 32), np.float32))
    assert (zeros == 128).all() and (flat == 0).all()


@pytest.mark.parametrize(("value", "bits"), [(1.0, 0x3F80), (1.00390625, 0x3F80), (1.01171875, 0x3F82), (-2.5, 0xC020)])
def test_bfloat16_rounds_to_the_nearest_even(value, bits):
    assert as_bfloat16(np.float32([value]))[0] == bits
