"""Which characters of a text each of its tokens stands for."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError


class Tokens(NamedTuple):
    """The tokens of a text."""

    ids: Int64[np.ndarray, " N"]
    ends: Int64[np.ndarray, " N"]  # how many characters of the text come before the end of each
    unknown: list[str]  # characters that were left out, or words that are read as the unknown one


def tokenize(tokenizer: Tokenizer, text: str) -> Tokens:
    r"""The tokens of a text as somebody types it: characters that the tokenizer does not know are left out.

    A token that is a part of a character ends where the last whole character before it does.

    Args:
        tokenizer: of the model.
        text: any text.

    >>> from unspool.data.tokenizer import tokenizers
    >>> tokenize(tokenizers.build("tokenizer", "char").fit("abc"), "aé b")
    Tokens(ids=array([0, 1]), ends=array([1, 4]), unknown=['é', ' '])
    >>> tokenize(tokenizers.build("tokenizer", "byte"), "né").ends.tolist()
    [1, 1, 2]
    >>> tokenize(tokenizers.build("tokenizer", "word").fit("a word"), "a  new\n").ends.tolist()
    [1, 6, 7]
    """
    unknown = tokenizer.unknown(text)
    try:
        ids, places = tokenizer.encode(text), None
    except DataError:  # a character has no id
        strange = set(unknown)
        places = np.array([place for place, letter in enumerate(text) if letter not in strange], dtype=np.int64)
        text = "".join(letter for letter in text if letter not in strange)
        ids = tokenizer.encode(text)
    ends = _ends(tokenizer, text, ids)
    if places is not None and len(places):
        ends = np.where(ends > 0, places[np.maximum(ends, 1) - 1] + 1, 0)
    return Tokens(ids.astype(np.int64), ends, unknown)


def _ends(tokenizer: Tokenizer, text: str, ids: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    spelt, pieces = text.encode(), [tokenizer.pieces[id] for id in ids.tolist()]
    if b"".join(pieces) == spelt:
        sizes = np.fromiter(map(len, pieces), np.int64, len(pieces))
        if len(spelt) == len(text):
            return sizes.cumsum()
        begins = np.flatnonzero((np.frombuffer(spelt, np.uint8) & 0xC0) != 0x80)  # where in bytes a character begins
        ends = np.append(begins[1:], len(spelt))
        return np.searchsorted(ends, sizes.cumsum(), side="right").astype(np.int64)
    return np.array([end for _, end in tokenizer.offsets(text)], dtype=np.int64)[: len(ids)]


def alike(one: Int64[np.ndarray, " N"], other: Int64[np.ndarray, " M"]) -> int:
    """How many values two arrays have in common from their beginning.

    >>> alike(np.array([1, 2, 3]), np.array([1, 2, 4, 3])), alike(np.array([1]), np.array([1, 2]))
    (2, 1)
    """
    size = min(len(one), len(other))
    different = np.flatnonzero(one[:size] != other[:size])
    return int(different[0]) if len(different) else size
