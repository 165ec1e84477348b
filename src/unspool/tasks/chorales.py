"""Chorales: the next chord."""

from typing import Any

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.music.chorales import ChoraleBook
from unspool.data.preprocessors.music import FIRST, NEXT, ChoralePitches
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.metrics.metric import perplexity
from unspool.pipelines.writing import ChoraleWriter
from unspool.schema import Count, Natural
from unspool.tasks.documents import DocumentTask
from unspool.tasks.task import tasks


@tasks.register("chorales")
class Chorales(DocumentTask):
    """Predict the next chord of a chorale from all before it.

    A chord is predicted voice by voice, from the highest to the lowest, each given those above it, until the end of the
    chord. By the chain rule the sum of their losses is the exact negative log-likelihood of the chord among all sets of
    pitches (the share of unordered or repeated ones is not taken out, so it is an upper bound), and `chord_nll`, the
    mean over chords in nats, is what Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392) and others call the NLL of a
    frame or time step. The end of a chorale is a token like any other, and counted.

    Each chorale is a row and begins with an empty state. At the end the model writes so many whole `documents` at a
    `temperature`, and the set "generated" has the share of them that is `well_formed`: pitches that go down within each
    chord, at most four.

    >>> from unspool import build
    >>> recipe = {"task": {"kind": "chorales", "batch_size": 2}, "data": {"number": 20}}
    >>> task = build.task(recipe, build.dataset(recipe).read())
    >>> task.summary()
    'chorales: train 16, valid 2, test 2'
    """

    dataset = ChoraleBook
    preprocessing = ChoralePitches
    pipeline = ChoraleWriter

    def __init__(
        self,
        splits: Any,
        preprocessor: Preprocessor,
        seed: int = 0,
        batch_size: Count = 16,
        pool: Natural = 20,
        documents: Natural = 20,
    ) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool, documents)

    def derived(self, split: str, loss: float) -> dict[str, float]:
        """Nats per chord, and the perplexity of a token."""
        chords = sum(map(len, self.records[split]))
        return {"chord_nll": self.nats(split, loss) / chords, "perplexity": perplexity(loss)}

    def summary(self) -> str:
        """How many chorales each split has."""
        return "chorales: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What has to be remembered of the present chord, and of the chorale."""
        columns, complete = torch.arange(batch.inputs.shape[1]), batch.inputs < FIRST
        voices = columns - torch.where(complete, columns, 0).cummax(dim=1).values
        return {
            "a chord is complete": complete,
            "voices of the chord so far": voices.float(),
            "chords so far": (batch.inputs == NEXT).cumsum(dim=1).float(),
        }
