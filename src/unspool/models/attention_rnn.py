"""A recurrent network that attends to a source before every step."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.nn.attention import AttentionName, build_attention
from unspool.nn.cell import cells
from unspool.nn.core import Core, cores, needed
from unspool.nn.part import CoreState
from unspool.nn.unroll import freeze_padding
from unspool.schema import Count, Natural


@cores.register("attention-rnn")
class AttentionRNN(Core):
    """A cell that attends to a source from its state, before every step (Bahdanau et al. 2015, arXiv:1409.0473).

    context = attention(h, source)      h' = cell([x; context], h)      y = tanh(W [h'; context])

    The last line is Luong's (Luong et al. 2015, arXiv:1508.04025). There must be a source, (B, S, source_width); it is
    read once, into the state.

    Args:
        width: the size of the cell's state, and of the output.
        input_width: the size of the input at each position; 0: as `width`.
        source_width: the size of the source's vectors; 0: the encoder's.
        cell: a kind of cell, or a table of a kind and its options.
        attention: how a query is compared with keys: "additive", "dot" or "general".

    >>> core = AttentionRNN(width=8, source_width=6)
    >>> x = torch.zeros(2, 5, 8)  # (B, T, D)
    >>> y, state = core(x, core.start(x, source=torch.zeros(2, 4, 6)))
    >>> y.shape
    torch.Size([2, 5, 8])
    """

    needs_source = True

    def __init__(
        self,
        width: Count,
        input_width: Natural = 0,
        source_width: Natural = 0,
        cell: str | Mapping[str, Any] = "gru",
        attention: AttentionName = "additive",
    ) -> None:
        super().__init__(width, input_width)
        self.source_width = source_width or width
        self.attention = build_attention(attention, width, self.source_width)
        self.cell = cells.build("core.cell", cell, input_size=self.input_width + self.source_width, hidden_size=width)
        self.combine = nn.Linear(width + self.source_width, width)

    def start(
        self,
        like: Float[Tensor, "B T D"],
        source: Float[Tensor, "B S _"] | None = None,
        source_mask: Bool[Tensor, "B S"] | None = None,
    ) -> CoreState:
        """The initial state of the cell, and the source with its attention keys.

        Raises:
            ConfigError: without a source.
        """
        source = needed("attention-rnn", source)
        if source_mask is None:
            source_mask = source.new_ones(source.shape[:2], dtype=torch.bool)
        return self.cell.start(like), (source, self.attention.keys(source), source_mask)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Attention and one time step of the cell, in turn."""
        memory, source = state
        outputs, contexts = [], []
        for t, now in enumerate(x.unbind(dim=1)):  # (B, D) for each time
            context = self.attention(memory[0], *source)  # (B, D of the source)
            after = self.cell.tick(self.cell.read(torch.cat([now, context], dim=-1)), memory)
            memory = after if mask is None else freeze_padding(mask[:, t], after, memory)
            outputs.append(memory[0])
            contexts.append(context)
        y = torch.cat([torch.stack(outputs, dim=1), torch.stack(contexts, dim=1)], dim=-1)
        y = self.tap("hidden", torch.tanh(self.combine(y)))
        return (y if mask is None else y * mask.unsqueeze(-1)), (memory, source)
