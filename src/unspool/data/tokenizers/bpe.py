"""Byte pair encoding, trained by Hugging Face's library."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer, field, tokenizers, wrong

Vocabulary = Annotated[int, Ge(256)]
"""A whole number, at least the number of bytes there are."""

BREAK = re.compile(r"(?<=\S)(?=\n)")
"""Where a text can be cut and its ids stay the same: before white space after something else a token always ends."""


def byte_letters() -> dict[str, int]:
    """GPT-2's printable letter for each byte, as its vocabulary files spell tokens.

    >>> byte_letters()["Ġ"] == ord(" ")
    True
    """
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + index): byte for index, byte in enumerate(hidden)}


@tokenizers.register("bpe")
class BPETokenizer(Tokenizer):
    """Byte pair encoding: the most frequent pair of neighbours becomes one token, until there are `vocabulary` tokens.

    It starts from the 256 bytes, so any text comes back exactly.

    Sennrich, Haddow and Birch 2016, arXiv:1508.07909; on bytes: Radford et al. 2019.

    Args:
        vocabulary: how many tokens there are, at least the 256 bytes.

    >>> tokenizer = BPETokenizer(vocabulary=258).fit("ababab ababab")
    >>> len(tokenizer.encode("ababab")) < 6, tokenizer.decode(tokenizer.encode("abé"))
    (True, 'abé')
    """

    def __init__(self, vocabulary: Vocabulary = 1000) -> None:
        import tokenizers as hugging_face

        self.vocabulary = vocabulary
        model = hugging_face.models.BPE(byte_letters(), [])
        engine = hugging_face.Tokenizer(model)
        engine.pre_tokenizer = hugging_face.pre_tokenizers.ByteLevel(add_prefix_space=False)
        engine.decoder = hugging_face.decoders.ByteLevel()
        self.know(engine)

    def know(self, engine: Any) -> None:
        """Take the vocabulary of a Hugging Face tokenizer."""
        letters = byte_letters()
        names = sorted(engine.get_vocab().items(), key=lambda item: item[1])
        self.engine = engine
        self.pieces = [bytes(letters[letter] for letter in name) for name, _ in names]

    def fit(self, text: str) -> "BPETokenizer":
        """Learn which neighbours to join."""
        from tokenizers.trainers import BpeTrainer

        alphabet = list(byte_letters())
        trainer = BpeTrainer(vocab_size=self.vocabulary, initial_alphabet=alphabet, show_progress=False)
        self.engine.train_from_iterator(split_lines(text), trainer)
        self.know(self.engine)
        return self

    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """The ids of the text, line by line on all cores."""
        encoded = self.engine.encode_batch(split_lines(text))
        return np.array([id for line in encoded for id in line.ids], dtype=np.int64)

    def to_json(self) -> dict[str, Any]:
        """The option and Hugging Face's own JSON, which its library can read too."""
        return {"vocabulary": self.vocabulary, "engine": json.loads(self.engine.to_str())}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "BPETokenizer":
        """The tokenizer that `to_json` wrote down."""
        import tokenizers as hugging_face

        tokenizer = cls(field(data, "vocabulary", Vocabulary))
        engine = field(data, "engine", dict[str, Any]) | {"post_processor": None, "truncation": None, "padding": None}
        try:
            made = hugging_face.Tokenizer.from_str(json.dumps(engine))
            tokenizer.know(made)
            ids = sorted(made.get_vocab().values())
        except Exception as error:  # the library raises nothing narrower
            raise wrong("engine", str(error)) from None
        if ids != list(range(len(ids))):
            raise wrong("engine", "its ids are not numbered from zero on")
        return tokenizer


def split_lines(text: str) -> list[str]:
    """The text cut where no token can reach across; a lone surrogate, which no UTF-8 can hold, becomes "?"."""
    return BREAK.split(text.encode("utf-8", "replace").decode("utf-8"))
