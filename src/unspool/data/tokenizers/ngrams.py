"""A bag of n-grams: ids for words, for runs of words, and for the letters inside words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, field, tokenizers, wrong
from unspool.data.tokenizers.word import APART, UNKNOWN, WORD
from unspool.errors import ConfigError
from unspool.schema import Count, Natural

Ngram = tuple[str, int, int]
"""An n-gram as it is spelled, and where it begins and ends in the text."""


@tokenizers.register("ngrams")
class NgramTokenizer(Tokenizer):
    r"""The words of a text, its runs of words, and the runs of letters inside its words: for classification.

    A word is spelled `<word>`; runs of its letters, its < and > among them, make sense of words that training has not
    seen (Bojanowski et al. 2017, arXiv:1607.04606). They overlap, so there is no way back to the text, and no model can
    write with them. N-grams that are not known are left out; id 0, `<unk>`, stands for a text without any known one.

    Args:
        words: runs of up to so many words.
        shortest: runs of at least so many letters.
        longest: runs of at most so many letters; 0: none.
        min_count: only n-grams that occur so often in the training text are kept.
        max_size: at most so many ids, of the frequent ones; 0: any number.
        lower: whether the text is lowercased.
        punctuation: whether every mark that is not inside a word is a word of its own.

    >>> tokenizer = NgramTokenizer(words=2, shortest=3, longest=3, min_count=1).fit("an ox")
    >>> [tokenizer.token(id) for id in tokenizer.encode("an ox").tolist()]
    ['<an>', '<an', 'an>', '<ox>', '<an␣ox>', '<ox', 'ox>']
    >>> [tokenizer.token(id) for id in tokenizer.encode("can").tolist()]
    ['an>']
    """

    writes = False

    def __init__(
        self,
        words: Count = 2,
        shortest: Count = 2,
        longest: Natural = 5,
        min_count: Count = 2,
        max_size: Natural = 0,
        lower: bool = True,
        punctuation: bool = True,
    ) -> None:
        if longest and longest < shortest:
            raise ConfigError(
                f"tokenizer.longest={longest} is below tokenizer.shortest={shortest}",
                hint=f"set tokenizer.longest={shortest}, or 0 for no runs of letters",
            )
        self.words, self.shortest, self.longest = words, shortest, longest
        self.min_count, self.max_size, self.lower, self.punctuation = min_count, max_size, lower, punctuation
        self.know([UNKNOWN])

    def know(self, ngrams: list[str]) -> None:
        """Make these the vocabulary, in this order."""
        self.pieces = [ngram.encode("utf-8", "replace") for ngram in ngrams]
        self.ngrams = ngrams
        self.ids = {ngram: id for id, ngram in enumerate(ngrams)}

    def split(self, text: str) -> Iterator[Ngram]:
        """The n-grams of a text, known or not, in the order of the words that they end with."""
        before: list[tuple[str, int]] = []  # the words of the line so far, and where each begins
        spelled = text.lower() if self.lower else text
        for match in (APART if self.punctuation else WORD).finditer(spelled):
            word, (start, end) = match.group(), match.span()
            if word == "\n":
                before = []
                continue
            before = [*before, (word, start)][-self.words :]
            for first in range(len(before) - 1, -1, -1):
                yield f"<{' '.join(word for word, _ in before[first:])}>", before[first][1], end
            yield from self.inside(word, start)

    def inside(self, word: str, start: int) -> Iterator[Ngram]:
        """The runs of letters in a word that begins at `start`."""
        marked = f"<{word}>"
        for size in range(self.shortest, min(self.longest, len(marked) - 1) + 1):
            for first in range(len(marked) - size + 1):
                begin, end = max(first - 1, 0), min(first + size - 1, len(word))
                yield marked[first : first + size], start + begin, start + end

    def fit(self, text: str) -> "NgramTokenizer":
        """Learn the n-grams of the text, a line after the other; those equally frequent stand in their order."""
        counts = Counter(ngram for ngram, _, _ in self.split(text))
        del counts[UNKNOWN]
        frequent = [ngram for ngram, count in counts.most_common() if count >= self.min_count]
        self.know([UNKNOWN, *frequent][: self.max_size or None])
        return self

    def known(self, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
        """The ids of a text and their places."""
        some = False
        for ngram, start, end in self.split(text):
            if (id := self.ids.get(ngram)) is not None:
                some = True
                yield id, (start, end)
        if not some and text.strip():
            yield 0, (0, len(text))

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """The ids of the known n-grams."""
        return np.array([id for id, _ in self.known(text)], dtype=np.int64)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each known n-gram of a text begins and ends, in characters."""
        return [place for _, place in self.known(text)]

    def piece(self, id: int, before: int | None = None) -> bytes:
        """The n-gram, after a space unless a text starts here."""
        return super().piece(id) if before is None else b" " + super().piece(id)

    def to_json(self) -> dict[str, Any]:
        """The options and the n-grams by id."""
        options = ("words", "shortest", "longest", "min_count", "max_size", "lower", "punctuation")
        return {name: getattr(self, name) for name in options} | {"ngrams": self.ngrams}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "NgramTokenizer":
        """The tokenizer that `to_json` wrote down."""
        types = {"words": Count, "shortest": Count, "longest": Natural, "min_count": Count, "max_size": Natural}
        options = {name: field(data, name, kind) for name, kind in types.items()}
        made = cls(**options, lower=field(data, "lower", bool), punctuation=field(data, "punctuation", bool))
        ngrams = field(data, "ngrams", list[str])
        if ngrams[:1] != [UNKNOWN] or len(set(ngrams)) < len(ngrams):
            raise wrong("ngrams", f"{UNKNOWN} should stand first and each n-gram once")
        made.know(ngrams)
        return made
