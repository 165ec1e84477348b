"""One id for each byte of UTF-8: nothing to learn, and nothing is ever unknown."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, tokenizers


@tokenizers.register("byte")
class ByteTokenizer(Tokenizer):
    """256 ids for any text in any language.

    >>> ByteTokenizer().encode("né").tolist()
    [110, 195, 169]
    """

    def __init__(self) -> None:
        self.pieces = [bytes([byte]) for byte in range(256)]

    def fit(self, text: str) -> "ByteTokenizer":
        """Nothing to learn."""
        return self

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """The bytes of the text in UTF-8."""
        return np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ByteTokenizer":
        """The tokenizer again."""
        return cls()
