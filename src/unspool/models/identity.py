"""A core that changes nothing: what lies around it works on the embeddings themselves."""

from jaxtyping import Bool, Float
from torch import Tensor

from unspool.errors import ConfigError
from unspool.nn.core import Core, cores
from unspool.nn.part import CoreState
from unspool.schema import Count, Natural


@cores.register("identity")
class Identity(Core):
    """The input itself. Inside `pooled` it makes a bag of embeddings (fastText: Joulin et al. 2016, arXiv:1607.01759).

    It has no weights and remembers nothing, and an output sees its own position alone.

    Args:
        width: the size of the vector at each position.
        input_width: the same; 0: as `width`.

    >>> import torch
    >>> core = Identity(width=8)
    >>> x = torch.ones(2, 5, 8)  # (B, T, D)
    >>> torch.equal(core(x, core.start(x))[0], x)
    True
    """

    def __init__(self, width: Count, input_width: Natural = 0) -> None:
        super().__init__(width, input_width)
        if self.input_width != width:
            raise ConfigError(
                f"the core identity gives out what it reads: core.input_width is {input_width}, core.width {width}",
                hint="leave core.input_width out",
            )

    def start(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> CoreState:
        """Nothing is remembered: an empty tensor, (B, 0)."""
        return (like.new_zeros(len(like), 0),)

    def forward(
        self, x: Float[Tensor, "B T D"], state: CoreState, mask: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T D"], CoreState]:
        """The input, and zeros at padded positions. Taps "output"."""
        return self.tap("output", x if mask is None else x * mask.unsqueeze(-1)), state
