"""What tasks that answer a source in words have in common: what is taught, and what is written without a teacher."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch, Batches, Tokens
from unspool.data.batching.buckets import Buckets, padded
from unspool.data.probe import left
from unspool.data.tokenizer import Tokenizer, line_break  # noqa: F401
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.legacy import Marks, Writer, accuracy, perplexity
from unspool.tasks.of_text import OfText

Row = tuple[Tensor, Tensor]
"""A source (S,) or (S, size), and the ids of its answer between two line breaks."""


class InWords(OfText):
    """Answer a source in words, each after those that were said before: as the task "translate" says.

    `tokenizer` and the id of its line break, `edge`, are set before this constructor is called: rows are made of them.
    """

    edge: int
    gaps: Bool[Tensor, "V V"] | None = None
    """Which words (columns) are spared behind which (rows)."""

    def __init__(
        self,
        rows: Mapping[str, Sequence[Row]],
        seed: int,
        batch_size: Count,
        pool: Natural,
        length: Count,
        beam: Count,
        length_penalty: NotNegative,
    ) -> None:
        self.rows = {name: split for name, split in rows.items() if split}
        self.batch_size, self.pool, self.seed = batch_size, pool, seed
        self.asked: dict[str, Any] = {"length": length, "width": beam, "length_penalty": length_penalty}
        self.inputs = self.targets = Tokens(self.tokenizer.size)

    def framed(self, sentence: str) -> Tensor:
        """The ids of a sentence between two line breaks."""
        edge = torch.tensor([self.edge])
        return torch.cat([edge, torch.from_numpy(self.tokenizer.encode(sentence)).long(), edge])

    def train_batches(self) -> Batches:
        """The training rows, shuffled anew in each epoch."""
        return self._buckets("train", self.pool)

    def exams(self, split: str) -> dict[str, Batches]:
        """Every word of the split, after the right ones before it."""
        return {"taught": self._buckets(split, 0)} if split in self.rows else {}

    def first(self, split: str, rows: int, longest: int) -> Batch | None:
        """The first rows of the split, as they stand in the data."""
        return self.batch(self.rows[split][:rows]) if split in self.rows else None

    def _buckets(self, split: str, pool: int) -> Buckets:
        rows = self.rows[split]

        def gather(numbers: Tensor) -> Batch:
            return self.batch([rows[number] for number in numbers.tolist()])

        lengths = [1000 * len(source) + len(target) for source, target in rows]  # by source, then by target
        return Buckets(lengths, self.batch_size, gather, pool, self.seed)

    def batch(self, rows: Sequence[Row]) -> Batch:
        """Sources and targets side by side: each target is read from its first id on, and said from its second."""
        source, source_mask = padded([source for source, _ in rows])
        ids, there = padded([target for _, target in rows])
        mask = there[:, 1:]
        inputs = ids[:, :-1] * mask
        spared = None if self.gaps is None else self.gaps[inputs]
        return Batch(inputs, ids[:, 1:], mask, mask, self.seen(source), source_mask, spared)

    def seen(self, source: Tensor) -> Tensor:
        """Sources as a model reads them."""
        return source

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the answer so far, and how much of it is left: units count it (Shi et al. 2016, "Why Neural
        Translations are the Right Length")."""
        return {"tokens left to say": left(batch)} | super().features(batch)

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many of the words that count are the likeliest."""
        return {"accuracy": accuracy(scores, batch)}

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats and perplexity per token, the line break at the end counted, and the share of tokens that are right."""
        return {"loss": loss, "perplexity": perplexity(loss), **marks}

    def replies(self, sources: Sequence[Tensor], write: Writer) -> list[str]:
        """What the model makes of each source, in their order."""
        lines = [""] * len(sources)
        lengths = torch.tensor([len(source) for source in sources])
        for numbers in lengths.argsort(stable=True).split(self.batch_size):
            source, mask = padded([sources[number] for number in numbers.tolist()])
            said = write(self.seen(source), mask, begin=self.edge, end=self.edge, **self.asked)
            for number, ids in zip(numbers.tolist(), said, strict=True):
                lines[number] = self.tokenizer.decode(ids)
        return lines
