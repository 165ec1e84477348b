"""The keys of a phone (ITU-T E.161): which key a letter lies on, and how often it is pressed to spell it."""

from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache

import regex
from anyascii import anyascii

from unspool.data.punctuation import LETTER
from unspool.errors import DataError

KEYS = {"2": "abc", "3": "def", "4": "ghi", "5": "jkl", "6": "mno", "7": "pqrs", "8": "tuv", "9": "wxyz"}
"""The letters of each key, in the order in which multi-tap goes through them. Every key has its digit as well."""
MARKS = ".,'?!\"1-()@/:_"
"""What key 1 goes through, as phones of Nokia did; any other mark comes behind them."""
NOWHERE = "\0"
"""Stands for the key of a character that lies on none."""
LAST = 0x2100
"""Characters with a key come before this code point."""
KEY_OF = {letter: key for key, letters in KEYS.items() for letter in letters}
MARK = regex.compile("[\u0300-\u036f]")
PUNCTUATION = regex.compile(r"\p{P}")
LATIN = regex.compile(r"\p{Latin}")
WORD = regex.compile(rf"{LETTER}+(?:['\u2019]{LETTER}+)*")
"""A word that is typed: letters, with apostrophes inside."""


@lru_cache(maxsize=20_000)
def key_of(character: str) -> str:
    r"""The key that a character lies on: letters by their base letter, digits by themselves, punctuation on 1.

    Args:
        character: one character.

    Returns:
        A digit; a space for a space; "" for an accent that is combined with the letter before it; `NOWHERE` for
        everything that no key has, such as a letter of another script.

    >>> [key_of(character) for character in "gÉß7'’ "], key_of("\u0301"), key_of("я") == NOWHERE
    (['4', '3', '7', '7', '1', '1', ' '], '', True)
    """
    if character == " " or character in "0123456789":
        return character
    if MARK.match(character):
        return ""
    if PUNCTUATION.match(character):
        return "1"
    return KEY_OF.get(anyascii(character)[:1].lower(), NOWHERE) if LATIN.match(character) else NOWHERE


def keys_of(word: str) -> str:
    """The keys of a word, one press a letter; a DataError for a character that no key has.

    >>> keys_of("good"), keys_of("home"), keys_of("Don't")
    ('4663', '4663', '36618')
    """
    keys = "".join(map(key_of, word))
    if NOWHERE in keys:
        strange = next(character for character in word if key_of(character) == NOWHERE)
        raise DataError(f"{strange!r} lies on no key of a phone", hint='keys have Latin letters: --keys "4663"')
    return keys


def is_typeable(word: str) -> bool:
    """Whether every character of a word lies on a key.

    >>> is_typeable("Café"), is_typeable("кафе")
    (True, False)
    """
    return NOWHERE not in map(key_of, word)


def taps(word: str) -> int:
    """The presses that spell a word by multi-tap: the place of each letter on its key, and NEXT between two of one key.

    A digit comes behind the letters of its key. The space behind the word is not counted.

    MacKenzie 2002, KSPC (keystrokes per character) as a characteristic of text entry techniques, Mobile HCI.

    >>> taps("a"), taps("c"), taps("cab")  # 222 N 2 N 22
    (1, 3, 8)
    """
    keys = [(key, character) for character in word if (key := key_of(character))]
    again = sum(key == before for (key, _), (before, _) in zip(keys[1:], keys, strict=False))
    return again + sum(place_on_key(key, character) for key, character in keys)


def place_on_key(key: str, character: str) -> int:
    """How often a key is pressed to reach a character, from 1."""
    order = MARKS if key == "1" else KEYS.get(key, "") + key
    base = "'" if character == "\u2019" else anyascii(character)[:1].lower()
    return order.find(base) + 1 or len(order) + 1


def words_of(text: str) -> list[str]:
    """The words of a text that are typed, as they stand in it.

    >>> words_of("Don't go (yet).")
    ["Don't", 'go', 'yet']
    """
    return WORD.findall(text)


class KeyDictionary:
    """The words of a text by their keys, as T9's own dictionary: the frequent ones first, in lower case.

    Words of one frequency stand in alphabetical order; those with a character that no key has are left out.

    Args:
        words: every occurrence of a word.

    >>> dictionary = KeyDictionary(["home", "good", "Home", "he"])
    >>> dictionary.candidates("4663"), "good" in dictionary
    (['home', 'good'], True)
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.counts = Counter(word.lower() for word in words)
        self.words: dict[str, list[str]] = {}
        for word in sorted(self.counts, key=lambda word: (-self.counts[word], word)):
            if is_typeable(word):
                self.words.setdefault(keys_of(word), []).append(word)

    def __contains__(self, word: object) -> bool:
        return word in self.counts

    def candidates(self, keys: str) -> list[str]:
        """The words on these keys, the most frequent first."""
        return self.words.get(keys, [])


def checked_keys(keys: str) -> str:
    """The keys with one space between groups.

    Raises:
        DataError: there is none, or something is no key.

    >>> checked_keys(" 4663  63 ")
    '4663 63'
    """
    strange = [one for one in keys if one not in "0123456789" and not one.isspace()]
    if strange:
        raise DataError(
            f"{strange[0]!r} is no key of a phone", hint='--keys takes digits, a space between words: --keys "4663 63"'
        )
    if not keys.strip():
        raise DataError("no key is pressed", hint='--keys "4663" writes good, home, gone, ...')
    return " ".join(keys.split())


@cache
def beginnings() -> dict[str, frozenset[bytes]]:
    """For each key the first bytes, in UTF-8, of the characters that lie on it; under "" those of combined accents."""
    found: dict[str, set[bytes]] = {}
    for character in map(chr, range(128, LAST)):
        spelt = character.encode()
        found.setdefault(key_of(character), set()).update(spelt[:size] for size in range(1, len(spelt)))
    return {key: frozenset(some) for key, some in found.items() if key != NOWHERE}


def may_begin(key: str, unfinished: bytes) -> bool:
    r"""Whether some character of a key, or a mark on the letter before it, begins with these bytes of UTF-8.

    >>> may_begin("3", b"\xc3"), may_begin("3", "я".encode()[:1])
    (True, False)
    """
    return any(unfinished in beginnings().get(some, ()) for some in (key, ""))
