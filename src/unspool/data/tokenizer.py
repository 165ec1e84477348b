"""Tokenizers: text to ids and back, and decoding token by token."""

import codecs
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from unspool.errors import ConfigError, DataError
from unspool.registry import Registry


class Tokenizer(ABC):
    """Text <-> ids. The constructor takes the recipe's options, `fit` learns the vocabulary from the training text.

    `pieces` holds the UTF-8 bytes of every token by id; decoding joins them, so a token may be a part of a character.

    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("hello")
    >>> tokenizer.encode("hole").tolist(), tokenizer.decode([1, 3, 2, 0])
    ([1, 3, 2, 0], 'hole')
    """

    pieces: list[bytes]
    sees_all = False
    """Whether it is fitted to all splits: one that cannot read what it never saw has to know every symbol there is."""
    writes = True
    """Whether its tokens join to a text, so that a model can write with them."""
    mask: int | None = None
    """The id that stands for a hidden token, where it has one of its own: [MASK]."""
    frame: tuple[int, int] | None = None
    """The ids before and behind a text that is read as a whole, where it has such: [CLS] and [SEP]."""

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.pieces)

    @abstractmethod
    def fit(self, text: str) -> "Tokenizer":
        """Learn the vocabulary from the training text; the tokenizer itself comes back."""

    @abstractmethod
    def encode(self, text: str) -> Int64[np.ndarray, " T"]:
        """The ids of a text."""

    def unknown(self, text: str) -> list[str]:
        """The characters or words of a text that no id stands for, each once, in their order."""
        return []

    def normalized(self, text: str) -> str:
        """The text as it would come back if every word were known: what is lost besides unknown words is lost here."""
        return text

    def lost(self, text: str) -> list[str]:
        """Every occurrence of a character or word that encoding replaces by an unknown token."""
        return []

    def piece(self, id: int, before: int | None = None) -> bytes:
        """The UTF-8 bytes that a token adds to a text when it comes after the token `before`."""
        if not 0 <= id < len(self.pieces):
            raise DataError(
                f"there is no token {id}: the vocabulary has {self.size}", hint="use the run's own tokenizer"
            )
        return self.pieces[id]

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text of ids; bytes that are no UTF-8 become U+FFFD."""
        numbers = [int(id) for id in ids]
        pieces = [self.piece(id, before) for before, id in zip([None, *numbers], numbers, strict=False)]
        return b"".join(pieces).decode("utf-8", "replace")

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where each token of a text begins and ends, in characters: for tokenizers whose tokens join to the text."""
        ends = [0]
        for id in self.encode(text).tolist():
            ends.append(ends[-1] + len(self.piece(id, None if len(ends) == 1 else 0).decode("utf-8", "replace")))
        return list(pairwise(ends))

    def token(self, id: int) -> str:
        """One token as a picture can show it."""
        return visible(self.piece(id).decode("utf-8", "backslashreplace"))

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Options and vocabulary, as JSON can hold them."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tokenizer":
        """The tokenizer that `to_json` wrote down; a DataError where a field is missing or wrong."""


def visible(text: str) -> str:
    r"""A text as a picture can show it.

    >>> visible("to be\n")
    'to␣be\\n'
    """
    return printable(text).replace(" ", "␣")


def printable(text: str) -> str:
    r"""A text whose other white space and control characters are written as in Python: no font has a sign for them.

    >>> printable("to be\n")
    'to be\\n'
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


tokenizers: Registry[Tokenizer] = Registry("tokenizer", "unspool.data.tokenizers")
"""Every kind of tokenizer that a recipe can name."""

DAMAGED = "the run folder is damaged: copy it again or train anew"


def save_text(tokenizer: Tokenizer) -> str:
    """The tokenizer as JSON text.

    >>> save_text(tokenizers.build("tokenizer", "byte"))
    '{"kind": "byte"}'
    """
    return json.dumps({"kind": tokenizers.kind_of(type(tokenizer)), **tokenizer.to_json()})


def load_text(text: str) -> Tokenizer:
    """The tokenizer that `save_text` wrote; it is read as data, nothing in it is executed.

    >>> load_text('{"kind": "byte"}').size
    256
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("the tokenizer's file is not valid JSON", hint=DAMAGED) from None
    if not isinstance(data, dict):
        raise DataError("the tokenizer's file holds no JSON object", hint=DAMAGED)
    kind = field(data, "kind", str)
    try:
        cls = tokenizers.find(kind)
    except ConfigError as error:
        raise DataError(str(error), hint=error.hint) from None
    return cls.from_json(data)


def field(data: Mapping[str, Any], name: str, wanted: Any) -> Any:
    """One field of a saved tokenizer, checked against a type.

    >>> field({"size": "3"}, "size", int)
    Traceback (most recent call last):
    ...
    unspool.errors.DataError: the tokenizer's field 'size' is wrong: input should be a valid integer
    """
    from pydantic import TypeAdapter, ValidationError

    if name not in data:
        raise DataError(f"the tokenizer's file has no field {name!r}", hint=DAMAGED)
    try:
        return TypeAdapter(wanted).validate_python(data[name], strict=True)
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise wrong(name, reason[0].lower() + reason[1:]) from None


def wrong(name: str, reason: str) -> DataError:
    """The error for a field of a saved tokenizer that says something impossible."""
    return DataError(f"the tokenizer's field {name!r} is wrong: {reason}", hint=DAMAGED)


def line_break(tokenizer: Tokenizer) -> int:
    r"""The id of the line break, with which a text may begin and end.

    Raises:
        DataError: the tokenizer has no token that is a line break and nothing else.

    >>> line_break(tokenizers.build("tokenizer", "byte"))
    10
    """
    ids = [] if tokenizer.unknown("\n") else tokenizer.encode("\n").tolist()
    if len(ids) != 1:
        raise DataError(
            "the tokenizer has no token of its own for a line break, with which a text begins and ends",
            hint="tokenizer.kind=word or bpe, and enough text for it",
        )
    return ids[0]


class TextStream:
    """Decodes token by token, never half a character; the pieces add up to what `decode` gives.

    Args:
        tokenizer: turns ids into bytes.
        before: the token before the first one, from which a word tokenizer knows that a space comes first; None: none.
        pending: the first bytes of an unfinished character.

    >>> stream = TextStream(tokenizers.build("tokenizer", "byte"))
    >>> [stream.feed(id) for id in "é!".encode()]
    ['', 'é', '!']
    """

    def __init__(self, tokenizer: Tokenizer, before: int | None = None, pending: bytes = b"") -> None:
        self.tokenizer, self.before = tokenizer, before
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.decoder.decode(pending)

    @property
    def pending(self) -> bytes:
        """The bytes of an unfinished character."""
        return self.decoder.getstate()[0]

    def feed(self, id: int) -> str:
        """The text that is complete with this token and was not before."""
        piece = self.tokenizer.piece(id, self.before)
        self.before = id
        return self.decoder.decode(piece)

    def flush(self) -> str:
        """What an end here leaves: U+FFFD for an unfinished character. The stream starts again."""
        self.before = None
        rest = self.decoder.decode(b"", final=True)
        self.decoder.reset()
        return rest
