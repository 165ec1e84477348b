"""Moves padding behind the present tokens, for cores that combine neighbours."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def order(mask: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """The indices of each row's present tokens, in order, then those of its padding.

    >>> order(torch.tensor([[False, True, False, True]])).tolist()
    [[1, 3, 0, 2]]
    """
    return (~mask).to(torch.uint8).argsort(dim=1, stable=True)


def pack(x: Float[Tensor, "B T D"], places: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Reorder the tokens by `order`, so that padding comes last."""
    return x.gather(1, places.unsqueeze(-1).expand_as(x))


def unpack(packed: Float[Tensor, "B T D"], places: Int[Tensor, "B T"]) -> Float[Tensor, "B T D"]:
    """Restore the order of the tokens: the inverse of `pack`."""
    return torch.zeros_like(packed).scatter(1, places.unsqueeze(-1).expand_as(packed), packed)


def tail(x: Float[Tensor, "B S D"], number: int, lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B N D"]:
    """The last `number` present tokens of each row, which a causal core carries to the next call.

    Args:
        x: the `number` tokens carried so far, then the packed new ones, (B, number + T, D).
        number: how many tokens are carried.
        lengths: how many of the new tokens are present, (B,); None: all.

    >>> x = torch.arange(5.0).view(1, 5, 1)
    >>> tail(x, 2, torch.tensor([1])).flatten().tolist()
    [1.0, 2.0]
    """
    if lengths is None:
        return x[:, x.shape[1] - number :]
    places = lengths.unsqueeze(1) + torch.arange(number, device=x.device)
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[2]))
