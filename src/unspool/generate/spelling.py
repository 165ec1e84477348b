"""Constrained spelling: what a beam search generates fits what was typed, letters or keys of a phone, and is a word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex
import torch
from torch import Tensor

from unspool.data.keypad import key_of, may_begin
from unspool.data.punctuation import LETTER
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError

LETTERS = rf"(?:{LETTER}|['\u2019])"
"""What stands inside a word."""
WORD = regex.compile(rf"{LETTERS}+")


@dataclass(frozen=True)
class Layout:
    """What is typed for a character.

    Args:
        typed: gives the one character that is typed for it; "" where it belongs to the one before it.
        begins: whether some character for which this is typed begins with these bytes of UTF-8.
    """

    typed: Callable[[str], str]
    begins: Callable[[str, bytes], bool]


PLAIN = Layout(str, lambda letter, unfinished: letter.encode().startswith(unfinished))
"""Every letter is typed as it is."""
PHONE = Layout(key_of, may_begin)
"""Every letter is the key of a phone on which it lies."""


@dataclass(frozen=True)
class Pattern:
    """What was typed, and how many letters may follow it.

    Args:
        typed: letters, or keys; a space is a space.
        layout: which of them.
        least: so many letters come behind it at least.
        most: and so many at most; None: any number.
        spaced: whether a space may come before it that was not typed.

    >>> Pattern("46", PHONE, 0, 0).after(0, "go"), Pattern("46", PHONE, 0, 0).after(0, "goo")
    (2, None)
    """

    typed: str
    layout: Layout = PLAIN
    least: int = 1
    most: int | None = None
    spaced: bool = False

    def after(self, place: int, text: str) -> int | None:
        """The place in the pattern behind a text that comes at a place; None where it does not fit."""
        size = len(self.typed)
        for character in text:
            typed = self.layout.typed(character)
            if not typed:
                if not place or self.typed[place - 1 : place] == " ":
                    return None
                continue
            if place < size:
                if typed != self.typed[place]:
                    return None
            elif place == self.end or not WORD.fullmatch(character):
                return None
            place += 1
        return place

    @property
    def end(self) -> int | None:
        """The place behind the last letter that may come."""
        return None if self.most is None else len(self.typed) + self.most

    def begins(self, place: int, unfinished: bytes) -> bool:
        """Whether some character that begins with these bytes may come at a place."""
        if place < len(self.typed):
            return self.layout.begins(self.typed[place], unfinished)
        return place != self.end or self.layout.begins("", unfinished)

    def may_end(self, place: int) -> bool:
        """Whether the word may end at a place."""
        return place >= len(self.typed) + self.least


class Spelling:
    """A rule for beam search: what is generated fits the pattern of its row, and is one word, or words with spaces.

    Given the ids that each row has generated, (R, T), and the log-probabilities of the next, (R, V), it rules out every
    token that does not fit, and adds up the probabilities of all tokens that end the word in the token `end`. Each
    pattern has as many rows as the search has beams, one pattern after the other. Patterns are of characters, tokens of
    bytes: a character that is unfinished as yet may become one that fits.

    Args:
        tokenizer: of the model.
        patterns: what is wanted of each text.
        before: the token after which they begin.
        device: of the scores.

    Raises:
        DataError: no token of the tokenizer ends a word.
    """

    def __init__(self, tokenizer: Tokenizer, patterns: Sequence[Pattern], before: int, device: torch.device) -> None:
        self.patterns, self.device = patterns, device
        self.first = [tokenizer.piece(id, before) for id in range(tokenizer.size)]
        self.later = [tokenizer.piece(id, 0) for id in range(tokenizer.size)]
        outside = [not (piece and inside(first_character(piece))) for piece in self.later]
        if True not in outside or not any(self.later):
            raise DataError("no token of this tokenizer ends a word", hint="train on text with spaces")
        self.ends = torch.tensor(outside, device=device)
        self.end = outside.index(True)
        self.texts = {piece: split_unfinished(piece) for piece in {*self.first, *self.later}}
        self.mask: Callable[[Pattern, int, bytes, bool], Tensor] = lru_cache(maxsize=4096)(self._mask)

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """The scores of what may come next."""
        beams = len(scores) // len(self.patterns)
        kept, may_end = [], []
        for row, some in enumerate(ids.tolist()):
            pattern = self.patterns[row // beams]
            place, unfinished = self.place(some, pattern)
            kept.append(self.mask(pattern, place, unfinished, not some))
            may_end.append(pattern.may_end(place) and not unfinished)
        ended = scores.masked_fill(~self.ends, -torch.inf).logsumexp(dim=-1)
        scores = scores.masked_fill(~torch.stack(kept), -torch.inf)
        scores[:, self.end] = torch.where(torch.tensor(may_end, device=self.device), ended, -torch.inf)
        return scores

    def spell(self, ids: Sequence[int]) -> bytes:
        """The bytes of what was generated after the prompt."""
        return b"".join(self.later[id] if place else self.first[id] for place, id in enumerate(ids))

    def place(self, ids: Sequence[int], pattern: Pattern) -> tuple[int, bytes]:
        """How far in its pattern a row is, -1 behind its end, and the bytes of an unfinished character."""
        text, unfinished = split_unfinished(self.spell(ids)) or ("\n", b"")
        place = pattern.after(0, text.removeprefix(" ") if pattern.spaced else text)
        return (-1 if place is None else place), unfinished

    def _mask(self, pattern: Pattern, place: int, unfinished: bytes, first: bool) -> Tensor:
        pieces = self.first if first else self.later
        fits = [place >= 0 and self._fits(piece, pattern, place, unfinished, first) for piece in pieces]
        return torch.tensor(fits, device=self.device)

    def _fits(self, piece: bytes, pattern: Pattern, place: int, unfinished: bytes, first: bool) -> bool:
        found = split_unfinished(unfinished + piece) if unfinished else self.texts[piece]
        if not piece or found is None:
            return False
        text, rest = found
        after = pattern.after(place, text.removeprefix(" ") if pattern.spaced and first else text)
        return after is not None and (not rest or pattern.begins(after, rest))


def split_unfinished(piece: bytes) -> tuple[str, bytes] | None:
    r"""Text, and the first bytes of a character at its end; None where the bytes are no beginning of UTF-8.

    >>> split_unfinished(b"caf\xc3"), split_unfinished(b"\xa9")
    (('caf', b'\xc3'), None)
    """
    try:
        return piece.decode(), b""
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return None
        return piece[: error.start].decode(), piece[error.start :]


def first_character(piece: bytes) -> bytes:
    """The bytes of the first character of a piece, or what it has of them."""
    found = split_unfinished(piece)
    return found[0][0].encode() if found and found[0] else piece[:1]


def inside(piece: bytes) -> bool:
    """Whether all of a piece of text can stand inside a word; a part of a character can.

    >>> inside("don't".encode()), inside(b"\\xc3"), inside(b"so "), inside("—".encode())
    (True, True, False, False)
    """
    text = piece.decode("utf-8", "replace").replace("\ufffd", "x")
    return bool(WORD.fullmatch(text))
