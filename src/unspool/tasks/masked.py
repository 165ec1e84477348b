"""Which token is hidden here?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from annotated_types import Gt, Le
from torch import Tensor

from unspool.batch import Batch, Batches, Tokens
from unspool.data.batching.contiguous import RandomWindows, WindowedEval
from unspool.data.batching.masking import Masked
from unspool.data.source import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.schema import Count
from unspool.tasks.of_text import OfText
from unspool.tasks.task import Marks, accuracy, perplexity, tasks

EXAM = 20_000
"""The seed of what is hidden in exams: the same in every run, so that runs can be compared."""


@tasks.register("masked")
class MaskedLanguage(OfText):
    """Which tokens are hidden in a text? A model that reads both ways guesses them from what is around.

    A training batch is `batch_size` windows of `length` tokens from random places, a share of each hidden anew: of the
    `share` that is chosen, 8 of 10 are masked, one becomes any token, one stays; the loss counts the chosen (Devlin et
    al. 2018, arXiv:1810.04805; hidden anew each time: Liu et al. 2019, arXiv:1907.11692). The mask is the id beyond the
    tokenizer's: it is read and never written.

    An exam reads every token of a split but the last, in windows of `length`, and always hides the same ones. Told are
    the loss, the perplexity and the accuracy at the chosen places.
    """

    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word"}
    fills: ClassVar[bool] = True
    causal = False

    def __init__(
        self,
        splits: Splits,
        tokenizer: Tokenizer,
        seed: int = 0,
        batch_size: Count = 32,
        length: Count = 64,
        share: Annotated[float, Gt(0), Le(1)] = 0.15,
    ) -> None:
        self.tokenizer, self.seed = tokenizer, seed
        self.batch_size, self.length, self.share = batch_size, length, share
        self.inputs, self.targets = Tokens(tokenizer.size + 1), Tokens(tokenizer.size)
        texts = parts(splits)
        self.ids = {name: torch.from_numpy(tokenizer.encode(text)).long() for name, text in texts.items()}

    @classmethod
    def texts(cls, part: str) -> dict[str, str]:
        """The text itself."""
        return {"tokenizer": part}

    def batches(self) -> Batches:
        """Random windows of the training split, hidden anew in every batch."""
        return self._masked(RandomWindows(self.ids["train"], self.batch_size, self.length, self.seed), self.seed)

    def exams(self, split: str) -> dict[str, Batches]:
        """The split from its beginning to its end, hidden the same way every time."""
        if split not in self.ids:
            return {}
        return {"masked": self._masked(WindowedEval(self.ids[split], self.length, self.batch_size), EXAM)}

    def _masked(self, batches: Batches, seed: int) -> Masked:
        return Masked(batches, self.tokenizer.size, self.share, seed)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text with nothing hidden, and where something is to be guessed."""
        hidden = {"hidden": batch.inputs == self.tokenizer.size}
        return hidden | super().features(replace(batch, inputs=batch.targets))

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many of the chosen are guessed."""
        return {"accuracy": accuracy(scores, batch)}

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats and perplexity per hidden token, and the share of them that is right."""
        return {"loss": loss, "perplexity": perplexity(loss), **marks}

    def told(self) -> str:
        """How many tokens each split has."""
        return ", tokens: " + ", ".join(f"{name} {len(ids):,}" for name, ids in self.ids.items())
