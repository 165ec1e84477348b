"""Punctuation apart from words, as tokenizers of words want it, and back where it is usually written."""

import re

WORDS = re.compile(r"['’]\w+|\w+|[^\w\s]")  # noqa: RUF001
GLUED = re.compile(r" (?=[.,!?;:%)\]]|['’]\w)|(?<=[(\[]) |(?<=\w) (?=-)|(?<=-) (?=\w)")  # noqa: RUF001


def split_punctuation(line: str) -> str:
    """The line with spaces between its words and its punctuation.

    >>> split_punctuation("The man's (old) T-shirt.")
    "The man 's ( old ) T - shirt ."
    """
    return " ".join(WORDS.findall(line))


def join_punctuation(words: str) -> str:
    """The line again, nearly as it was before `split_punctuation`.

    >>> join_punctuation("The man 's ( old ) T - shirt .")
    "The man's (old) T-shirt."
    """
    return GLUED.sub("", words)
