"""Whole documents, many at once: each row of a batch is one, and comes out as soon as it has ended."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampler, Sampling
from unspool.generate.state import new_seed, row_seed
from unspool.models.sequence import SequenceModel
from unspool.schema import Count

ROWS = 50
"""How many documents are generated side by side."""
LONGEST = 2000
"""How many tokens a document has at most, where nothing else is said."""


@runtime_checkable
class DocumentFormat(Protocol):
    """A kind of document, for instance a tune in ABC notation: how one begins, and when it has ended."""

    def begin(self, prompt: str) -> list[int]:
        """The ids that are read before the first one is generated."""
        ...

    def ended(self, ids: Sequence[int]) -> bool:
        """Whether a document, what it began with included, has ended."""
        ...


class Document(NamedTuple):
    """A document that a model generated."""

    number: int  # counted from 0
    ids: list[int]  # what it began with included
    ended: bool  # by itself, and not because it was long enough


def generate_documents(
    model: SequenceModel,
    format: DocumentFormat,
    count: Count,
    length: Count,
    sampling: Sampling,
    seed: int | None = None,
    prompt: str = "",
) -> Iterator[Document]:
    """Generate documents until each has ended.

    Args:
        model: a model of such documents.
        format: how one begins and ends.
        count: how many.
        length: how many tokens each has at most, behind what it begins with.
        sampling: how to draw.
        seed: a document follows from the seed and its number alone; None: others in every call.
        prompt: what each begins with.

    Returns:
        The documents in the order in which they end.
    """
    engine, begun = Engine(model), format.begin(prompt)
    seed = new_seed() if seed is None else seed
    first = engine.read(torch.tensor([begun]))
    for done in range(0, count, ROWS):
        documents = [list(begun) for _ in range(min(ROWS, count - done))]
        going = set(range(len(documents)))
        state = first.select(torch.zeros(len(documents), dtype=torch.long, device=first.ids.device))
        seeds = [row_seed(seed, done + row) for row in range(len(documents))]
        choose = Sampler(state.ids, state.logits.shape[-1], sampling.filters(), seeds)
        for step in islice(engine.steps(state, choose), length):
            ids = step.ids.flatten().tolist()
            for row in sorted(going):
                documents[row].append(ids[row])
                if format.ended(documents[row]):
                    going.remove(row)
                    yield Document(done + row, documents[row], True)
            if not going:
                break
        for row in sorted(going):
            yield Document(done + row, documents[row], False)
