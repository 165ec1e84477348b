"""The instructions of recurrent stacks, and of residual blocks of cells."""

from typing import Any

from torch import Tensor

from unspool.generate.compiled import program as p
from unspool.generate.compiled.lower_parts import array, feed_forward, keep_state, normalize, run_cell
from unspool.generate.compiled.program import Builder
from unspool.models.gated import Blocks
from unspool.models.recurrent import Recurrent


def recurrent(b: Builder, core: Recurrent, table: Tensor) -> int:
    """Layer upon layer; where the output is."""
    layers: list[Any] = [ways[0] for ways in core._stack()]
    states = [keep_state(b, cell, f"{number}.0") for number, cell in enumerate(layers)]
    x, width = 0, table.shape[1]
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


def blocks(b: Builder, core: Blocks, table: Tensor) -> int:
    """Block upon block; where the output is."""
    layers, states = list[Any](core.layers), []
    for number, layer in enumerate(layers):
        size = 0 if layer.short_conv is None else layer.short_conv.size - 1
        past = b.keep(f"{number}.0.0", (size, core.width)) if layer.short_conv is not None else 0
        states.append((past, keep_state(b, layer.cell, f"{number}.1")))
    x, y = b.room(core.width), b.room(core.width)
    b.embed(array(core.enter(table)), x)
    for layer, (past, state) in zip(layers, states, strict=True):
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
