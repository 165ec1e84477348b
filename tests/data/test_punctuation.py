"""Words and punctuation of many scripts: apart, together, and in a vocabulary."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data.punctuation import join_punctuation, split_punctuation
from unspool.data.text_features import all_features
from unspool.data.tokenizer import tokenizers

LINES = {
    "English": "In the U.S. it's 3.14, not 1,000; and/or a 'T-shirt' (\"old\") e.g. at 10:30!",
    "German": "Er sagte: \u201eKein Problem\u201c \u2013 f\u00fcr 3,50\u20ac/Stk.",
    "French": "\u00ab Voil\u00e0 \u00bb, dit-il, l\u2019\u00e9t\u00e9.",
    "Spanish": "\u00bfQu\u00e9 tal? \u00a1Hola, ma\u00f1ana!",
    "Hindi": "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902, \u0939\u093e\u0901\u0964",
    "pointed Hebrew": "\u05d1\u05b0\u05bc\u05e8\u05b5\u05d0\u05e9\u05b4\u05c1\u05d9\u05ea.",
    "pointed Arabic": "\u0643\u0650\u062a\u064e\u0627\u0628\u064c\u060c \u0645\u064e\u0627\u061f",
    "Persian with a non-joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.",
    "Vietnamese, decomposed": unicodedata.normalize("NFD", "Ti\u1ebfng Vi\u1ec7t, d\u1ec5!"),
    "Chinese": "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u300c\u597d\u300d",
    "Japanese": "\u300c\u304c\u300d\u3068\u300c\u304b\u3099\u300d\u3002",
    "Korean, decomposed": unicodedata.normalize("NFD", "\ud55c\uad6d\uc5b4."),
    "Thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a",
    "Tamil": "\u0ba4\u0bae\u0bbf\u0bb4\u0bcd, \u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd!",
    "emoji": "family \U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f44d\U0001f3fd, flag \U0001f1e9\U0001f1ea!",
    "addresses": "mail a.b@c.org or see https://x.org/a_b?c=1&d=2#e",
}


@pytest.mark.parametrize("language", LINES)
def test_apart_and_together_are_inverse(language):
    line = LINES[language]
    apart = split_punctuation(line)
    assert join_punctuation(apart) == line
    assert split_punctuation(apart) == apart, "twice is once"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("\u0939\u093f\u0928\u094d\u0926\u0940\u0964", ["\u0939\u093f\u0928\u094d\u0926\u0940", "\u0964"]),
        ("3.14 1,000 U.S. v1.2", ["3.14", "1,000", "U.S.", "v1.2"]),
        ("\U0001f469\u200d\U0001f467!", ["\U0001f469\u200d\U0001f467", "!"]),
        ("cafe\u0301s.", ["cafe\u0301s", "."]),
    ],
    ids=["marks", "numbers", "emoji", "decomposed"],
)
def test_nothing_is_torn_from_its_word(line, words):
    assert [word.strip("\uffed") for word in split_punctuation(line).split()] == words
    assert tokenizers.build("tokenizer", {"kind": "word", "punctuation": True}).split(line) == words


@given(st.text(st.characters(codec="utf-8", exclude_characters="\uffed"), max_size=12))
@settings(max_examples=300, deadline=None)
def test_nothing_is_lost_but_white_space(line):
    apart = split_punctuation(line)
    assert "".join(join_punctuation(apart).split()) == "".join(line.split())
    assert split_punctuation(apart) == apart


def test_a_mark_is_inside_its_word():
    found = all_features(list("\u0939\u093f !"))
    assert found["inside a word"].tolist() == [True, True, False, False]
    assert found["punctuation"].tolist() == [False, False, False, True]
