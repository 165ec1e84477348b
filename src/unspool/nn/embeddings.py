"""Input embeddings: ids or numbers to the vectors that a core reads."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unspool.batch import Domain, Tokens


class OneHot(nn.Module):
    """One-hot encoding of token ids; no weights.

    Args:
        size: V, the number of ids.

    >>> import torch
    >>> OneHot(3)(torch.tensor([2])).tolist()
    [[0.0, 0.0, 1.0]]
    """

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.eye(size), persistent=False)

    def forward(self, ids: Tensor) -> Float[Tensor, "*B V"]:
        """The rows of the identity matrix, (..., V)."""
        return F.embedding(ids, self.table)


def embedding(kind: Domain, width: int, learned: bool = True) -> nn.Module:
    """Build the input layer for a domain.

    Args:
        kind: what is read: `Tokens(V)` or `Vectors(size)`.
        width: the size of the vectors that come out, where they are learned.
        learned: an embedding table for tokens, a linear layer for numbers; false: one-hot tokens, numbers unchanged.

    >>> embedding(Tokens(5), 3).weight.shape
    torch.Size([5, 3])
    """
    if not learned:
        return OneHot(kind.size) if isinstance(kind, Tokens) else nn.Identity()
    return nn.Embedding(kind.size, width) if isinstance(kind, Tokens) else nn.Linear(kind.size, width)
