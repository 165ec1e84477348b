"""A task with a use of its own in one file: which word of a text matters? `--plugin tests/plugged/pick_word.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool import EvalSet, Predictor, Row, Tokens, Unit, preprocessors
from unspool.batch import Batch
from unspool.data.batching.collate import target_per_position
from unspool.data.labelled import Labelled
from unspool.data.predictions import Prediction
from unspool.data.preprocessors.text import TextInput
from unspool.metrics.labels import Accuracy
from unspool.tasks.sequence import RowTask
from unspool.tasks.task import tasks


@dataclass(frozen=True)
class Pick(Prediction):
    """A word of a text, and how sure the model is."""

    word: str
    score: float

    def columns(self) -> list[dict[str, Any]]:
        return [{"word": self.word, "score": self.score}]


@preprocessors.register("picked-word")
class PickedWord(TextInput):
    """A text, and the one word of it that its label names."""

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}
    targets = Tokens(2)

    def encode(self, record: Mapping[str, Any]) -> Row:
        words = self.ids(record)
        if "label" not in record:
            return Row(words)
        return Row(words, (words == int(self.tokenizer.encode(record["label"])[0])).long())

    def collate(self, rows: Sequence[Row]) -> Batch:
        targets = [torch.zeros_like(row.input) if row.target is None else row.target for row in rows]
        return target_per_position([row.input for row in rows], targets)

    def decode(self, output: Tensor, record: Mapping[str, Any]) -> Pick:
        best = int(output.argmax())
        start, end = self.tokenizer.offsets(record["text"])[best]
        return Pick(record["text"][start:end], float(output[best]))


class WordPicker(Predictor):
    """The word of a text that the model picks."""

    def forward(self, batch: Batch) -> Sequence[Tensor]:
        chances = self.engine.forward(batch).softmax(dim=-1)[..., 1].cpu()
        return [row[there] for row, there in zip(chances, batch.loss_mask, strict=True)]


@tasks.register("pick-word")
class PickWord(RowTask):
    """Which word of a text matters?"""

    dataset = Labelled
    preprocessing = PickedWord
    pipeline = WordPicker
    unit = Unit("word")
    causal = False

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        return {"all": EvalSet(self.batches(split), [Accuracy])} if split in self.rows else {}
