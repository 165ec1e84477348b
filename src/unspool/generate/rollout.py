"""Numbers that are fed back: each prediction is the next input. Knows nothing of where they come from."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.models.sequence import SequenceModel
from unspool.nn.part import State, resting

Feed = Callable[[int, Tensor], Tensor]
"""The number of a step and what was predicted (B, size) give the next input (B, F)."""


class Roller:
    """A model of numbers that goes on by itself: shown inputs, it says what follows, each after what it said itself.

    >>> from unspool import Vectors, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=4)
    >>> model = SequenceModel(embedding(Vectors(2), 4), core, head(Vectors(2), 4))
    >>> Roller(model)(torch.zeros(3, 5, 2), length=7).shape
    torch.Size([3, 7, 2])
    """

    def __init__(self, model: SequenceModel) -> None:
        self.model = model

    @property
    def spreads(self) -> bool:
        """Whether the model says how sure it is, so that drawing makes sense."""
        return self.model.head.spreads

    @torch.no_grad()
    def __call__(
        self,
        inputs: Float[Tensor, "B T F"],
        length: int,
        feed: Feed | None = None,
        *,
        seed: int | None = None,
        window: int = 0,
    ) -> Float[Tensor, "B length size"]:
        """The next `length` predictions: the mean of each, or with a `seed` one that is drawn.

        The state is carried on from step to step. With a `window` the model sees the last so many inputs alone, read
        anew each time, and so it does where its core could not read all of them. `feed` makes the next input of a
        prediction, which is taken as it is without one.
        """
        device = self.model.device
        random = None if seed is None else torch.Generator(device).manual_seed(seed)
        longest = self.model.core.longest
        if longest is not None and inputs.shape[1] + length > longest:
            window = min(window or longest, longest)
        recent = inputs.to(device)[:, -window:]
        said: list[Tensor] = []
        with resting(self.model):
            state = self.model.start(recent)
            for step in range(length):
                value, state = self._next(recent, state, random)
                said.append(value)
                following = (feed(step, value.cpu()) if feed else value).to(device).unsqueeze(1)
                recent = torch.cat([recent, following], dim=1)[:, -window:] if window else following
                state = self.model.start(recent) if window else state
        return torch.stack(said, dim=1).cpu()

    def _next(self, inputs: Tensor, state: State, random: torch.Generator | None) -> tuple[Tensor, State]:
        y, state = self.model.think(inputs, state)
        last = self.model.head.density(y[:, -1])
        return (last.mean() if random is None else last.draw(random)), state
