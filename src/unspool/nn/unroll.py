"""Unrolling a cell over time: the loop, the fused kernel, and rows of different lengths."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unspool.nn.cell import Cell
from unspool.nn.kernels.training import Kernel
from unspool.nn.part import CoreState, map_state


def unroll(
    cell: Cell, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """Run a cell over a sequence.

    The fused kernel is used where the cell has one, the loop while a watcher is attached and for single steps, where it
    is faster. At padded positions the state does not change and the output is zero.

    Args:
        cell: the cell.
        x: inputs, (B, T, D).
        state: the state before the first.
        mask: which positions are present, (B, T); None: all.

    Returns:
        Outputs (B, T, H), and the last state.

    >>> from unspool.nn.cells.gru import GRU
    >>> cell, x = GRU(2, 3), torch.zeros(1, 5, 2)
    >>> unroll(cell, x, cell.start(x))[0].shape
    torch.Size([1, 5, 3])
    """
    if mask is not None and bool(mask.all()):
        mask = None
    if cell.watcher is None and x.shape[1] > 1:
        result = cell.fused(x, state, mask)
        if result is not None:
            return result
    return unroll_loop(cell, x, state, mask)


def unroll_loop(
    cell: Cell, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """`unroll` by a loop: the input projection is one matrix product, then `tick` at every position."""
    outputs = []
    for t, read in enumerate(cell.read(x).unbind(dim=1)):  # (B, G) for each time
        after = cell.tick(read, state)
        state = after if mask is None else freeze_padding(mask[:, t], after, state)
        outputs.append(state[0])
    y = torch.stack(outputs, dim=1)  # (B, T, H)
    return (y if mask is None else y * mask.unsqueeze(-1)), state


def freeze_padding(moves: Bool[Tensor, " B"], after: CoreState, before: CoreState) -> CoreState:
    """The new state for the rows that are present, the old state for those that are padded.

    Args:
        moves: which rows are present, (B,).
        after: the state after the step.
        before: the state before the step.
    """
    return tuple(
        torch.where(moves.view(-1, *[1] * (a.dim() - 1)), a, b)
        if isinstance(a, Tensor)
        else freeze_padding(moves, a, b)
        for a, b in zip(after, before, strict=True)
    )


HOLD = 100.0


def run_kernel(
    kernel: Kernel,
    weights: list[Tensor],
    x: Float[Tensor, "B T D"],
    state: CoreState,
    mask: Bool[Tensor, "B T"] | None,
) -> tuple[Float[Tensor, "B T H"], CoreState]:
    """One layer by a kernel (of torch: oneDNN on a CPU, cuDNN on a GPU); the state keeps its precision.

    Under autocast it runs in that precision: torch's own cast for cuDNN is always to float16.

    Args:
        kernel: torch.lstm, torch.gru, torch.rnn_tanh or torch.rnn_relu, or a compiled one.
        weights: input weight, recurrent weight, input bias, recurrent bias.
        x: inputs, (B, T, D).
        state: the state before the first.
        mask: which positions are present, (B, T); None: all.

    Returns:
        Outputs (B, T, H), and the last state.
    """
    was = state[0].dtype
    if torch.is_autocast_enabled(x.device.type):
        low = torch.get_autocast_dtype(x.device.type)
        x, state, weights = x.to(low), map_state(lambda s: s.to(low), state), [w.to(low) for w in weights]
    with torch.autocast(x.device.type, enabled=False), _quiet(x):
        if mask is None:
            y, after = _run_dense(kernel, weights, x, state)
        else:
            y, after = _run_ragged(kernel, weights, x, state, mask)
    return y.to(was), map_state(lambda s: s.to(was), after)


@contextmanager
def _quiet(x: Tensor) -> Iterator[None]:
    """Without cuDNN's warning that our weights are single tensors: it copies them into one block, which is cheap."""
    if not x.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        yield


def _run_dense(kernel: Kernel, weights: list[Tensor], x: Tensor, state: CoreState) -> tuple[Tensor, tuple[Tensor, ...]]:
    layers = tuple(s.unsqueeze(0) for s in state)  # torch counts layers first: (1, B, H)
    hidden = layers if len(layers) > 1 else layers[0]
    y, *last = kernel(x, hidden, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
    return y, tuple(s.squeeze(0) for s in last)


def _run_ragged(
    kernel: Kernel, weights: list[Tensor], x: Tensor, state: CoreState, mask: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Present positions are moved to the front of their rows, so that the padding behind them changes nothing.

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
    outputs, after = _run_dense(kernel, weights, front, state)
    every = torch.arange(len(x), device=x.device)
    last = outputs[every, (lengths - 1).clamp(min=0)]
    hidden = torch.where(lengths.unsqueeze(1) > 0, last, state[0])
    y = x.new_zeros(*x.shape[:2], outputs.shape[-1]).index_put((rows, times), outputs[rows, ticks])
    return y, (hidden, *after[1:])


def held(weight: Float[Tensor, "G D"]) -> Float[Tensor, "G E"]:
    """An LSTM's input weights with a column for padding, which closes the input gate and opens the forget gate.

    A sigmoid of 100 is 1 and one of -100 is 0 in every precision, so that the memory does not change, bit for bit.
    """
    shut = weight.new_zeros(4, len(weight) // 4, 1)
    shut[0], shut[1] = -HOLD, HOLD
    return torch.cat([weight, shut.flatten(0, 1)], dim=1)
