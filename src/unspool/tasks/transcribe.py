"""Speech to text, while one talks."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from unspool.batch import Batch
from unspool.data.preprocessors.preprocessor import Record, Row
from unspool.data.preprocessors.transcripts import TranscribedSound
from unspool.data.transcripts import Transcripts
from unspool.errors import DataError
from unspool.metrics.edits import ErrorRates, Latency
from unspool.metrics.metric import EvalSet, GenerationSet, Unit
from unspool.pipelines.transcription import Transcription
from unspool.schema import Count, Natural
from unspool.tasks.sequence import RowTask, evaluation_pool
from unspool.tasks.task import tasks


@tasks.register("transcribe")
class Transcribe(RowTask):
    """Write down what is said, character by character, while the sound goes on.

    The model reads the sound step by step and predicts a character or the blank at each; which step a character belongs
    to is not known, and all ways to spread the text over the steps count: connectionist temporal classification (Graves
    et al. 2006). The core has to be causal, so that no character depends on what is said later. How a sound becomes
    steps is set in [preprocessor] (`unspool.data.preprocessors.transcripts.TranscribedSound`).

    The set "all" is the loss in nats per character; the set "generated" what the pipeline writes: the character error
    rate `cer`, the word error rate `wer`, and where the data says when a symbol ends, `latency_median` and
    `latency_90`: how many frames later it is written. A sound with fewer steps than its text needs is left out of the
    loss; `summary` says how many there are.

    Args:
        splits: sounds with their texts.
        preprocessor: fitted on the training records.
        seed: of the order of the sounds.
        batch_size: sounds in a batch.
        pool: so many batches' worth of sounds are sorted by length at a time.

    >>> from unspool import build
    >>> recipe = {"task": {"kind": "transcribe"}, "data": {"corpus": "tones", "strings": 40}}
    >>> task = build.task(recipe, build.dataset(recipe).read())
    >>> batch = task.train_batches()[0]
    >>> batch.inputs.shape[2], task.targets, task.summary()
    (120, UnalignedTokens(size=10), 'sounds: train 36, valid 4')
    """

    dataset = Transcripts
    preprocessing = TranscribedSound
    pipeline = Transcription
    unit = Unit("character")
    preprocessor: TranscribedSound

    def __init__(
        self, splits: Any, preprocessor: TranscribedSound, seed: int = 0, batch_size: Count = 32, pool: Natural = 50
    ) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool)
        if not self.rows["train"]:
            raise DataError(
                "no training sound has as many steps as its text needs",
                hint="preprocessor.stack=1, or check that each text is that of its sound",
            )

    def encoded(self, records: Sequence[Record]) -> list[Row]:
        """The rows of the sounds that are long enough for their texts."""
        rows = [self.preprocessor.encode(record) for record in records]
        return [row for row in rows if row.target is not None and steps_needed(row.target) <= len(row.input)]

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every sound of the split once."""
        if not self.rows.get(split):
            return {}
        return {"all": EvalSet(self.batches(split, evaluation_pool(self.pool)))}

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """What is written for every sound of the split."""
        if split not in self.records:
            return {}
        reference = self.preprocessor.text
        latency = partial(Latency, reference, self.preprocessor.hop)
        return {"generated": GenerationSet(self.records[split], [partial(ErrorRates, reference), latency])}

    def first(self, split: str, rows: int, length: int) -> Batch | None:
        """The first sounds of the split, without targets: none of these belongs to a certain step."""
        if not self.rows.get(split):
            return None
        return self.preprocessor.collate([Row(row.input) for row in self.rows[split][:rows]])

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """How loud it is."""
        return {"loudness": batch.inputs.mean(dim=-1)}

    def summary(self) -> str:
        """How many sounds each split has, and how many are too short for their text."""
        sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())
        short = sum(len(self.records[name]) - len(rows) for name, rows in self.rows.items())
        more = f"; left out of the loss {short:,} with fewer steps than their text needs" if short else ""
        return f"sounds: {sizes}{more}"


def steps_needed(ids: Tensor) -> int:
    """How many steps a text needs: one for each token, and a blank between equal ones.

    >>> import torch
    >>> steps_needed(torch.tensor([3, 3, 5]))
    4
    """
    return len(ids) + int((ids[1:] == ids[:-1]).sum())
