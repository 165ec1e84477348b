"""The same sentence in another language."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import ClassVar

import torch
from torch import Tensor

from unspool.batch import Tokens
from unspool.data.parallel import Pair, Parallel, together
from unspool.data.splits import Splits, parts
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.metrics.drawings import Heatmap, Heatmaps
from unspool.metrics.text import bleu, sacrebleu_scores
from unspool.schema import Count, Natural, NotNegative
from unspool.tasks.in_words import InWords, Row, line_break
from unspool.tasks.legacy import Figures, Finals, GenerationRequest, Trained, Writer, tasks

LENGTHS = (8, 12, 16)
"""BLEU is also told for sources up to so many words, and for those beyond."""
LOOKED = 100
"""Of so many sentences is told where the model looked."""
DRAWN, WIDEST = 4, 14
"""So many of them are drawn, with at most so many words."""


@tasks.register("translate")
class Translate(InWords):
    r"""Say in one language what a source says in another, word by word, each after those that were said before.

    A sentence begins and ends with a line break, as a line of a file does: every tokenizer has that symbol already, so
    none has to be invented. What is read is "\n a b c", what is to be said "a b c \n", and a translation is finished
    with the second line break. A source ends with one too.

    Rows of similar lengths are trained on together (`pool` batches' worth are sorted at a time), every pair once an
    epoch. Judged "taught", it is told the right words so far; in the end it has "written" whole sentences by itself,
    the likeliest that a search with `beam` rows finds (1: the likeliest word each time), at most `length` tokens long.
    `length_penalty` prefers longer ones (0: none; 1: nearly the mean over tokens). With `backwards` a source is read
    from its last word to its first, so that the first, where a translation begins, is the freshest in one vector's
    memory (Sutskever et al. 2014, arXiv:1409.3215).
    """

    dataset = Parallel
    tokenizers: ClassVar[Mapping[str, str]] = {"tokenizer": "word", "source_tokenizer": "word"}
    answers: ClassVar[bool] = True
    nothing: ClassVar[Splits] = Splits(())

    def __init__(
        self,
        splits: Splits,
        tokenizer: Tokenizer,
        source_tokenizer: Tokenizer,
        seed: int = 0,
        batch_size: Count = 64,
        pool: Natural = 50,
        length: Count = 60,
        beam: Count = 1,
        length_penalty: NotNegative = 0.0,
        backwards: bool = False,
    ) -> None:
        self.backwards = backwards
        self.source_tokenizer, self.source_edge = source_tokenizer, line_break(source_tokenizer)
        self.source = Tokens(source_tokenizer.size)
        self.pairs = parts(splits)
        self.tokenizer, self.edge = tokenizer, line_break(tokenizer)
        rows = {name: [self.row(pair) for pair in pairs] for name, pairs in self.pairs.items()}
        super().__init__(rows, seed, batch_size, pool, length, beam, length_penalty)

    @classmethod
    def texts(cls, part: tuple[Pair, ...]) -> dict[str, str]:
        """Both sides, one sentence a line."""
        return {
            "tokenizer": "".join(f"{pair.target}\n" for pair in part),
            "source_tokenizer": "".join(f"{pair.source}\n" for pair in part),
        }

    def row(self, pair: Pair) -> Row:
        """The ids of a source up to its line break, and of a target between its two."""
        return torch.tensor(self.source_row(pair.source)), self.framed(pair.target)

    def source_row(self, source: str) -> list[int]:
        """The ids of a source in the order of reading, up to its line break."""
        ids = self.source_tokenizer.encode(source).tolist()
        return [*(reversed(ids) if self.backwards else ids), self.source_edge]

    def ask(self, text: str, dataset: Parallel) -> GenerationRequest:
        """A sentence as the recipe's [data] section makes those of its files."""
        if not text.strip():
            raise DataError("there is nothing to translate", hint="give a sentence")
        source = self.source_row(dataset.prepared(text))
        return GenerationRequest([self.edge], self.edge, self.asked["length"], source, self.asked["length_penalty"])

    def answer(self, ids: list[int], dataset: Parallel) -> str:
        """The sentence, its punctuation where it is usually written."""
        line = self.tokenizer.decode(ids)
        return together(line) if dataset.split else line

    def source_labels(self, ids: Sequence[int]) -> list[str]:
        """The words of a source."""
        return [self.source_tokenizer.token(id) for id in ids]

    def summary(self) -> str:
        """How many pairs each split has."""
        return ", pairs: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def finals(self, split: str, trained: Trained) -> Finals:
        """BLEU of what is written on words, in all and by the length of the source; sacrebleu's BLEU and chrF.

        Where the model looks at the source's words, `diagonal` tells how much it goes along with them: the correlation
        of the place of a word with the mean place of its look, over sentences; 1 is a straight line.
        The words are those that the recipe's [data] section makes; sacrebleu sees lines as they are usually written.
        """
        if split not in self.rows:
            return {}, {}
        pairs, written = self.pairs[split], self.written(split, trained.write)
        ours, theirs = [line.split() for line in written], [pair.target.split() for pair in pairs]
        found: Figures = {"bleu": bleu(ours, theirs)}
        sizes = [len(pair.source.split()) for pair in pairs]
        for low, high in zip((0, *LENGTHS), (*LENGTHS, 10**9), strict=True):
            chosen = [number for number, size in enumerate(sizes) if low < size <= high]
            name = f"bleu_to_{high}" if high in LENGTHS else "bleu_beyond"
            if chosen:
                found[name] = bleu([ours[number] for number in chosen], [theirs[number] for number in chosen])
        small = all(pair.target == pair.target.lower() for pair in pairs)
        lines = [together(line) for line in written]
        found |= sacrebleu_scores(lines, [pair.written for pair in pairs], lower=small)
        maps = self.maps(split, written[:LOOKED], trained)
        if maps:
            found["diagonal"] = fmean(diagonal(weights) for weights, _, _ in maps)
        fitting = [one for one in maps if max(one[0].shape) <= WIDEST][:DRAWN]
        drawn = Heatmaps([Heatmap(w.tolist(), said, seen, "said", "looked at") for w, said, seen in fitting])
        return {"written": found}, {"attention": drawn} if fitting else {}

    def maps(self, split: str, lines: Sequence[str], trained: Trained) -> list[tuple[Tensor, list[str], list[str]]]:
        """Where the model looked as it wrote these lines, the mean over all parts that look: (T, S), and the words."""
        found = []
        rows = [(source, self.framed(line)) for (source, _), line in zip(self.rows[split], lines, strict=False)]
        for begin in range(0, len(rows), self.batch_size):
            some = rows[begin : begin + self.batch_size]
            looks = trained.looks(self.batch(some))
            if not looks:
                return []
            weights = torch.cat([look.float().cpu() for look in looks], dim=1).mean(dim=1)  # (B, T, S)
            for one, (source, target) in zip(weights, some, strict=True):
                said, seen = self.input_labels(target[1:].tolist()), self.source_labels(source.tolist())
                found.append((one[: len(said), : len(seen)], said, seen))
        return found

    def written(self, split: str, write: Writer) -> list[str]:
        """What the model makes of every source of a split, in the order of the file."""
        return self.replies([source for source, _ in self.rows[split]], write)


def diagonal(weights: Tensor) -> float:
    """The correlation of the rows' places (T) with the mean place (S) of their weights; 0 where nothing moves.

    >>> diagonal(torch.eye(3))
    1.0
    """
    t, s = torch.arange(len(weights)).double(), weights.double() @ torch.arange(weights.shape[1]).double()
    t, s = t - t.mean(), s - s.mean()
    size = float(t.norm() * s.norm())
    return round(float(t @ s) / size, 6) if size > 1e-9 else 0.0
