"""Pooling over the outputs of another core."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.errors import ConfigError
from unspool.nn.core import Core, cores
from unspool.nn.heads import at_least_float32
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural

BOUND = 15.0  # no weight is above e^15 or below e^-15, so no sum of weights overflows, and none is zero


@cores.register("pooled")
class Pooled(Core):
    """Another core, whose outputs at all positions so far are pooled: for one answer to a whole sequence.

    y_t = (w_1 h_1 + ... + w_t h_t) / (w_1 + ... + w_t)

    Only positions that are present count. The sums are the state, so it streams where the inner core does. It suits a
    core that reads both ways, whose last output has seen the whole sequence in one direction alone.

    Args:
        width: the size of the inner core's output, and of its own.
        input_width: the size of the input at each position; 0: as `width`.
        core: the inner core: a kind, or a table of a kind and its options; h is its output.
        by: "mean" (all weights are one), "attention" (w = exp(15 tanh(v . h / 15)) with a learned vector v), "max" (the
            largest value of each component), "last" or "first": the first position alone, [CLS] in BERT, of a core that
            is not causal.
        project: whether y goes through a linear layer and tanh, as in BERT's pooler (Devlin et al. 2018,
            arXiv:1810.04805).

    Raises:
        ConfigError: the first position alone of a causal core, which has read one token there.

    >>> core = Pooled(width=8, core={"kind": "recurrent", "cell": "gru"}, by="max")
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        core: str | Mapping[str, Any] = "recurrent",
        by: Literal["mean", "max", "attention", "last", "first"] = "mean",
        project: bool = False,
    ) -> None:
        super().__init__(width, input_width)
        self.core = cores.build("core.core", core, width=width, input_width=input_width)
        if by == "first" and self.core.causal:
            raise ConfigError(
                "core.by=first answers from the first position, and a causal core has read one token there",
                hint="set core.by=last, or core.by=mean as the recipe fine-tune-classify has it",
            )
        self.causal, self.needs_source, self.max_length = self.core.causal, self.core.needs_source, self.core.max_length
        self.by = by
        self.score = nn.Linear(width, 1, bias=False) if by == "attention" else None
        self.project = nn.Linear(width, width) if project else None

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """The initial state of the inner core, and empty sums."""
        nothing = like.new_zeros(len(like), self.width, dtype=torch.promote_types(like.dtype, torch.float32))
        memory: CoreState = (nothing,)
        if self.by == "max":
            memory = (torch.full_like(nothing, _lowest(nothing)),)
        elif self.by != "last":
            memory = (nothing, nothing[:, :1])
        return self.core.start(like, source, source_mask), memory

    def remaining(self, state: CoreState) -> int | None:
        """The remaining positions of the inner core."""
        return self.core.remaining(state[0])

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """The pooled outputs up to each position, (B, T, W)."""
        outputs, inner = self.core(x, state[0], mask)
        there = outputs.new_ones(outputs.shape[:2], dtype=torch.bool) if mask is None else mask
        pool = {"max": self._largest, "last": self._last}.get(self.by, self._weighted)
        y, memory = pool(at_least_float32(outputs), state[1], there.unsqueeze(-1))
        y = y.to(outputs.dtype)
        y = self.tap("pooled", y if self.project is None else self.project(y).tanh())
        return (y if mask is None else y * mask.unsqueeze(-1)), (inner, memory)

    def _weighted(self, outputs: Tensor, memory: CoreState, there: Tensor) -> tuple[Tensor, CoreState]:
        weights = torch.ones_like(outputs[..., :1])  # (B, T, 1)
        if self.score is not None:
            weights = (BOUND * torch.tanh(at_least_float32(self.score(outputs)) / BOUND)).exp()
        if self.by == "first":  # of the positions that are present
            weights = weights * (there.cumsum(dim=1) == 1)
        weights = self.tap("weights", weights * there)
        sums = _after(memory[0], weights * outputs).cumsum(dim=1)[:, 1:]
        totals = _after(memory[1], weights).cumsum(dim=1)[:, 1:]
        return sums / totals.clamp(min=1e-9), (sums[:, -1], totals[:, -1])

    def _largest(self, outputs: Tensor, memory: CoreState, there: Tensor) -> tuple[Tensor, CoreState]:
        lowest = _lowest(outputs)
        largest = _after(memory[0], outputs.masked_fill(~there, lowest)).cummax(dim=1).values[:, 1:]
        return largest.masked_fill(largest == lowest, 0.0), (largest[:, -1],)

    def _last(self, outputs: Tensor, memory: CoreState, there: Tensor) -> tuple[Tensor, CoreState]:
        number = torch.arange(1, outputs.shape[1] + 1, device=outputs.device).view(1, -1, 1)
        latest = (number * there).cummax(dim=1).values.expand_as(outputs)  # 0 is what was remembered
        last = _after(memory[0], outputs).gather(1, latest)
        return last, (last[:, -1],)


def _after(memory: Tensor, now: Tensor) -> Tensor:
    return torch.cat([memory.unsqueeze(1), now], dim=1)


def _lowest(like: Tensor) -> float:
    return torch.finfo(like.dtype).min
