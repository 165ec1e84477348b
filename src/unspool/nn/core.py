"""The interface of cores: the network over time inside a sequence model."""

from jaxtyping import Bool, Float
from torch import Tensor

from unspool.errors import ConfigError
from unspool.nn.part import CoreState, Part
from unspool.registry import Registry


class Core(Part):
    """A network over time: (B, T, input_width) and a state give (B, T, width) and the next state.

    Training passes the whole sequence, truncated back-propagation passes chunks of it, generation one position at a
    time: the same method, with the same result. At padded positions the state does not change, and the output is zero
    or undefined. A source (an encoded sentence, an image) is read once, by `start`, into the first state.

    Args:
        width: the size of the output at each position.
        input_width: the size of the input at each position; 0: as `width`.

    >>> import torch
    >>> core = cores.build("core", "recurrent", width=4)
    >>> x = torch.zeros(2, 5, 4)
    >>> y, state = core(x, core.start(x))
    >>> y.shape
    torch.Size([2, 5, 4])
    """

    causal: bool = True
    """Whether the output at a position depends only on that position and earlier ones, so that it can be streamed."""
    needs_source: bool = False
    """Whether `start` needs a source."""
    max_length: int | None = None
    """How many positions it can read from the start on; None: any number."""

    def __init__(self, width: int, input_width: int = 0) -> None:
        super().__init__()
        self.width, self.input_width = width, input_width or width

    @property
    def innermost(self) -> "Core":
        """The core itself, or the innermost one that it wraps."""
        inner = getattr(self, "core", None)
        return inner.innermost if isinstance(inner, Core) else self

    def start(
        self,
        like: Float[Tensor, "B T D"],
        source: Float[Tensor, "B S _"] | None = None,
        source_mask: Bool[Tensor, "B S"] | None = None,
    ) -> CoreState:
        """The state before the first input, for as many rows as `like` has.

        Args:
            like: inputs (B, T, D), of which only the number of rows, the device and the precision matter.
            source: encoder outputs, (B, S, W).
            source_mask: which source positions are present, (B, S); None: all.
        """
        raise NotImplementedError

    def remaining(self, state: CoreState) -> int | None:
        """How many more positions can be read after this state; None: any number."""
        return None

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """Run the core over some positions.

        Args:
            x: inputs, (B, T, input_width).
            state: as `start` or the last call returned it.
            mask: which positions are present, (B, T); None: all.

        Returns:
            Outputs (B, T, width), and the next state.
        """
        raise NotImplementedError


cores: Registry[Core] = Registry("core", "unspool.models")


def needed(core: str, source: Tensor | None) -> Tensor:
    """The source of a core that needs one.

    Raises:
        ConfigError: where there is none.
    """
    if source is None:
        raise ConfigError(
            f"the core {core} needs a source, and there is none",
            hint='train it on a task that has a source, or set core.kind="recurrent"',
        )
    return source
