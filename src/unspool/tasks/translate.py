"""Machine translation."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor

from unspool.data.parallel import Parallel
from unspool.data.preprocessors.parallel import ParallelText
from unspool.data.preprocessors.preprocessor import Record
from unspool.metrics.alignment import SENTENCES, Diagonal, attention_maps
from unspool.metrics.drawings import Drawing
from unspool.metrics.metric import GenerationSet, MetricFactory
from unspool.metrics.text import Bleu, LineScores
from unspool.schema import Count, Natural
from unspool.tasks.task import tasks
from unspool.tasks.text_generation import SourceToText

LENGTHS = (8, 12, 16)
"""BLEU is also given for sources up to this many words, and for longer ones."""


@tasks.register("translate")
class Translate(SourceToText):
    """Translate a sentence, word by word, each given the source and the words before it.

    How sentences are encoded is set in [preprocessor] (`unspool.data.preprocessors.parallel.ParallelText`). Rows of
    similar lengths are trained on together (`pool` batches' worth are sorted at a time), every pair once an epoch.

    "teacher_forced" is given the right words so far. "generated" is whole translations, found with `beam` beams (1:
    greedy) and at most `max_new_tokens` long: `bleu` on words, by the length of the source too, and `sacrebleu` and
    `chrf` on lines as they are usually written. Where the model attends to the source, `diagonal` says how diagonal the
    attention is over a hundred sentences.

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits([{"source": "zwei", "target": "two"}])
    >>> task = build.task({"task": {"kind": "translate"}}, data)
    >>> batch = task.train_batches()[0]
    >>> batch.source.shape, batch.inputs.shape
    (torch.Size([1, 2]), torch.Size([1, 2]))
    """

    dataset = Parallel
    preprocessing = ParallelText
    preprocessor: ParallelText

    def __init__(
        self, splits: Any, preprocessor: ParallelText, seed: int = 0, batch_size: Count = 64, pool: Natural = 50
    ) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool)

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """Translations of every source, in the order of the file."""
        if split not in self.records:
            return {}
        records, preprocessor = self.records[split], self.preprocessor
        metrics: list[MetricFactory] = [
            partial(Bleu, preprocessor.references),
            partial(LineScores, lambda record: record["target"], preprocessor.lower),
            Diagonal,
        ]
        drawing = partial(self.attention, records)
        return {"generated": GenerationSet(records, metrics, self.groups, {"attention": True}, drawing)}

    def groups(self, record: Record) -> list[str]:
        """The length of the source, in words."""
        return [length_group(len(self.preprocessor.prepare(record["source"]).split()))]

    def attention(self, records: Sequence[Record], predictions: Sequence[Any]) -> dict[str, Drawing]:
        """Heat maps of the attention of some translations to their sources."""
        maps: list[tuple[Tensor, list[str], list[str]]] = []
        labels = self.preprocessor
        for record, text in zip(records[:SENTENCES], predictions, strict=False):
            weights = getattr(text, "attention", None)
            if weights is None:
                continue
            row = labels.encode({"source": record["source"], "target": " ".join(text.tokens)})
            generated, seen = labels.input_labels(row.target[1:].tolist()), labels.source_labels(row.input.tolist())  # type: ignore[index]
            if weights.shape == (len(generated), len(seen)):  # parts of words may be put together in another way
                maps.append((weights, generated, seen))
        return dict(attention_maps(maps))

    def summary(self) -> str:
        """How many pairs each split has."""
        return "pairs: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())


def length_group(words: int) -> str:
    """The group of a source with so many words.

    >>> [length_group(words) for words in (8, 9, 17)]
    ['up_to_8_words', '9_to_12_words', 'over_16_words']
    """
    if words <= LENGTHS[0]:
        return f"up_to_{LENGTHS[0]}_words"
    for low, high in pairwise(LENGTHS):
        if words <= high:
            return f"{low + 1}_to_{high}_words"
    return f"over_{LENGTHS[-1]}_words"
