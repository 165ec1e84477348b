"""Moves padding out of the way, for cores that look at neighbours."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def order(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Where each row's present tokens are, in their order, and then the others.

    >>> order(torch.tensor([[False, True, False, True]])).tolist()
    [[1, 3, 0, 2]]
    """
    return (~mask).to(torch.uint8).argsort(dim=1, stable=True)


def pack(x: Float[Tensor, "B T D"], places: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """The tokens in that order."""
    return x.gather(1, places.unsqueeze(-1).expand_as(x))


def unpack(packed: Float[Tensor, "B T D"], places: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Every token back where `pack` took it from."""
    return torch.zeros_like(packed).scatter(1, places.unsqueeze(-1).expand_as(packed), packed)


def tail(x: Float[Tensor, "B S D"], number: int, lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B N D"]:
    """What a row remembers of its packed tokens: the last `number` before `number + lengths`.

    `x` begins with what was remembered before, `number` tokens; `lengths` says how many of the others are present.

    >>> x = torch.arange(5.0).view(1, 5, 1)
    >>> tail(x, 2, torch.tensor([1])).flatten().tolist()
    [1.0, 2.0]
    """
    if lengths is None:
        return x[:, x.shape[1] - number :]
    places = lengths.unsqueeze(1) + torch.arange(number, device=x.device)
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[2]))
