"""Parallel scans: recurrences that are linear in their state, for all time steps at once.

The factor and the summand of each step depend on the input alone. The loop over a cell's `tick` computes the same.
"""

from math import isqrt

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

BUSY = {"cpu": 16384}
"""How many numbers keep a device busy in one operation; with fewer, chunks of time run side by side."""


def scan(a: Float[Tensor, "B T H"], b: Float[Tensor, "B T H"], h: Float[Tensor, "B H"]) -> Float[Tensor, "B T H"]:
    """All h_t = a_t * h_{t-1} + b_t, from the initial state h.

    Nothing is divided and no logarithm taken, so a may be 0 or 1 and b of any sign; products of many a below 1
    underflow to 0.

    >>> scan(torch.full((1, 3, 1), 0.5), torch.ones(1, 3, 1), torch.zeros(1, 1)).flatten()
    tensor([1.0000, 1.5000, 1.7500])
    """
    y: Tensor = _Scan.apply(a, b, h)
    return y


class _Scan(torch.autograd.Function):
    """The gradient of a scan is a scan from the other end, with a of the step after: g_t = dy_t + a_{t+1} g_{t+1}."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, b: Tensor, h: Tensor) -> Tensor:
        """The scan."""
        y = _forward(a, b, h)
        ctx.save_for_backward(a, y, h)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: torch.autograd.function.FunctionCtx, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of a, b and the initial h."""
        a, y, h = ctx.saved_tensors  # type: ignore[attr-defined]
        before = torch.cat([h.unsqueeze(1), y[:, :-1]], dim=1)
        after = torch.cat([a[:, 1:], torch.zeros_like(a[:, :1])], dim=1).flip(1)
        g = _forward(after, dy.flip(1), torch.zeros_like(h)).flip(1)
        return g * before, g, a[:, 0] * g[:, 0]


def _forward(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """Chunks of time in parallel, each from zero; then the effect of each initial state is added, chunk by chunk."""
    rows, time, width = b.shape
    chunks = min(isqrt(time), BUSY.get(b.device.type, 2**20) // (rows * width))
    if chunks < 8:  # side by side there is three times as much to do
        return _loop(a, b, h)
    size = -(-time // chunks)
    a, b = (F.pad(v, (0, 0, 0, -time % size)).view(-1, size, width) for v in (a, b))  # (B chunks, size, H)
    local, fade = _loop(a, b, b.new_zeros(len(b), width)), _loop(a, torch.zeros_like(b), b.new_ones(len(b), width))
    local, fade = (v.view(rows, -1, size, width) for v in (local, fade))
    starts = _loop(fade[:, :-1, -1], local[:, :-1, -1], h)
    starts = torch.cat([h.unsqueeze(1), starts], dim=1).unsqueeze(2)  # (B, chunks, 1, H)
    return local.addcmul_(fade, starts).view(rows, -1, width)[:, :time]


def _loop(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    y = torch.empty_like(b)
    for a_t, b_t, y_t in zip(a.unbind(1), b.unbind(1), y.unbind(1), strict=True):
        h = torch.addcmul(b_t, a_t, h, out=y_t)
    return y


def scan_of_logarithms(
    log_a: Float[Tensor, "B T H"], log_b: Float[Tensor, "B T H"], log_h: Float[Tensor, "B H"]
) -> Float[Tensor, "B T H"]:
    """The same from the logarithms, where a, b and h are positive (Heinsen 2023, arXiv:2311.06281).

    h_t = exp(A_t + logcumsumexp(log b_t - A_t))      A_t = cumsum(log a_t)

    The papers on minGRU and minLSTM use this form. It loses precision over long sequences, because A grows with time,
    and logarithms are slow, so the cells here use `scan`; the tests compare the two.
    """
    fade = log_a.cumsum(dim=1)
    inside = torch.cat([log_h.unsqueeze(1), log_b - fade], dim=1)
    return (fade + inside.logcumsumexp(dim=1)[:, 1:]).exp()


def scan_of_maxima(
    g: Float[Tensor, "B T heads"], i: Float[Tensor, "B T heads"], m: Float[Tensor, "B heads"]
) -> Float[Tensor, "B T heads"]:
    """All m_t = max(g_t + m_{t-1}, i_t), from the initial m, by a parallel scan of log T steps.

    >>> one = torch.ones(1, 3, 1)
    >>> scan_of_maxima(-one, 0 * one, torch.tensor([[5.0]])).flatten()
    tensor([4., 3., 2.])
    """
    i = torch.cat([torch.maximum(i[:, :1], g[:, :1] + m.unsqueeze(1)), i[:, 1:]], dim=1)
    step = 1
    while step < i.shape[1]:
        i = torch.cat([i[:, :step], torch.maximum(i[:, step:], i[:, :-step] + g[:, step:])], dim=1)
        g = torch.cat([g[:, :step], g[:, step:] + g[:, :-step]], dim=1)
        step *= 2
    return i


def where_present(mask: Bool[Tensor, "B T"] | None, value: Tensor, otherwise: float) -> Tensor:
    """The value (B, T, ...) at present positions, and at padded ones a number that leaves the state as it is."""
    if mask is None:
        return value
    return value.masked_fill(~mask.view(*mask.shape, *[1] * (value.dim() - 2)), otherwise)


def settle(
    y: Float[Tensor, "B T H"], h: Float[Tensor, "B H"], mask: Bool[Tensor, "B T"] | None
) -> tuple[Float[Tensor, "B T H"], Float[Tensor, "B H"]]:
    """The outputs, zero at padded positions, and the last present one of each row; h where a row has none."""
    if mask is None:
        return y, y[:, -1]
    times = torch.arange(1, y.shape[1] + 1, device=y.device)
    last = (mask * times).amax(dim=1)  # (B,)
    both = torch.cat([h.unsqueeze(1), y], dim=1)
    return y * mask.unsqueeze(-1), both[torch.arange(len(y), device=y.device), last]
