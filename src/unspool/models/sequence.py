"""The sequence model: embedding, core, head, and an optional encoder."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unspool.batch import Batch
from unspool.errors import ConfigError
from unspool.nn.core import Core
from unspool.nn.cuda_graphs import recording
from unspool.nn.heads import Head
from unspool.nn.kernels.memory import keep_freed_memory
from unspool.nn.part import CoreState, Part
from unspool.schema import NotNegative, Share


class Encoder(Part):
    """Encodes a source for a core that attends to it or is conditioned on it: an embedding and a core of its own.

    Args:
        embedding: ids or vectors of the source to (B, S, core.input_width).
        core: the network over the source.
        dropout: on the input and the output of that core.
    """

    def __init__(self, embedding: nn.Module, core: Core, dropout: Share = 0.0) -> None:
        super().__init__()
        self.embedding, self.core, self.dropout = embedding, core, nn.Dropout(dropout)

    def forward(self, source: Tensor, mask: Bool[Tensor, "B S"] | None = None) -> Float[Tensor, "B S W"]:
        """The encoded source, (B, S, W).

        Args:
            source: ids (B, S) or vectors (B, S, D).
            mask: which source positions are present, (B, S); None: all.
        """
        x = self.dropout(self.embedding(source))
        return self.dropout(self.core(x, self.core.start(x), mask)[0])


class SequenceModel(Part):
    """A core between an embedding and a head, and an encoder where there is a source.

    Args:
        embedding: ids or vectors to (B, T, core.input_width).
        core: the network over time.
        head: (B, T, core.width) to logits or predicted numbers.
        encoder: reads the source; None where there is none.
        tied: whether the head's weights are the embedding's (Press & Wolf 2017, arXiv:1608.05859; Inan et al. 2017,
            arXiv:1611.01462).
        init_range: the embeddings of tokens and the head begin uniform within plus and minus so much, as Zaremba et
            al. 2014 do (arXiv:1409.2329); 0 leaves them as their classes initialize them.
        dropout: on the input and the output of the core, and of an encoder that a recipe names.
        token_dropout: in training the vectors of so large a share of all input tokens are zero, and the others larger,
            as dropout has it (Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods"). It suits a
            model that should not lean on single words.
        smoothing: label smoothing: so much of each target token is spread over all tokens in training (Szegedy et al.
            2015, arXiv:1512.00567). The training loss is then that of smoothed targets.

    >>> import torch
    >>> from unspool import Tokens, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=8)
    >>> model = SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8))
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> logits, state = model(ids, model.start(ids))
    >>> logits.shape
    torch.Size([1, 3, 5])
    """

    def __init__(
        self,
        embedding: nn.Module,
        core: Core,
        head: Head,
        encoder: Encoder | None = None,
        *,
        tied: bool = False,
        init_range: NotNegative = 0.0,
        dropout: Share = 0.0,
        token_dropout: Share = 0.0,
        smoothing: Share = 0.0,
    ) -> None:
        super().__init__()
        keep_freed_memory()
        self.embedding, self.core, self.head, self.encoder = embedding, core, head, encoder
        self.dropout = nn.Dropout(dropout)
        self.token_dropout = token_dropout
        self.head.smoothing = smoothing
        if tied:
            if not isinstance(embedding, nn.Embedding) or embedding.weight.shape != head.weight.shape:
                raise ConfigError(
                    f"model.tied needs embedding and head of one shape, not {_shape(embedding)} and {_shape(head)}",
                    hint="leave core.input_width out, so that it is core.width, or set model.tied=false",
                )
            embedding.weight = head.weight
        if init_range:
            read = encoder.embedding if encoder is not None else None
            for weight in (embedding.weight, head.weight, *([read.weight] if isinstance(read, nn.Embedding) else [])):
                nn.init.uniform_(weight, -init_range, init_range)  # type: ignore[arg-type]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def start(self, inputs: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """The state before the first input, for as many rows as `inputs` has; the source is encoded here, once.

        Args:
            inputs: ids (B, T) or vectors (B, T, D).
            source: ids (B, S) or vectors (B, S, D), for a core that needs a source.
            source_mask: which source positions are present, (B, S); None: all.
        """
        if self.encoder is not None and source is not None:
            source = self.encoder(source, source_mask)
        with torch.no_grad():
            like = self.embedding(inputs[:, :1])
        return self.core.start(like, source, source_mask)

    def hidden_states(
        self, inputs: Tensor, state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """The outputs of the core, before the head, and the next state.

        Args:
            inputs: ids (B, T) or vectors (B, T, D).
            state: as `start` or the last call returned it.
            mask: which positions are present, (B, T); None: all.
        """
        x = self.tap("inputs", self.embedding(inputs))
        if self.token_dropout and self.training:
            x = x * F.dropout(x.new_ones(*x.shape[:2], 1), self.token_dropout)
        x = self.dropout(x)
        y, state = self.core(x, state, mask)
        return self.dropout(y), state

    def forward(
        self, inputs: Tensor, state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T V"], CoreState]:
        """Predictions at every position (logits, or means of numbers), and the next state.

        Args:
            inputs: ids (B, T) or vectors (B, T, D).
            state: as `start` or the last call returned it.
            mask: which positions are present, (B, T); None: all.
        """
        y, state = self.hidden_states(inputs, state, mask)
        return self.head(y), state

    def loss(self, batch: Batch, state: CoreState | None = None) -> tuple[Float[Tensor, ""], CoreState]:
        """The mean loss over the positions of the loss mask, in nats, and the next state."""
        y, state = self.hidden_states_of(batch, state)
        return self.head.loss(y, batch.targets, batch.loss_mask, batch.mask), state

    def hidden_states_of(
        self, batch: Batch, state: CoreState | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """The outputs of the core for a batch, before the head, and the next state.

        Args:
            batch: inputs (B, T), with their mask and source.
            state: carried from the batch before; None, or one with too little room left, begins anew.

        Returns:
            Hidden states (B, T, W), and the next state.
        """
        if not recording():  # then it was looked up before
            state = self.continuing(state, batch.inputs.shape[1])
        if state is None:
            state = self.start(batch.inputs, batch.source, batch.source_mask)
        return self.hidden_states(batch.inputs, state, batch.mask)

    def continuing(self, state: CoreState | None, time: int) -> CoreState | None:
        """The state, or None where it has no room left for so many more positions, so that they begin anew."""
        remaining = None if state is None else self.core.remaining(state)
        return None if remaining is not None and remaining < time else state


def _shape(module: nn.Module) -> str:
    return " x ".join(str(size) for size in module.weight.shape)  # type: ignore[union-attr]
