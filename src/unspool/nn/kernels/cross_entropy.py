"""Cross-entropy over a large vocabulary, a few rows at a time, so that the logits fit into the processor's cache."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

LARGE = 4096  # vocabulary size; for smaller ones torch's own loss is as fast
LOGITS = 2**22  # at a time: 16 MiB in float32


def cross_entropy(y: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The sum of -log softmax(y W^T + b) at the targets, in nats: y (N, D), weight (V, D), bias (V), targets (N).

    The gradients are computed in the forward pass, a few rows at a time, so that the logits of all rows are never in
    memory together (Hsu et al. 2024, arXiv:2410.10989). Products follow autocast; everything else is in float32.
    """
    kind = y.device.type
    low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    with torch.autocast(kind, enabled=False):
        total: Tensor = _Rows.apply(y, weight, bias, targets, low, torch.is_grad_enabled())
    return total


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, y: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, low: torch.dtype, learns: bool
    ) -> Tensor:
        rows, w, total = max(1, LOGITS // len(weight)), weight.to(low), y.new_zeros((), dtype=torch.float32)
        slopes = [torch.zeros_like(x, dtype=torch.float32) for x in (y, weight, bias)] if learns else []
        for first in range(0, len(y), rows):
            here = slice(first, first + rows)
            part, wanted = y[here].to(low), targets[here, None]
            logits = F.linear(part, w).float() + bias
            largest = logits.logsumexp(dim=-1, keepdim=True)
            total += (largest - logits.gather(1, wanted)).sum()
            if learns:  # d loss / d logits = softmax - one-hot
                slope = logits.sub_(largest).exp_().scatter_add_(1, wanted, -torch.ones_like(largest))
                slopes[2] += slope.sum(dim=0)
                slope = slope.to(low)
                slopes[0][here] = (slope @ w).float()
                slopes[1] += slope.t() @ part
        ctx.save_for_backward(*(s.to(x.dtype) for s, x in zip(slopes, (y, weight, bias), strict=False)))
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*(slope * gradients[0] for slope in ctx.saved_tensors), None, None, None)
