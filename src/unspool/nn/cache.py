"""The key-value cache of attention: visibility masks, and which slot holds which token.

Axes besides those of `unspool.batch`:  K heads   C cached and new tokens
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unspool.nn.kernels.pack import order

ROUND = 64
"""Attention reads only the slots in use, rounded up to a multiple of this."""


@dataclass(frozen=True)
class CacheStep:
    """How T new tokens are added to a cache: positions, mask and slots, computed once and shared by all layers.

    The cache is keys and values, (B, K, slots, D) each, and a length (B,): how many tokens each row has read. Token p
    is in slot p modulo `capacity`, so a full cache overwrites its oldest token, and the length says what every slot
    holds. Padding takes no slot. A cache has no slots at the start, as many as tokens after the first call (training
    makes only one), and `capacity` slots from then on. Without gradients a single token is written in place: take a
    copy with `fork` of a state that is needed again.
    """

    length: Int[Tensor, " B"]  # how many tokens each row has read after this step
    positions: Int[Tensor, "#B T"]  # how many tokens of the row came before each
    keys: Int[Tensor, "#B C"]  # the positions of the keys
    visible: Bool[Tensor, "#B 1 T C"] | None  # the attention mask; None: everything, or all earlier tokens if causal
    causal: bool
    capacity: int
    is_empty: bool  # the cache held nothing before this step
    slot: Int[Tensor, "B 1"] | None = None  # the slot that a single token is written to
    moves: Bool[Tensor, "B 1"] | None = None  # whether that token is present (not padding)
    retained: Int[Tensor, "B _"] | None = None  # for each slot the index into old slots and new tokens; -1: none
    may_see_nothing: bool = True  # whether there may be a token that sees none; without padding each sees itself

    def extend(
        self, old: Float[Tensor, "B K _ D"], new: Float[Tensor, "B K T D"]
    ) -> tuple[Float[Tensor, "B K C D"], Float[Tensor, "B K _ D"]]:
        """The keys (or values) to attend to, and those to keep in the cache."""
        if not self.is_empty and old.shape[2] < self.capacity:
            old = F.pad(old, (0, 0, 0, self.capacity - old.shape[2]))  # nothing has wrapped around yet
        if self.slot is not None:
            retained = self._write(old, new)
            return retained[:, :, : self.keys.shape[1]], retained
        seen = new if self.is_empty else torch.cat([old, new], dim=2)
        if self.retained is None:
            return seen, seen
        index = self.retained[:, None, :, None]  # (B, 1, C, 1)
        retained = seen.gather(2, index.clamp(min=0).expand(-1, seen.shape[1], -1, seen.shape[3]))
        return seen, retained.masked_fill(index < 0, 0)

    def _write(self, old: Tensor, new: Tensor) -> Tensor:
        """Write one token into its slot, over the token that has left the window."""
        index = self.slot[:, None, :, None].expand_as(new)  # type: ignore[index]
        if self.moves is not None:
            new = torch.where(self.moves[:, None, :, None], new, old.gather(2, index))
        return old.scatter(2, index, new) if torch.is_grad_enabled() else old.scatter_(2, index, new)

    def attention_mask(self) -> Bool[Tensor, "#B 1 T C"] | None:
        """The boolean attention mask written out; None where every token attends to every other."""
        if self.visible is not None or not self.causal:
            return self.visible
        return (self.keys.unsqueeze(1) <= self.positions.unsqueeze(2)).unsqueeze(1)


def read(
    length: Int[Tensor, " B"],
    slots: int,
    time: int,
    mask: Bool[Tensor, "B T"] | None = None,
    *,
    capacity: int,
    window: int | None = None,
    causal: bool = True,
) -> CacheStep:
    """Plan how `time` new tokens are added to a cache.

    Args:
        length: how many tokens each row has read, (B,).
        slots: how many slots the cache has now.
        time: T, the number of new tokens.
        mask: which of them are present, (B, T); None: all.
        capacity: how many slots a full cache has.
        window: how many tokens each token attends to, itself included; None: as many as the cache holds.
        causal: whether a token attends only to itself and earlier tokens; false attends to both sides and caches
            nothing.

    >>> read(torch.tensor([0]), 0, 3, capacity=8).positions.tolist()
    [[0, 1, 2]]
    """
    window, is_empty = window or capacity, slots == 0
    if mask is None:
        steps = torch.arange(time, device=length.device).unsqueeze(0)
        positions, after = steps if is_empty else length.unsqueeze(1) + steps, length + time
        if is_empty and time <= min(window, capacity if causal else window):
            return CacheStep(after, positions, positions, None, causal, capacity, is_empty)
    else:
        positions, after = length.unsqueeze(1) + mask.cumsum(dim=1) - 1, length + mask.sum(dim=1)
    if time == 1 and not is_empty:
        keys = _held(after, capacity)[:, : _in_use(after, capacity)]
        visible = _visible(positions, keys, keys >= 0, mask, window, causal)
        slot = positions % capacity
        return CacheStep(
            after, positions, keys, visible, causal, capacity, is_empty, slot, mask, may_see_nothing=mask is not None
        )
    there = torch.ones_like(positions, dtype=torch.bool) if mask is None else mask
    keys = positions
    if not is_empty:
        held = _held(length, capacity)
        keys, there = torch.cat([held, positions], dim=1), torch.cat([held >= 0, there.expand(len(held), -1)], dim=1)
    retained = _kept(length, after, slots, time, mask, capacity) if causal else None
    visible = _visible(positions, keys, there, mask, window, causal)
    return CacheStep(
        after, positions, keys, visible, causal, capacity, is_empty, retained=retained, may_see_nothing=mask is not None
    )


def whole(mask: Bool[Tensor, "B S"], time: int) -> CacheStep:
    """Plan the cross-attention of `time` tokens to a source: each attends to all present positions, nothing is cached.

    Args:
        mask: which source positions are present, (B, S).
        time: T, the number of tokens.

    >>> whole(torch.tensor([[True, False]]), 3).attention_mask().shape
    torch.Size([1, 1, 3, 2])
    """
    rows, places = mask.shape
    steps, keys = (torch.arange(size, device=mask.device).unsqueeze(0) for size in (time, places))
    visible = mask[:, None, None, :].expand(-1, 1, time, -1)
    return CacheStep(steps.new_zeros(rows), steps, keys, visible, causal=False, capacity=places, is_empty=True)


def _held(length: Tensor, slots: int) -> Tensor:
    """The position of the token in every slot, (B, slots); below zero where there is none."""
    last = length.unsqueeze(1) - 1
    return last - (last - torch.arange(slots, device=length.device)).remainder(slots)


def _in_use(length: Tensor, capacity: int) -> int:
    """How many slots to attend to: on a CPU those that hold tokens, elsewhere all, as reading a length would wait."""
    if length.device.type != "cpu" or torch.compiler.is_compiling():
        return capacity
    return min(capacity, ROUND * (1 + int(length.max()) // ROUND))


def _visible(positions: Tensor, keys: Tensor, there: Tensor, mask: Tensor | None, window: int, causal: bool) -> Tensor:
    """The attention mask, (B, 1, T, C): keys that are present, within the window and, if causal, not later."""
    distance = positions.unsqueeze(2) - keys.unsqueeze(1)  # (B, T, C)
    near = (distance < window) & ((distance >= 0) if causal else (distance > -window))
    near = near & there.unsqueeze(1)
    return (near if mask is None else near & mask.unsqueeze(2)).unsqueeze(1)


def _kept(length: Tensor, after: Tensor, slots: int, time: int, mask: Tensor | None, capacity: int) -> Tensor:
    """For every slot the index, among old slots and new tokens, of the token it keeps; -1 for none."""
    old = capacity if slots else 0
    held = _held(after, capacity if slots else min(time, capacity))
    number = (held - length.unsqueeze(1)).clamp(0, time - 1)  # which of the new tokens
    if mask is not None:  # the n-th present one
        number = order(mask).gather(1, number)
    same = torch.arange(held.shape[1], device=held.device).expand_as(held)
    return torch.where(held < 0, -1, torch.where(held < length.unsqueeze(1), same, old + number))
