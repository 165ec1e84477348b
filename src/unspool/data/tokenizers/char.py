"""One id for each character."""

import string
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, field, tokenizers, wrong
from unspool.errors import DataError

Alphabet = Literal["text", "printable"]


@tokenizers.register("char")
class CharTokenizer(Tokenizer):
    """The sorted characters of the training text, or Python's 100 printable ones in their own order.

    Args:
        alphabet: "text" (what is in the training text) or "printable" (Python's `string.printable`).

    >>> CharTokenizer(alphabet="printable").encode("abcDEF").tolist()
    [10, 11, 12, 39, 40, 41]
    """

    def __init__(self, alphabet: Alphabet = "text") -> None:
        self.alphabet = alphabet
        self.know(string.printable if alphabet == "printable" else "")

    def know(self, characters: Iterable[str]) -> None:
        """Make these the vocabulary, in this order."""
        self.characters = list(characters)
        self.pieces = [character.encode("utf-8", "replace") for character in self.characters]
        codes = [ord(character) for character in self.characters]
        self.table = np.full(
            max(codes, default=0) + 2, -1, dtype=np.int64
        )  # the last place stands for everything beyond
        self.table[codes] = np.arange(len(codes))

    sees_all = True

    def fit(self, text: str) -> "CharTokenizer":
        """Learn the characters of the text; the printable alphabet has nothing to learn."""
        if self.alphabet == "text":
            self.know(sorted(set(text)))
        return self

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """One id for each character, or a DataError that names those without one."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        ids = self.table[np.minimum(codes, len(self.table) - 1)]
        if len(ids) and ids.min() < 0:
            strange = self.unknown(text)
            named = ", ".join(map(repr, strange[:5])) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
            raise DataError(
                f"the tokenizer does not know {named}",
                hint="leave them out: a model knows the characters that it was trained on; one that is trained with "
                "tokenizer.kind=byte knows all",
            )
        return ids

    def unknown(self, text: str) -> list[str]:
        """The characters that no id stands for, each once, in their order."""
        known = set(self.characters)
        return [character for character in dict.fromkeys(text) if character not in known]

    def to_json(self) -> dict[str, Any]:
        """The alphabet and its characters by id."""
        return {"alphabet": self.alphabet, "characters": self.characters}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CharTokenizer":
        """The tokenizer that `to_json` wrote down."""
        tokenizer = cls(field(data, "alphabet", Alphabet))
        characters = field(data, "characters", list[str])
        if any(len(character) != 1 for character in characters) or len(set(characters)) < len(characters):
            raise wrong("characters", "each should be one character and stand once")
        tokenizer.know(characters)
        return tokenizer
