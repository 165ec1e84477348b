"""What changes the scores of the next token: a bias, a constraint, bans."""

from collections.abc import Callable, Sequence
from math import inf

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unspool.errors import ConfigError

Rule = Callable[[Tensor, Tensor], Tensor]
"""A constraint, as `ConstraintRule`: (B, T) ids and (B, V) scores give (B, V + 1) scores, the last ones of the end."""


class Bias:
    """Adds to the scores of sequences of ids: (B, n) ids that came before and (B, V) scores give scores.

    Of a sequence of several ids it is the last one whose score changes, behind the others.

    Args:
        sequences: each with what is added.
        size: how many ids there are, V.
        device: of the scores.

    >>> Bias([([0], 1.5), ([1, 2], -1.0)], 3)(torch.tensor([[1], [0]]), torch.zeros(2, 3)).tolist()
    [[1.5, 0.0, -1.0], [1.5, 0.0, 0.0]]
    """

    def __init__(
        self, sequences: Sequence[tuple[Sequence[int], float]], size: int, device: torch.device | str = "cpu"
    ) -> None:
        single = torch.zeros(size)
        for one, value in sequences:
            if len(one) == 1:
                single[one[0]] += value
        self.single = single.to(device) if bool(single.any()) else None
        self.phrases = [(torch.tensor(list(one), device=device), value) for one, value in sequences if len(one) > 1]
        self.reach = max((len(one) - 1 for one, _ in self.phrases), default=0)  # how many ids before it matter

    def __call__(self, ids: Int[Tensor, "B N"], scores: Float[Tensor, "B V"]) -> Float[Tensor, "B V"]:
        """The scores of what may come next."""
        if self.single is not None:
            scores = scores + self.single.to(scores.dtype)
        for phrase, value in self.phrases:
            begin = phrase[:-1]
            if ids.shape[1] >= len(begin):
                complete = (ids[:, -len(begin) :] == begin).all(dim=-1, keepdim=True)  # (B, 1)
                last = torch.arange(scores.shape[-1], device=scores.device) == phrase[-1]
                scores = torch.where(complete & last, scores + value, scores)
        return scores


class Ban(Bias):
    """Rules out sequences of ids: (B, n) ids that came before and (B, V) scores give scores with minus infinity.

    Of a sequence of several ids the last one is ruled out behind the others.

    Args:
        sequences: of ids.
        size: how many ids there are, V.
        device: of the scores.

    Raises:
        ConfigError: every token is banned.

    >>> Ban([[0], [1, 2]], 3)(torch.tensor([[1], [0]]), torch.zeros(2, 3)).tolist()
    [[-inf, 0.0, -inf], [-inf, 0.0, 0.0]]
    """

    def __init__(self, sequences: Sequence[Sequence[int]], size: int, device: torch.device | str = "cpu") -> None:
        super().__init__([(one, -inf) for one in sequences], size, device)
        if self.single is not None and bool((self.single == -inf).all()):
            raise ConfigError("every token is banned", hint="ban fewer")


class DrawRules:
    """A bias, a constraint and bans, applied in this order.

    Args:
        bias: is added first, so that it moves the end of a constraint too.
        ban: gives way where it would leave a constraint nothing.
        rule: the constraint; None: none.
    """

    def __init__(self, bias: Bias, ban: Ban, rule: Rule | None = None) -> None:
        self.bias, self.ban, self.rule = bias, ban, rule
        self.reach = max(bias.reach, ban.reach)

    def __call__(
        self, recent: Int[Tensor, "B N"], written: Int[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B W"]:
        """The scores of what may come next; with a constraint those of the end are behind them.

        Args:
            recent: the ids before, `reach` of them at least where there are so many.
            written: the ids that were generated.
            scores: of the next one.
        """
        scores = self.bias(recent, scores)
        if self.rule is None:
            return self.ban(recent, scores)
        scores = self.rule(written, scores)
        tokens, end = scores[:, :-1], scores[:, -1:]
        kept = self.ban(recent, tokens)
        some = (torch.cat([kept, end], dim=-1) > -inf).any(dim=-1, keepdim=True)
        return torch.cat([torch.where(some, kept, tokens), end], dim=-1)
