"""Normalization that takes activations in half precision."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` (Zhang & Sennrich 2019, arXiv:1910.07467), for activations in half precision too.

    torch's own has a kernel for activations and weights of one type only. With float32 weights and bfloat16
    activations it warns and takes a slower path, to the same result: what is computed here in float32 and rounded.

    >>> import torch
    >>> RMSNorm(4)(torch.ones(2, 4, dtype=torch.bfloat16)).dtype
    torch.bfloat16
    """

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """The vectors, each divided by the root of its mean square, times the weights."""
        return F.rms_norm(x.to(self.weight.dtype), self.normalized_shape, self.weight, self.eps).to(x.dtype)
