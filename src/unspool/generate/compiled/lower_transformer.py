"""The instructions of transformers."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unspool.generate.compiled import program as p
from unspool.generate.compiled.lower_parts import NoInstructionError, array, feed_forward, normalize
from unspool.generate.compiled.program import Builder, Slot
from unspool.models.transformer import Transformer
from unspool.nn.positions import Alibi, Learned, Positions, Rotary, Sinusoidal, waves


def transformer(b: Builder, core: Transformer, table: Tensor) -> int:
    """Block upon block; where the output is."""
    if type(core.positions) not in (Positions, Learned, Sinusoidal, Rotary, Alibi):
        raise NoInstructionError(type(core.positions).__name__)
    layers, capacity = core._stack(), min(core.context, core.window)
    b.capacity, caches = capacity, keep_caches(b, core, capacity)
    x, y = b.room(core.width), b.room(core.width)
    b.embed(array(core.enter(table) * core.scale), x)
    if isinstance(core.positions, Learned):
        b.add(p.PLACE, x, b.rows(array(core.positions.weight)), p.padded(core.width))
    if isinstance(core.positions, Sinusoidal):
        places = waves(torch.arange(core.context), core.width, core.positions.base)
        b.add(p.PLACE, x, b.rows(array(places)), p.padded(core.width))
    if not isinstance(core.embedding_norm, nn.Identity):
        normalize(b, core.embedding_norm, x, x, core.width)
    angles = rotary_angles(b, core.positions)
    for block, (keys, values) in zip(layers, caches, strict=True):
        seen = x
        if not block.post_norm:
            normalize(b, block.attention_norm, x, y, core.width)
            seen = y
        attention(b, block.attention, seen, x, keys, values, angles, core.positions)
        if block.post_norm:
            normalize(b, block.attention_norm, x, x, core.width)
            feed_forward(b, block.feed_forward, x, x)
            normalize(b, block.feed_forward_norm, x, x, core.width)
        else:
            normalize(b, block.feed_forward_norm, x, y, core.width)
            feed_forward(b, block.feed_forward, y, x)
    if not isinstance(core.norm, nn.Identity):
        normalize(b, core.norm, x, y, core.width)
        return y
    return x


def keep_caches(b: Builder, core: Transformer, capacity: int) -> list[tuple[int, int]]:
    """Room for the keys and values of every layer."""
    b.state.append(Slot("0", 0, (), "length"))
    found, slots = [], p.padded(capacity)
    for number, block in enumerate(core._stack(), start=1):
        heads, width = block.attention.kv_heads, block.attention.head_width
        shape, padded = (heads, capacity, width), p.padded(width)
        keys = b.keep(f"{number}.0", shape, "keys", heads * slots * width)
        found.append((keys, b.keep(f"{number}.1", shape, "values", heads * slots * padded)))
    return found


def rotary_angles(b: Builder, positions: Positions) -> int:
    """Where the cosines and sines of a token's position are; -1: it has none."""
    if not isinstance(positions, Rotary):
        return -1
    half = positions.head_width // 2
    frequencies = positions.base ** (-np.arange(0, positions.head_width, 2) / positions.head_width)
    out = b.room(2 * half)
    b.add(p.ANGLES, out, half, b.store(frequencies.astype(np.float64)))
    return out


def attention(
    b: Builder, part: Any, x: int, out: int, keys: int, values: int, angles: int, positions: Positions
) -> None:
    """out += the self-attention of x."""
    width, heads, kv = part.head_width, part.heads, part.kv_heads
    padded = p.padded(width)
    qkv, seen = b.room(part.read.out_features), b.room(heads * width)
    b.matrix(array(part.read.weight), array(part.read.bias), x, qkv)
    norms = -1
    if part.query_norm is not None:
        norms = b.store(np.concatenate([array(part.query_norm.weight), array(part.key_norm.weight)]))
    b.add(p.ROTATE, qkv, heads, kv, width, keys, values, angles, norms, padded)
    rates = b.vector(array(positions.slopes)) if isinstance(positions, Alibi) else -1
    b.add(p.ATTEND, qkv, heads, kv, width, keys, values, seen, rates, padded)
    b.matrix(array(part.output.weight), array(part.output.bias), seen, out, adds=True)
