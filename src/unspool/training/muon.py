"""Muon: momentum whose updates are orthogonalized, fast on processors with and without bfloat16."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unspool.training.optimizer import Optimizer

A, B, C = 3.4445, -4.7750, 2.0315
"""Coefficients of the quintic Newton-Schulz iteration; they bring singular values to 0.7 to 1.2, not all to 1."""
ITERATIONS = 5


class Muon(Optimizer):
    """Momentum for matrices, each update orthogonalized (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    As `torch.optim.Muon` with `adjust_lr_fn="match_rms_adamw"` (Liu et al. 2025, arXiv:2502.16982), bit for bit where
    `bfloat16` is set. Torch's always multiplies in bfloat16, which a processor without such instructions does twenty
    times slower than in float32.

    Args:
        parameters: matrices (rows, columns).
        lr: the learning rate, on the scale of AdamW's.
        weight_decay: decoupled from the gradient.
        momentum: the decay of the running mean of gradients (Nesterov's form).
        bfloat16: whether the matrix products of the orthogonalization are in bfloat16; float32 otherwise.

    Raises:
        ValueError: where a parameter is not a matrix.

    >>> weight = nn.Parameter(torch.zeros(2, 2))
    >>> weight.grad = torch.tensor([[3.0, 0.0], [0.0, 0.1]])
    >>> Muon([weight], lr=1.0).step()
    >>> bool((weight.diagonal() < -0.15).all())  # both directions move by about as much
    True
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        bfloat16: bool = False,
    ) -> None:
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.dim() != 2:
                raise ValueError(f"Muon is for matrices; a parameter has the shape {tuple(parameter.shape)}")
        self.dtype = torch.bfloat16 if bfloat16 else torch.float32
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__([{"params": parameters}], settings)

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient, lr = parameter.grad, group["lr"]
                state = self.state.setdefault(parameter, {})
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(gradient)
                mean = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
                update = orthogonalized(gradient.lerp(mean, group["momentum"]), self.dtype)
                parameter.mul_(1 - lr * group["weight_decay"])
                parameter.add_(update, alpha=-lr * 0.2 * max(parameter.shape) ** 0.5)


def orthogonalized(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """U V^T of a matrix U S V^T, roughly: singular values become 0.7 to 1.2.

    In bfloat16 by five steps of the Newton-Schulz iteration. Otherwise by what they do to the singular values, whose
    squares are the eigenvalues of the Gram matrix: an eigendecomposition takes half the time of fifteen products.

    Args:
        matrix: (rows, columns).
        dtype: of the matrix products and of the result.

    >>> singular = torch.linalg.svdvals(orthogonalized(torch.diag(torch.tensor([5.0, 1.0, 0.2]))))
    >>> bool(((singular > 0.6) & (singular < 1.3)).all())
    True
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(dtype)
    x = x / x.norm().clamp(min=1e-7)
    x = _newton_schulz(x) if dtype == torch.bfloat16 else _by_eigenvalues(x)
    return x.T if tall else x


def _newton_schulz(x: Tensor) -> Tensor:
    """x becomes (A + B x x^T + C (x x^T)^2) x, five times."""
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    return x


def _by_eigenvalues(x: Tensor) -> Tensor:
    """The same, by the product of the five polynomials at each eigenvalue of x x^T."""
    squares, vectors = torch.linalg.eigh(x @ x.T)
    factors = torch.ones_like(squares)
    for _ in range(ITERATIONS):
        polynomial = A + squares * (B + C * squares)
        factors, squares = factors * polynomial, squares * polynomial.square()
    return (vectors * factors) @ vectors.T @ x
