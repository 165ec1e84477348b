"""The keys of a phone, and what words cost on them, counted by hand."""

import pytest

from unspool.data.keypad import (
    KEYS,
    NOWHERE,
    KeyDictionary,
    checked_keys,
    is_typeable,
    key_of,
    keys_of,
    may_begin,
    taps,
    words_of,
)
from unspool.errors import DataError


def test_every_letter_and_digit_has_its_key():
    assert "".join(KEYS.values()) == "abcdefghijklmnopqrstuvwxyz"
    assert keys_of("abcdefghijklmnopqrstuvwxyz") == "22233344455566677778889999"
    assert keys_of("0123456789") == "0123456789" and keys_of("GOOD") == "4663"


@pytest.mark.parametrize(
    ("word", "keys"),
    [
        ("café", "2233"),
        ("cafe\u0301", "2233"),
        ("Øl", "65"),
        ("Straße", "787273"),
        ("l\u2019été", "51383"),
        ("œil", "645"),
        ("U.S.", "8171"),
    ],
)
def test_accented_letters_lie_where_their_base_letter_does(word, keys):
    assert keys_of(word) == keys


@pytest.mark.parametrize("word", ["день", "λόγος", "字", "a\n", "x😀"])
def test_what_lies_on_no_key_is_said(word):
    assert not is_typeable(word)
    with pytest.raises(DataError, match="lies on no key"):
        keys_of(word)


def test_multi_tap_by_hand():
    """Hello: 44 33 555 NEXT 555 666; the: 8 44 33; 2nd: 2222 66 3; it's: 444 8 111 7777."""
    assert [taps(word) for word in ("hello", "the", "2nd", "it's", "É")] == [14, 5, 7, 11, 2]


def test_a_dictionary_ranks_by_frequency_then_by_the_alphabet():
    dictionary = KeyDictionary(words_of("Home good home, gone! Good home (день) hood."))
    assert dictionary.candidates("4663") == ["home", "good", "gone", "hood"]
    assert "good" in dictionary and "bad" not in dictionary and dictionary.candidates("999") == []


@pytest.mark.parametrize(
    ("keys", "says"), [("46a", "'a' is no key"), ("", "no key is pressed"), (" ", "no key"), ("4*", "'\\*' is")]
)
def test_what_is_no_key_is_refused(keys, says):
    with pytest.raises(DataError, match=says) as refused:
        checked_keys(keys)
    assert '--keys "4663' in refused.value.hint


def test_unfinished_characters_may_become_letters_of_their_key_alone():
    assert may_begin("2", "à".encode()[:1]) and may_begin("8", "ự".encode()[:2])
    assert may_begin("1", "\u2019".encode()[:1]) and not may_begin("4", "я".encode()[:1])
    assert may_begin("2", "\u0301".encode()[:1]), "a mark belongs to the letter before it"
    assert key_of("\ud800") == NOWHERE
