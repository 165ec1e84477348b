"""The base of tasks that generate a text from a source, with an encoder and a decoder."""

from typing import ClassVar

from torch import Tensor

from unspool.batch import Batch
from unspool.data.preprocessors.generation import SourceAndText
from unspool.data.preprocessors.preprocessor import Row
from unspool.data.probe import left
from unspool.data.tokenizer import Tokenizer
from unspool.metrics.labels import Accuracy
from unspool.metrics.metric import EvalSet, Unit, token_perplexity
from unspool.pipelines.text_generation import TextGeneration
from unspool.tasks.sequence import RowTask, text_features_of


class SourceToText(RowTask):
    """Generate a text from a source, token by token, each after those before it.

    The set "teacher_forced" has every token of a split, given the right ones before it; the set "generated" has whole
    texts that the pipeline finds.
    """

    pipeline = TextGeneration
    unit: ClassVar[Unit] = Unit("token", is_token=True)
    preprocessor: SourceAndText

    def length(self, row: Row) -> int:
        """Rows are sorted by their source, then by their text."""
        return 1000 * len(row.input) + len(row.target)  # type: ignore[arg-type]

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every token of the split once."""
        if split not in self.rows:
            return {}
        return {"teacher_forced": EvalSet(self.batches(split), [Accuracy], token_perplexity)}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far, and how much of it is left: units count it (Shi et al. 2016, "Why Neural
        Translations are the Right Length")."""
        tokenizer: Tokenizer = self.preprocessor.tokenizer  # type: ignore[attr-defined]
        return {"tokens left to generate": left(batch)} | text_features_of(batch, tokenizer)
