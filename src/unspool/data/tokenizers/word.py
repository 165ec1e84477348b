"""One id for each word between white space; the end of a line is a word too."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import regex
from jaxtyping import Int64

from unspool.data.punctuation import ABBREVIATION, CLUSTER, LETTER
from unspool.data.punctuation import WORD as WORDS
from unspool.data.tokenizer import Tokenizer, field, tokenizers, wrong
from unspool.schema import Count, Natural

UNKNOWN = "<unk>"
WORD = re.compile(r"\n|\S+")
APART = regex.compile(rf"\n|{ABBREVIATION}|{WORDS}(?:['\u2019]{LETTER}+)*|{CLUSTER}")


@tokenizers.register("word")
class WordTokenizer(Tokenizer):
    r"""The words of the training text, the frequent ones first; id 0, `<unk>`, stands for every other word.

    A text is decoded with one space between words and none around line breaks, whatever white space it had.

    Args:
        lower: whether the text is lowercased.
        min_count: only words that occur so often in the training text are kept.
        max_size: at most so many ids; 0: any number.
        punctuation: whether every mark that is not inside a word is a word of its own.

    >>> tokenizer = WordTokenizer().fit("to be or\nnot to be")
    >>> tokenizer.decode(tokenizer.encode("be  not\n here"))
    'be not\n<unk>'
    """

    def __init__(
        self, min_count: Count = 1, lower: bool = False, max_size: Natural = 0, punctuation: bool = False
    ) -> None:
        self.min_count, self.lower, self.max_size, self.punctuation = min_count, lower, max_size, punctuation
        self.know([UNKNOWN])

    def know(self, words: Iterable[str]) -> None:
        """Make these the vocabulary, in this order."""
        self.words = list(words)
        self.pieces = [word.encode("utf-8", "replace") for word in self.words]
        self.spaced = [b" " + piece for piece in self.pieces]
        self.ids = {word: id for id, word in enumerate(self.words)}

    def split(self, text: str) -> list[str]:
        """The words of a text, known or not."""
        return (APART if self.punctuation else WORD).findall(text.lower() if self.lower else text)

    def fit(self, text: str) -> "WordTokenizer":
        """Learn the words of the text; words equally frequent stand in their order."""
        counts = Counter(self.split(text))
        del counts[UNKNOWN]  # a text may hold it already, as WikiText does
        frequent = [word for word, count in counts.most_common() if count >= self.min_count]
        self.know([UNKNOWN, *frequent][: self.max_size or None])
        return self

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """One id for each word, and 0 for a word that is not known."""
        words = self.split(text)
        return np.fromiter((self.ids.get(word, 0) for word in words), np.int64, len(words))

    def unknown(self, text: str) -> list[str]:
        """The words that no id stands for, each once, in their order."""
        return [word for word in dict.fromkeys(self.split(text)) if word not in self.ids]

    def normalized(self, text: str) -> str:
        """The words with one space between them, lowercased where the tokenizer does so."""
        return " ".join(self.split(text)).replace(" \n ", "\n").replace(" \n", "\n").replace("\n ", "\n")

    def lost(self, text: str) -> list[str]:
        """Every occurrence of a word that no id stands for; a text's own `<unk>` is a word like others."""
        return [word for word in self.split(text) if word not in self.ids]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each word of a text begins and ends, in characters."""
        return [match.span() for match in (APART if self.punctuation else WORD).finditer(text)]

    def piece(self, id: int, before: int | None = None) -> bytes:
        """The word, after a space unless a text or a line starts or ends here."""
        word = super().piece(id)
        return word if before is None or word == b"\n" or self.pieces[before] == b"\n" else self.spaced[id]

    def to_json(self) -> dict[str, Any]:
        """The options and the words by id."""
        options = {"min_count": self.min_count, "lower": self.lower, "max_size": self.max_size}
        return options | {"punctuation": self.punctuation, "words": self.words}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "WordTokenizer":
        """The tokenizer that `to_json` wrote down."""
        tokenizer = cls(
            field(data, "min_count", Count),
            field(data, "lower", bool),
            field(data, "max_size", Natural),
            field({"punctuation": False} | dict(data), "punctuation", bool),  # runs from before it was an option
        )
        words = field(data, "words", list[str])
        if words[:1] != [UNKNOWN] or len(set(words)) < len(words):
            raise wrong("words", f"{UNKNOWN} should stand first and each word once")
        tokenizer.know(words)
        return tokenizer
