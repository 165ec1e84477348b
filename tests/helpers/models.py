"""The small models, cases and runs that tests build."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from unspool.batch import Domain, Tokens
from unspool.checks.cases import cases
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.nn.embeddings import embedding
from unspool.nn.heads import head
from unspool.recipe import Recipe, load_recipe

LETTERS = Tokens(7)
CASES = cases()
STREAMING = [case for case in CASES if case.streams]


def small(
    core: str | Mapping[str, object] = "recurrent",
    inputs: Domain = LETTERS,
    targets: Domain | None = None,
    *,
    width: int = 8,
    components: int = 0,
    seed: int = 0,
    dropout: float = 0.0,
    **options: object,
) -> SequenceModel:
    """An untrained model with the same weights every time; its targets have the domain of its inputs by default.

    Args:
        core: its kind, or its kind and options; more options may follow by name.
        inputs: what it reads.
        targets: what it predicts; None: the same.
        width: of the core.
        components: of the density where it predicts numbers.
        seed: of the weights.
        dropout: before and behind the core.
        **options: of the core.
    """
    torch.manual_seed(seed)
    kind = {"kind": core} if isinstance(core, str) else core
    made = cores.build("core", {**kind, **options}, width=width)
    ends = embedding(inputs, made.input_width), made, head(targets or inputs, made.width, components)
    return SequenceModel(*ends, dropout=dropout).eval()


def gru(**options: object) -> SequenceModel:
    """A GRU of six units over the tokens 0 to 6."""
    return small(cell="gru", width=6, **options)


class Predicting:
    """A pipeline whose predictions are given, whatever it is asked."""

    def __init__(self, *predictions: object) -> None:
        self.predictions = predictions

    def predict(self, records: Iterable[object], batch_size: int) -> Iterator[object]:
        """What was given, in order."""
        return iter(self.predictions)


def weights_of(model: nn.Module) -> Tensor:
    """All parameters as one vector, which does not change with them."""
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def char_lm(*overrides: str) -> Recipe:
    """The main recipe, made so small that it trains in a second."""
    return load_recipe("char-lm", [*CHAR_LM, *overrides])


CHAR_LM = [
    "data.limit=3000", "core.width=8", "core.input_width=0", "task.batch_size=4", "task.length=16", "train.minutes=0",
    "train.steps=12", "train.precision=float32", "train.threads=1", "evaluate.times=6", "sample.times=0",
]  # fmt: skip
