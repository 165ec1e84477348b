"""Embeddings: what turns ids or numbers into the vectors that a core reads."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from unspool.batch import Domain, Tokens


class OneHot(nn.Module):
    """A token as a vector of zeros and a one."""

    table: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("table", torch.eye(size), persistent=False)

    def forward(self, ids: Tensor) -> Float[Tensor, "*B V"]:
        """The rows of the unit matrix."""
        return F.embedding(ids, self.table)


def embedding(kind: Domain, width: int, learned: bool = True) -> nn.Module:
    """What turns a thing into a vector of that width: learned, or one-hot tokens, and numbers as they are.

    >>> embedding(Tokens(5), 3).weight.shape
    torch.Size([5, 3])
    """
    if not learned:
        return OneHot(kind.size) if isinstance(kind, Tokens) else nn.Identity()
    return nn.Embedding(kind.size, width) if isinstance(kind, Tokens) else nn.Linear(kind.size, width)
