"""Whole pieces, many at once: each row of a batch is one, and is handed over as soon as it is ended."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch

from unspool.generate.sampling import Sampling, stream
from unspool.models.sequence import SequenceModel
from unspool.schema import Count
from unspool.seeds import mix
from unspool.tasks.task import Form

ROWS = 50
"""How many pieces are written side by side."""


class Written(NamedTuple):
    """A piece that a model wrote."""

    number: int  # counted from 0
    ids: list[int]  # what it began with included
    ended: bool  # by itself, and not because it was long enough


def whole(
    model: SequenceModel,
    form: Form,
    count: Count,
    length: Count,
    sampling: Sampling,
    seed: int | None = None,
    prompt: str = "",
) -> Iterator[Written]:
    """Yield so many pieces of at most `length` ids behind what they begin with, in the order in which they end.

    The same seed writes the same pieces, a piece and its number, whatever is done with them on the way.
    """
    begun = form.begin(prompt)
    first = torch.tensor([begun], device=model.device)
    for done in range(0, count, ROWS):
        pieces = [list(begun) for _ in range(min(ROWS, count - done))]
        going = set(range(len(pieces)))
        its_seed = None if seed is None else mix(seed, done)
        drawn = stream(model, first.expand(len(pieces), -1), *sampling.filters(), seed=its_seed)
        for one in islice(drawn, length):
            ids = one.ids.flatten().tolist()
            for row in sorted(going):
                pieces[row].append(ids[row])
                if form.ended(pieces[row]):
                    going.remove(row)
                    yield Written(done + row, pieces[row], True)
            if not going:
                break
        for row in sorted(going):
            yield Written(done + row, pieces[row], False)
