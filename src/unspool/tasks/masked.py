"""Masked language modelling."""

from dataclasses import replace
from typing import Annotated

from annotated_types import Gt, Le
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.contiguous import RandomWindows, WindowedEval
from unspool.data.batching.masking import Masked
from unspool.data.preprocessors.language import MaskedText
from unspool.data.splits import Splits
from unspool.metrics.labels import Accuracy
from unspool.metrics.metric import EvalSet, token_perplexity
from unspool.pipelines.fill_mask import FillMask
from unspool.schema import Count
from unspool.tasks.language import TextTask
from unspool.tasks.sequence import text_features_of
from unspool.tasks.task import tasks

EVAL_SEED = 20_000
"""The seed of what is masked in evaluations: the same in every run, so that runs can be compared."""


@tasks.register("masked")
class MaskedLanguage(TextTask):
    """Predict the masked tokens of a text from both sides: a masked language model.

    A training batch is `batch_size` windows of `length` tokens from random places, a share of each masked anew: of the
    `share` that is chosen, 8 of 10 are masked, one becomes any token, one stays; the loss counts the chosen (Devlin et
    al. 2018, arXiv:1810.04805; masked anew each time: Liu et al. 2019, arXiv:1907.11692). The mask is the tokenizer's
    own ([MASK] of "wordpiece"), else the id beyond the tokenizer's, which is read and never predicted.

    The set "masked" has every token of a split but the last, in windows of `length`, and always masks the same ones.

    Args:
        splits: the text of each split.
        preprocessor: with its tokenizer, fitted on the training text.
        seed: of the windows and of the masks.
        batch_size: windows in a batch.
        length: tokens of a window.
        share: the share of tokens that is chosen for prediction.

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits("to be or not to be " * 20)
    >>> task = build.task({"task": {"kind": "masked", "batch_size": 2, "length": 8}}, data)
    >>> task.train_batches()[0].positions  # one token of each window
    2
    """

    preprocessing = MaskedText
    preprocessor: MaskedText
    pipeline = FillMask
    causal = False

    def __init__(
        self,
        splits: Splits[str],
        preprocessor: MaskedText,
        seed: int = 0,
        batch_size: Count = 32,
        length: Count = 64,
        share: Annotated[float, Gt(0), Le(1)] = 0.15,
    ) -> None:
        super().__init__(splits, preprocessor, seed)
        self.batch_size, self.length, self.share = batch_size, length, share

    def train_batches(self) -> Batches:
        """Random windows of the training split, masked anew in every batch."""
        return self.masked(RandomWindows(self.ids["train"], self.batch_size, self.length, self.seed), self.seed)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """The split from its beginning to its end, masked the same way every time."""
        if split not in self.ids:
            return {}
        batches = self.masked(WindowedEval(self.ids[split], self.length, self.batch_size), EVAL_SEED)
        return {"masked": EvalSet(batches, [Accuracy], token_perplexity)}

    def masked(self, batches: Batches, seed: int) -> Masked:
        """The same batches with a share of their tokens masked."""
        return Masked(batches, self.preprocessor.tokenizer.size, self.share, seed, self.preprocessor.mask)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text with nothing masked, and where something is."""
        tokenizer = self.preprocessor.tokenizer
        hidden = {"masked": batch.inputs == self.preprocessor.mask}
        return hidden | text_features_of(replace(batch, inputs=batch.targets), tokenizer)
