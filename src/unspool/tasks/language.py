"""Language modelling: the next token of a text."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.data.batching.contiguous import ContiguousBatches, ContiguousEval, RandomWindows, WindowedEval
from unspool.data.preprocessors.language import LanguageText
from unspool.data.splits import Splits, non_empty
from unspool.data.tokenizer import Tokenizer
from unspool.metrics.metric import EvalSet, perplexity, text_bits
from unspool.pipelines.writing import TextWriter
from unspool.schema import Count, Share
from unspool.tasks.sequence import text_features_of
from unspool.tasks.task import Task, tasks

SENTENCE = re.compile(r"(?:\A\s*|[.!?][\"')\]\u2019\u201d]*\s+|\n\s*\n\s*)(?=\S)")
"""Behind it a sentence begins."""


class TextTask(Task):
    """Tasks on one long text for each split."""

    preprocessor: LanguageText

    def __init__(self, splits: Splits[str], preprocessor: LanguageText, seed: int) -> None:
        self.preprocessor, self.seed = preprocessor, seed
        self.inputs, self.targets = preprocessor.inputs, preprocessor.targets
        self.texts: Mapping[str, str] = non_empty(splits)
        self.ids = {split: preprocessor.encode(text).input for split, text in self.texts.items()}

    def summary(self) -> str:
        """How many tokens each split has, of how many kinds, and how many of those held out are unknown."""
        tokenizer = self.preprocessor.tokenizer
        counts = ", ".join(f"{name} {len(ids):,}" for name, ids in self.ids.items())
        lost = {name: len(tokenizer.lost(text)) / max(1, len(self.ids[name])) for name, text in self.texts.items()}
        unknown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in lost.items() if share)
        return f"tokens: {counts}; vocabulary {tokenizer.size:,}" + (f"; unknown tokens: {unknown}" if unknown else "")


@tasks.register("language")
class Language(TextTask):
    """Predict the next token of a text: a language model.

    `batching` is "contiguous" (the text as `batch_size` long rows, read `length` tokens at a time with the state
    carried over: truncated back-propagation through time; a share `reset_probability` of the batches begins with an
    empty state), "windows" (from random places, each with an empty state, so that words are cut) or "sentences" (from
    the beginnings of sentences, likewise).

    Two losses are measured: "contiguous", in one pass over the split with the state carried, and "windowed", from an
    empty state every `window` tokens. A core of limited length begins with an empty state when it is full. A model
    with a long memory has a lower loss where the state is carried, so compare like with like.

    Args:
        batch_size: rows in a batch.
        length: tokens of a row in a batch.
        window: tokens of a window of the set "windowed".
        reset_probability: the share of contiguous batches that begin with an empty state.
        splits: the text of each split.
        preprocessor: with its tokenizer, fitted on the training text.
        seed: of the windows, and of which batches are reset.
        batching: "contiguous", "windows" or "sentences".

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits("to be or not to be " * 20)
    >>> task = build.task({"task": {"kind": "language", "batch_size": 2, "length": 5}}, data)
    >>> task.train_batches()[0].inputs.shape
    torch.Size([2, 5])
    """

    preprocessing = LanguageText
    pipeline = TextWriter

    def __init__(
        self,
        splits: Splits[str],
        preprocessor: LanguageText,
        seed: int = 0,
        batching: Literal["contiguous", "windows", "sentences"] = "contiguous",
        batch_size: Count = 16,
        length: Count = 64,
        window: Count = 64,
        reset_probability: Share = 0.0,
    ) -> None:
        super().__init__(splits, preprocessor, seed)
        self.batching, self.batch_size, self.length = batching, batch_size, length
        self.window, self.reset_probability = window, reset_probability

    def train_batches(self) -> Batches:
        """The training split, contiguous or in random windows, which may begin with sentences."""
        if self.batching == "contiguous":
            return ContiguousBatches(self.ids["train"], self.batch_size, self.length, self.reset_probability, self.seed)
        tokenizer = self.preprocessor.tokenizer
        starts = sentence_starts(tokenizer, self.texts["train"]) if self.batching == "sentences" else None
        return RandomWindows(self.ids["train"], self.batch_size, self.length, self.seed, starts)

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every token but the first, with the state carried and in windows; first the one that is like the training."""
        if split not in self.ids:
            return {}
        ids, derived = self.ids[split], partial(self.derived, split)
        rows = max(1, min(16, len(ids) // 512))
        contiguous = EvalSet(ContiguousEval(ids, rows, self.length), derived=derived)
        windowed = EvalSet(WindowedEval(ids, self.window, max(1, 4096 // self.window)), derived=derived)
        if self.batching != "contiguous":
            return {"windowed": windowed, "contiguous": contiguous}
        return {"contiguous": contiguous, "windowed": windowed}

    def derived(self, split: str, loss: float) -> dict[str, float]:
        """Bits per character and per byte of the text, the perplexity of a token, and the share of unknown ones.

        The bits are those of `text_bits`, which spells unknown words, so a small vocabulary has no advantage. The
        perplexity is over the vocabulary.
        """
        ids, tokenizer, text = self.ids[split], self.preprocessor.tokenizer, self.texts[split]
        values = {**text_bits(tokenizer, text, loss * (len(ids) - 1)), "perplexity": perplexity(loss)}
        lost = tokenizer.lost(text)
        return values | ({"unknown_share": len(lost) / len(ids)} if lost else {})

    def first(self, split: str, rows: int, length: int) -> Batch | None:
        """The split from its beginning on, as one row."""
        return WindowedEval(self.ids[split], length, 1)[0] if split in self.ids else None

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far."""
        return text_features_of(batch, self.preprocessor.tokenizer)


def sentence_starts(tokenizer: Tokenizer, text: str) -> Int64[Tensor, " S"]:
    """The tokens with which the sentences of a text begin.

    A sentence begins behind a full stop, an exclamation or a question mark with white space, and behind an empty line.

    >>> from unspool.data.tokenizer import tokenizers
    >>> sentence_starts(tokenizers.build("tokenizer", "byte"), "One. (Two?) Three e.g.x").tolist()
    [0, 5, 12]
    """
    begins = [match.end() for match in SENTENCE.finditer(text)]
    offsets = tokenizer.offsets(text)
    ends = torch.tensor([end for _, end in offsets])
    return torch.searchsorted(ends, torch.tensor(begins), right=True).unique().clamp(max=len(offsets) - 1)
