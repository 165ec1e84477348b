"""A cell along time: the readable loop, its fused twin, and rows of different lengths."""

import warnings
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.nn.cell import Cell
from unspool.nn.part import CoreState, map_state


def unroll(
    cell: Cell, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """The cell's outputs at every time and its last state.

    Somebody who watches gets the loop, and so does a single step, which it does fastest. Everybody else gets the fused
    twin where the cell has one. Where nothing is present the state stays as it is and the output is zero.
    """
    if mask is not None and bool(mask.all()):
        mask = None
    if cell.watcher is None and x.shape[1] > 1:
        result = cell.fused(x, state, mask)
        if result is not None:
            return result
    return loop(cell, x, state, mask)


def loop(
    cell: Cell, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """Run the cell along time. Reading the inputs is one matrix product; only the ticks must wait."""
    outputs = []
    for t, read in enumerate(cell.read(x).unbind(dim=1)):  # (B, G) for each time
        after = cell.tick(read, state)
        state = after if mask is None else freeze_padding(mask[:, t], after, state)
        outputs.append(state[0])
    y = torch.stack(outputs, dim=1)  # (B, T, H)
    return (y if mask is None else y * mask.unsqueeze(-1)), state


def freeze_padding(moves: Bool[Tensor, " B"], after: CoreState, before: CoreState) -> CoreState:
    """The state after for the rows that move, the state before for those that do not."""
    return tuple(
        torch.where(moves.view(-1, *[1] * (a.dim() - 1)), a, b)
        if isinstance(a, Tensor)
        else freeze_padding(moves, a, b)
        for a, b in zip(after, before, strict=True)
    )


Kernel = Callable[..., tuple[Tensor, ...]]
"""One of torch's own recurrent kernels: (input, state, weights, ...)."""
HOLD = 100.0


def run_kernel(
    kernel: Kernel,
    weights: list[Tensor],
    x: Float[Tensor, "B T D"],
    state: CoreState,
    mask: Bool[Tensor, "B T"] | None,
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """One layer through torch's own kernel (oneDNN on a CPU, cuDNN on a GPU); the state stays in its own precision.

    The weights are given as torch wants them: input, recurrent, input bias, recurrent bias.
    """
    was = state[0].dtype
    if torch.is_autocast_enabled(x.device.type):
        low = torch.get_autocast_dtype(x.device.type)
        x, state, weights = x.to(low), map_state(lambda s: s.to(low), state), [w.to(low) for w in weights]
    with warnings.catch_warnings():  # our weights are single tensors; cuDNN copies them into one block, which is cheap
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        if mask is None:
            y, after = _run_dense(kernel, weights, x, state)
        else:
            y, after = _run_ragged(kernel, weights, x, state, mask)
    return y.to(was), map_state(lambda s: s.to(was), after)


def _run_dense(kernel: Kernel, weights: list[Tensor], x: Tensor, state: CoreState) -> tuple[Tensor, tuple[Tensor, ...]]:
    layers = tuple(s.unsqueeze(0) for s in state)  # torch counts layers first: (1, B, H)
    hidden = layers if len(layers) > 1 else layers[0]
    y, *last = kernel(x, hidden, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return y, tuple(s.squeeze(0) for s in last)


def _run_ragged(
    kernel: Kernel, weights: list[Tensor], x: Tensor, state: CoreState, mask: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What is present is moved to the front of its row, and what comes behind it changes neither outputs nor memory.

    Torch's kernels for packed rows would skip the padding, but on a CPU their backward pass takes time with the square
    of the length.
    """
    lengths = mask.sum(dim=1)  # (B,)
    longest = int(lengths.max())
    if not longest:
        return x.new_zeros(*x.shape[:2], state[0].shape[-1]), tuple(s.clone() for s in state)
    rows, times = mask.nonzero(as_tuple=True)
    ticks = (mask.cumsum(dim=1) - 1)[rows, times]  # how many present positions came before
    front = x.new_zeros(len(x), longest, x.shape[-1]).index_put((rows, ticks), x[rows, times])
    if len(state) > 1:
        absent = torch.arange(longest, device=x.device) >= lengths.unsqueeze(1)  # (B, L)
        front, weights = torch.cat([front, absent.unsqueeze(-1).to(x.dtype)], dim=-1), [held(weights[0]), *weights[1:]]
    said, after = _run_dense(kernel, weights, front, state)
    every = torch.arange(len(x), device=x.device)
    last = said[every, (lengths - 1).clamp(min=0)]
    hidden = torch.where(lengths.unsqueeze(1) > 0, last, state[0])
    y = x.new_zeros(*x.shape[:2], said.shape[-1]).index_put((rows, times), said[rows, ticks])
    return y, (hidden, *after[1:])


def held(weight: Float[Tensor, "G D"]) -> Float[Tensor, "G E"]:
    """An LSTM's input weights with a column for "nothing is there": it shuts the input gate and opens the forget gate.

    A sigmoid of 100 is 1 and one of -100 is 0 in every precision, so that the memory stays what it is, bit for bit.
    """
    shut = weight.new_zeros(4, len(weight) // 4, 1)
    shut[0], shut[1] = -HOLD, HOLD
    return torch.cat([weight, shut.flatten(0, 1)], dim=1)
