"""The contract of a model's middle."""

from jaxtyping import Bool, Float
from torch import Tensor

from unspool.errors import ConfigError
from unspool.nn.part import CoreState, Part
from unspool.registry import Registry


class Core(Part):
    """A network over time: (B, T, input_width) and a state give (B, T, width) and the next state.

    Training gives it the whole sequence, truncated back-propagation chunks of it, generation one position at a time:
    the same method, the same numbers. At masked positions the state does not change, and the output is zero or
    meaningless. A source (an encoded sentence, an image) is read once, into the first state.

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
    """Whether the output at a time depends on that time and the times before it alone, so that it can be streamed."""
    needs_source: bool = False
    """Whether there must be something to look at."""
    max_length: int | None = None
    """How many tokens it can read from its start on; None: as many as there are."""

    def __init__(self, width: int, input_width: int = 0) -> None:
        super().__init__()
        self.width, self.input_width = width, input_width or width

    @property
    def innermost(self) -> "Core":
        """The core itself, or the one that it is wrapped around."""
        inner = getattr(self, "core", None)
        return inner.innermost if isinstance(inner, Core) else self

    def start(
        self,
        like: Float[Tensor, "B T D"],
        source: Float[Tensor, "B S _"] | None = None,
        source_mask: Bool[Tensor, "B S"] | None = None,
    ) -> CoreState:
        """The state before the first input, for as many rows as `like` has."""
        raise NotImplementedError

    def remaining(self, state: CoreState) -> int | None:
        """How many more tokens fit behind this state; None: any number."""
        return None

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T W"], CoreState]:
        """What the core makes of the inputs, and what it remembers."""
        raise NotImplementedError


cores: Registry[Core] = Registry("core", "unspool.models")


def needed(core: str, source: Tensor | None) -> Tensor:
    """The source of a core that must have one. Errors: ConfigError where there is none."""
    if source is None:
        raise ConfigError(
            f"the core {core} looks at a source, and there is none",
            hint='train it on a task that has a source, or set core.kind="recurrent"',
        )
    return source
