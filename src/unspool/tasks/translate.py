"""The same sentence in another language."""

from collections.abc import Mapping
from math import exp
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch, Batches, Tokens
from unspool.data.buckets import Buckets, padded
from unspool.data.parallel import Pair, Pairs, Parallel, together
from unspool.data.scores import bleu, has_sacrebleu, sacrebleu_scores
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.registry import Count, Natural, NotNegative
from unspool.tasks.task import Figures, Marks, Question, Task, Writer, tasks

LENGTHS = (8, 12, 16)
"""BLEU is also told for sources up to so many words, and for those beyond."""


@tasks.register("translate")
class Translate(Task):
    r"""Say in one language what a source says in another, word by word, each after those that were said before.

    A sentence begins and ends with a line break, as a line of a file does: every tokenizer has that symbol already, so
    none has to be invented. What is read is "\n a b c", what is to be said "a b c \n", and a translation is finished
    with the second line break. A source ends with one too.

    Rows of similar lengths are trained on together (`pool` batches' worth are sorted at a time), every pair once an
    epoch. Judged "taught", it is told the right words so far; in the end it has "written" whole sentences by itself,
    the likeliest that a search with `beam` rows finds (1: the likeliest word each time), at most `length` tokens long.
    `length_penalty` prefers longer ones (0: none; 1: nearly the mean over tokens).
    """

    material = Parallel
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "source_tokenizer": "word"}
    answers: ClassVar[bool] = True
    nothing: ClassVar[Pairs] = Pairs(())

    def __init__(
        self,
        splits: Pairs,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer,
        seed: int = 0,
        batch_size: Count = 64,
        pool: Natural = 50,
        length: Count = 60,
        beam: Count = 1,
        length_penalty: NotNegative = 0.0,
    ) -> None:
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        self.batch_size, self.pool, self.seed = batch_size, pool, seed
        self.length, self.beam, self.length_penalty = length, beam, length_penalty
        self.reads = self.writes = Tokens(tokenizer.size)
        self.looks_at = Tokens(source_tokenizer.size)
        self.edge, self.source_edge = line_break(tokenizer), line_break(source_tokenizer)
        self.pairs = {name: p for name in ("train", "valid", "test") if (p := getattr(splits, name))}
        self.rows = {name: [self.row(pair) for pair in pairs] for name, pairs in self.pairs.items()}

    @classmethod
    def texts(cls, part: tuple[Pair, ...]) -> dict[str, str]:
        """Both sides, one sentence a line."""
        return {
            "tokenizer": "".join(f"{pair.target}\n" for pair in part),
            "source_tokenizer": "".join(f"{pair.source}\n" for pair in part),
        }

    def row(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """The ids of a source up to its line break, and of a target between its two."""
        target = [self.edge, *self.tokenizer.encode(pair.target).tolist(), self.edge]
        return torch.tensor(self.source_row(pair.source)), torch.tensor(target)

    def source_row(self, source: str) -> list[int]:
        """The ids of a source up to its line break."""
        return [*self.source_tokenizer.encode(source).tolist(), self.source_edge]

    def ask(self, text: str, material: Parallel) -> Question:
        """A sentence as the recipe's [data] section makes those of its files."""
        if not text.strip():
            raise DataError("there is nothing to translate", hint="give a sentence")
        source = self.source_row(material.prepared(text))
        return Question([self.edge], self.edge, self.length, source, self.length_penalty)

    def answer(self, ids: list[int], material: Parallel) -> str:
        """The sentence, its punctuation where it is usually written."""
        line = self.tokenizer.decode(ids)
        return together(line) if material.split else line

    def batches(self) -> Batches:
        """The training pairs, shuffled anew in each epoch."""
        return self._buckets("train", self.pool)

    def exams(self, split: str) -> dict[str, Batches]:
        """Every word of the split, after the right ones before it."""
        return {"taught": self._buckets(split, 0)} if split in self.rows else {}

    def _buckets(self, split: str, pool: int) -> Buckets:
        rows = self.rows[split]

        def gather(numbers: Tensor) -> Batch:
            return batch([rows[number] for number in numbers.tolist()])

        lengths = [1000 * len(source) + len(target) for source, target in rows]  # by source, then by target
        return Buckets(lengths, self.batch_size, gather, pool, self.seed)

    def mark(self, scores: Tensor, batch: Batch) -> Marks:
        """How many of the words that count are the likeliest."""
        right = (scores.argmax(dim=-1) == batch.targets) & batch.counts
        return {"accuracy": (float(right.sum()), float(batch.counts.sum()))}

    def figures(self, split: str, loss: float, marks: Mapping[str, float]) -> dict[str, float]:
        """Nats and perplexity per token, the line break at the end counted, and the share of tokens that are right."""
        return {"loss": loss, "perplexity": exp(min(loss, 700.0)), **marks}

    def told(self) -> str:
        """How many pairs each split has."""
        return ", pairs: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def finals(self, split: str, write: Writer) -> Figures:
        """BLEU of what is written on words, in all and by the length of the source; sacrebleu's scores if it is there.

        The words are those that the recipe's [data] section makes; sacrebleu sees lines as they are usually written.
        """
        if split not in self.rows:
            return {}
        pairs, written = self.pairs[split], self.written(split, write)
        ours, theirs = [line.split() for line in written], [pair.target.split() for pair in pairs]
        found: Figures = {"bleu": bleu(ours, theirs)}
        sizes = [len(pair.source.split()) for pair in pairs]
        for low, high in zip((0, *LENGTHS), (*LENGTHS, 10**9), strict=True):
            chosen = [number for number, size in enumerate(sizes) if low < size <= high]
            name = f"bleu_to_{high}" if high in LENGTHS else "bleu_beyond"
            if chosen:
                found[name] = bleu([ours[number] for number in chosen], [theirs[number] for number in chosen])
        if has_sacrebleu():
            small = all(pair.target == pair.target.lower() for pair in pairs)
            lines = [together(line) for line in written]
            found |= sacrebleu_scores(lines, [pair.written for pair in pairs], lower=small)
        return found

    def written(self, split: str, write: Writer) -> list[str]:
        """What the model makes of every source of a split, in the order of the file."""
        rows, lines = self.rows[split], [""] * len(self.rows[split])
        for numbers in self._buckets(split, 0).order(0):
            source, present = padded([rows[number][0] for number in numbers.tolist()])
            asked: dict[str, Any] = {"length": self.length, "width": self.beam, "length_penalty": self.length_penalty}
            answers = write(source, present, begin=self.edge, end=self.edge, **asked)
            for number, ids in zip(numbers.tolist(), answers, strict=True):
                lines[number] = self.tokenizer.decode(ids)
        return lines


def line_break(tokenizer: Tokenizer) -> int:
    """The id that a sentence begins and ends with."""
    ids = [] if tokenizer.unknown("\n") else tokenizer.encode("\n").tolist()
    if len(ids) != 1:
        raise DataError(
            "the tokenizer has no symbol of its own for a line break, which begins and ends a sentence",
            hint="tokenizer.kind=word or bpe, and enough text for it",
        )
    return ids[0]


def batch(rows: list[tuple[Tensor, Tensor]]) -> Batch:
    """Sources and targets side by side: each target is read from its first id on, and said from its second."""
    source, source_present = padded([source for source, _ in rows])
    ids, there = padded([target for _, target in rows])
    present = there[:, 1:]
    return Batch(ids[:, :-1] * present, ids[:, 1:], present, present, source, source_present)
