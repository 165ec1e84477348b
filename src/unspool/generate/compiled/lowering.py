"""From a model to its program: recurrent stacks, residual blocks of cells, and transformers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.generate.compiled import program as p
from unspool.generate.compiled.program import Builder, Precision, Program
from unspool.models.gated import Blocks
from unspool.models.recurrent import Recurrent
from unspool.models.sequence import SequenceModel
from unspool.models.transformer import Transformer
from unspool.nn.blocks import FeedForward
from unspool.nn.cells.elman import Elman
from unspool.nn.cells.gru import GRU
from unspool.nn.cells.lstm import LSTM
from unspool.nn.cells.mingru import MinGRU
from unspool.nn.cells.minlstm import MinLSTM
from unspool.nn.cells.rglru import RGLRU
from unspool.nn.heads import Categorical
from unspool.nn.positions import Alibi, Learned, Positions, Rotary, Sinusoidal, waves

LARGEST_TABLE = 16 * 2**20
"""An embedding is multiplied by the input weights in advance where that takes at most so many bytes."""
CELLS = (LSTM, GRU, Elman, MinGRU, MinLSTM, RGLRU)
EPSILON = 1e-5


def lower(model: SequenceModel, precision: Precision = "float32") -> Program | None:
    """The program of a model; None where one of its parts has no instruction.

    Args:
        model: on the CPU.
        precision: of the matrices; embeddings, norms and states are float32 in any case.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> program = lower(model)
    >>> program.size, [slot.path for slot in program.state]
    (5, ['0.0.0', '0.0.1'])
    """
    core, head = model.core, model.head
    write = {Recurrent: recurrent, Blocks: blocks, Transformer: transformer}.get(type(core))
    plain = type(head) is Categorical and isinstance(head.transform, nn.Identity) and model.encoder is None
    table = embedding_table(model)
    if write is None or not plain or table is None or not supported(core):
        return None
    builder = Builder(precision)
    with torch.no_grad():
        y = write(builder, core, table)
        before, size = len(builder.code), len(head.weight)
        logits = builder.room(size)
        builder.matrix(array(head.weight), array(head.bias), y, logits)
    return builder.finish(logits, size, before)


def supported(core: nn.Module) -> bool:
    """Whether every part of a core has an instruction, and nobody watches one."""
    if not core.causal or core.needs_source or any(p.dtype != torch.float32 for p in core.parameters()):
        return False
    watched = any(getattr(part, "watcher", None) is not None for part in core.modules())
    if watched or any(p.device.type != "cpu" for p in core.parameters()):
        return False
    if isinstance(core, Recurrent):
        return all(len(ways) == 1 and type(ways[0]) in CELLS for ways in core._stack())
    if isinstance(core, Blocks):
        return all(type(layer.cell) in CELLS for layer in core.layers)
    return isinstance(core, Transformer) and type(core.positions) in (Positions, Learned, Sinusoidal, Rotary, Alibi)


def embedding_table(model: SequenceModel) -> Tensor | None:
    """What the core reads for every id, (V, D); None for a model of numbers."""
    rows = getattr(model.head, "weight", None)
    if not hasattr(model.embedding, "num_embeddings") and not hasattr(model.embedding, "table"):
        return None
    with torch.no_grad():
        return None if rows is None else model.embedding(torch.arange(len(rows)))


def array(value: Tensor | None) -> NDArray[np.float32] | None:
    """The numbers of a tensor."""
    return None if value is None else value.detach().float().numpy()


# --- recurrent stacks


def recurrent(b: Builder, core: Recurrent, table: Tensor) -> int:
    """Layer upon layer; where the output is."""
    layers = [ways[0] for ways in core._stack()]
    states = [keep_state(b, cell, f"{number}.0") for number, cell in enumerate(layers)]
    x, width = None, table.shape[1]
    for number, (cell, state) in enumerate(zip(layers, states, strict=True)):
        adds = core.residual and width == cell.hidden_size
        if number == 0 and adds:
            x = b.room(width)
            b.embed(array(table), x)
        y = run_cell(b, cell, state, x, table if number == 0 else None)
        if adds:
            b.add(p.ADD, y, x, width)
        else:
            x = y
        width = cell.hidden_size
    return x


def keep_state(b: Builder, cell: nn.Module, path: str) -> list[int]:
    """Room for the state of a cell: hidden state, and the memory of an LSTM."""
    return [b.keep(f"{path}.{i}", (cell.hidden_size,)) for i in range(2 if isinstance(cell, LSTM) else 1)]


def run_cell(b: Builder, cell: Any, state: Sequence[int], x: int | None, table: Tensor | None = None) -> int:
    """A cell that reads x, or the embedding of the token; where its output is."""
    size, h = cell.hidden_size, state[0]
    projected = b.room(cell.input.out_features)
    folded = table is not None and len(table) * cell.input.out_features * 4 <= LARGEST_TABLE
    if folded:
        b.embed(array(cell.input(table)), projected)
    else:
        if table is not None:
            x = b.room(table.shape[1])
            b.embed(array(table), x)
        b.matrix(array(cell.input.weight), array(cell.input.bias), x, projected)
    if isinstance(cell, LSTM | Elman):
        b.matrix(array(cell.recurrent.weight), array(cell.recurrent.bias), h, projected, adds=True)
    if isinstance(cell, LSTM):
        b.add(p.LSTM, projected, h, state[1], size)
    elif isinstance(cell, Elman):
        b.add(p.ELMAN, projected, h, int(cell.activation == "relu"), size)
    elif isinstance(cell, GRU):
        hidden = b.room(3 * size)
        b.matrix(array(cell.recurrent.weight), array(cell.recurrent.bias), h, hidden)
        b.add(p.GRU, projected, h, hidden, size)
    elif isinstance(cell, RGLRU):
        decay = cell.sharpness * nn.functional.logsigmoid(cell.decay)
        b.add(p.RGLRU, projected, h, b.vector(array(decay)), size)
    else:
        b.add(p.MINGRU if isinstance(cell, MinGRU) else p.MINLSTM, projected, h, 0, size)
    return h


# --- residual blocks of cells


def blocks(b: Builder, core: Blocks, table: Tensor) -> int:
    """Block upon block; where the output is."""
    states = []
    for number, layer in enumerate(core.layers):
        size = 0 if layer.short_conv is None else layer.short_conv.size - 1
        past = b.keep(f"{number}.0.0", (size, core.width)) if layer.short_conv is not None else 0
        states.append((past, keep_state(b, layer.cell, f"{number}.1")))
    x, y = b.room(core.width), b.room(core.width)
    b.embed(array(core.enter(table)), x)
    for layer, (past, state) in zip(core.layers, states, strict=True):
        normalize(b, layer.cell_norm, x, y, core.width)
        seen = y
        if layer.short_conv is not None:
            seen = b.room(core.width)
            weight = array(layer.short_conv.weight).squeeze(1).T
            placed = b.rows(weight), b.vector(array(layer.short_conv.bias))
            b.add(p.CONVOLVE, y, seen, past, layer.short_conv.size, p.padded(core.width), *placed)
        h = run_cell(b, layer.cell, state, seen)
        b.matrix(array(layer.project.weight), None, h, x, adds=True)
        if layer.feed_forward is not None:
            normalize(b, layer.feed_forward_norm, x, y, core.width)
            feed_forward(b, layer.feed_forward, y, x)
    normalize(b, core.norm, x, y, core.width)
    return y


def normalize(b: Builder, norm: nn.Module, x: int, out: int, width: int) -> None:
    """RMSNorm or LayerNorm; nothing else stands where a norm may be."""
    epsilon = b.vector(np.float32([norm.eps]))
    bias = b.vector(array(getattr(norm, "bias", None)), width)
    b.add(p.NORM, x, out, width, int(isinstance(norm, nn.LayerNorm)), b.vector(array(norm.weight)), bias, epsilon)


def feed_forward(b: Builder, part: FeedForward, x: int, out: int) -> None:
    """out += the feed-forward network of x."""
    inner = part.down.in_features
    up, neurons = b.room(part.up.out_features), b.room(inner)
    b.matrix(array(part.up.weight), array(part.up.bias), x, up)
    b.add(p.ACTIVATE, up, neurons, inner, p.ACTIVATIONS.index(kind_of(part)))
    b.matrix(array(part.down.weight), array(part.down.bias), neurons, out, adds=True)


def kind_of(part: FeedForward) -> str:
    """The name of the activation of a feed-forward network, found by what it does."""
    from unspool.nn.blocks import activation

    if part.gated:
        return "swiglu"
    return next(name for name in p.ACTIVATIONS if activation(name) is part.activation)


# --- transformers


def transformer(b: Builder, core: Transformer, table: Tensor) -> int:
    """Block upon block; where the output is."""
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
    from unspool.generate.compiled.program import Slot

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
    rates = b.vector(np.float32(positions.rates)) if isinstance(positions, Alibi) else -1
    b.add(p.ATTEND, qkv, heads, kv, width, keys, values, seen, rates, padded)
    b.matrix(array(part.output.weight), array(part.output.bias), seen, out, adds=True)
