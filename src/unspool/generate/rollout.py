"""Roll-outs of models of numbers: each prediction is the next input."""

from collections.abc import Sequence
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.generate.engine import Engine, Feedback
from unspool.models.sequence import SequenceModel
from unspool.nn.density import Density
from unspool.seeds import mix


class Roller:
    """Free-running prediction with a model of numbers: after some inputs, each prediction is the next input.

    >>> from unspool import Vectors, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=4)
    >>> model = SequenceModel(embedding(Vectors(2), 4), core, head(Vectors(2), 4))
    >>> Roller(model)(torch.zeros(3, 5, 2), length=7).shape
    torch.Size([3, 7, 2])
    """

    def __init__(self, model: SequenceModel) -> None:
        self.model = model

    @property
    def predicts_distribution(self) -> bool:
        """Whether the model predicts a distribution, so that drawing makes sense."""
        return self.model.head.predicts_distribution

    def __call__(
        self,
        inputs: Float[Tensor, "B T F"],
        length: int,
        feed: Feedback | None = None,
        *,
        seed: int | Sequence[int] | None = None,
        window: int = 0,
    ) -> Float[Tensor, "B length size"]:
        """The next predictions.

        Args:
            inputs: what is read first.
            length: how many steps to predict.
            feed: the number of a step and its prediction (B, size), on the CPU, give the next input (B, F); None: the
                prediction is the next input.
            seed: draw each prediction; the same seed draws the same. Several seeds: one for each of equal runs of
                rows, so that what is drawn does not depend on the rows beside it. None: the mean of each.
            window: for every step the last so many inputs are read anew; 0: the state is carried on.

        Returns:
            The predictions, on the CPU.
        """
        engine = Engine(self.model)
        seeds = [seed] if isinstance(seed, int) else seed

        def select(hidden: Tensor, position: int) -> Tensor:
            density = self.model.head.density(hidden)
            return density.mean() if seeds is None else draw_numbers(density, [mix(seed, position) for seed in seeds])

        def feedback(step: int, value: Tensor) -> Tensor:
            return value if feed is None else feed(step, value.cpu())

        state = engine.read(inputs[:, -window:])
        return torch.stack(
            [step.ids for step in islice(engine.steps(state, select, feedback, window), length)], 1
        ).cpu()


def draw_numbers(density: Density, seeds: Sequence[int]) -> Float[Tensor, "B size"]:
    """One vector of each distribution; that of a row follows from its seed and its number among the rows of that seed.

    Args:
        density: of B rows.
        seeds: of equal runs of rows; one for all of them, for instance.

    >>> one = Density(torch.zeros(3, 1), torch.zeros(3, 1, 2), torch.ones(3, 1, 2))
    >>> two = Density(torch.zeros(2, 1), torch.zeros(2, 1, 2), torch.ones(2, 1, 2))
    >>> torch.equal(draw_numbers(one, [7])[:2], draw_numbers(two, [7]))
    True
    """
    weights, means, scales = density.log_weights, density.means, density.scales
    shape = len(means) // len(seeds), 1 + means.shape[-1]
    randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
    uniform = torch.cat([torch.rand(shape, generator=random, dtype=torch.float64) for random in randoms])
    uniform = uniform.clamp(2.0**-54, 1 - 2.0**-53)
    total = weights.exp().cumsum(dim=-1)  # (B, K)
    target = uniform[:, :1].to(total) * total[:, -1:]
    chosen = (total <= target).sum(dim=-1).clamp(max=total.shape[-1] - 1).view(-1, 1, 1).expand(-1, 1, means.shape[-1])
    mean, scale = (value.gather(-2, chosen).squeeze(-2) for value in (means, scales))
    return mean + scale * torch.special.ndtri(uniform[:, 1:]).to(mean)
