"""What is true of a text, against answers that were written by hand under it."""

import time

import numpy as np
import pytest
import torch

from unspool.data.text_features import all_features, features_of_rows, telling, text_features


def marked(tokens, name):
    """The feature as a row of marks."""
    return "".join(".^"[yes] for yes in all_features(tokens)[name].tolist())


@pytest.mark.parametrize(
    ("name", "text", "marks"),
    [
        ("inside quotes", 'a "b c" d "e" f', "..^^^^....^^..."),
        ("inside quotes", "a “b c” d ” “e", "..^^^^......^^"),
        ("inside quotes", '"left\nopen\n\nno "yes"', "^^^^^^^^^^^....^^^^."),
        ("inside quotes", '"left\n \t\nno', "^^^^^^^^..."),
        ("inside quotes", '“left\n\n"yes', "^^^^^^.^^^^"),
        ("inside brackets", "a (b [c] d) e", "..^^^^^^^^..."),
        ("inside brackets", "1) (a) ) (b", "...^^....^^"),
        ("inside brackets", "((open\n\nno) (yes", "^^^^^^^.....^^^^"),
        ("inside brackets", "1)\n\n(a) b", "....^^..."),
        ("inside < >", "a <b> c > <d\ne", "..^^......^^.."),
        ("a capital", "He IS É", "^..^^.^"),
        ("in a word with a capital first", "He is McX x", "^^....^^^.."),
        ("in a word in capitals", "HE Is A NO no NOt", ".^.......^.....^."),
        ("a vowel", "Ahoy, you", "^.^....^^"),
        ("a digit", "a 12 b3", "..^^..^"),
        ("white space", "a b\n\tc", ".^.^^."),
        ("punctuation", "Ah, 5 - é!", "..^...^..^"),
        ("inside a word", "It's 5 é", "^^.^...^"),
        ("the first letter of a word", "To be\nor", "^..^..^."),
        ("after a colon in the line", "A: b\nc:d", ".^^^..^^"),
        ("in the line after a colon", "A:\nbc\nd", "..^^^.."),
        ("in the first line of a paragraph", "a\nb\n\nc\nd", "^...^^.."),
        ("after # in the line", "a # b\nc", "..^^^.."),
    ],
)
def test_what_is_true_behind_each_character(name, text, marks):
    assert marked(list(text), name) == marks


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("column in the line", "ab\nc\n\nd", [1, 2, 0, 1, 0, 0, 1]),
        ("letters of the word so far", "ab, cde", [1, 2, 0, 0, 1, 2, 3]),
        ("indentation of the line", "  ab\n c\nd", [1, 2, 2, 2, 0, 1, 1, 0, 0]),
        ("place in the text", "ab\n", [1, 2, 3]),
    ],
)
def test_what_is_counted_behind_each_character(name, text, counts):
    found = all_features(list(text))[name]
    assert found.dtype == np.float32 and found.tolist() == counts


def test_words_and_pieces_are_judged_by_where_they_end():
    words = ["He", ' "said', ' it"', "\n", " NOW", ":", " 5"]
    assert marked(words, "inside quotes") == ".^....."
    assert marked(words, "in a word in capitals") == "....^.."
    assert marked(words, "after a colon in the line") == ".....^^"
    assert all_features(words)["column in the line"].tolist() == [2, 8, 12, 0, 4, 5, 7]
    assert marked(["", "“", "", "x”"], "inside quotes") == ".^^.", "a token may be half a character"


def test_a_text_in_other_pieces_is_the_same_text():
    text = 'A "test (of\nthe) rule": 5 #x\n\n“No"'
    by_character, ends = all_features(list(text)), [0, 7, 8, 15, 30, len(text) - 1]
    begins = [0, *(end + 1 for end in ends[:-1])]
    pieces = [text[a : b + 1] for a, b in zip(begins, ends, strict=True)]
    for name, values in all_features(pieces).items():
        assert values.tolist() == by_character[name][ends].tolist(), name


def test_only_what_varies_is_kept():
    ten = text_features(list('"' + 10 * "a" + '"' + 9 * "b"))
    assert ten["inside quotes"].sum() == 11 and len(ten["inside quotes"]) == 21
    assert "inside quotes" not in text_features(list('"' + 8 * "a" + '"' + 20 * "b")), "nine times yes"
    assert "inside quotes" not in text_features(list('"' + 30 * "a" + '"' + 8 * "b")), "nine times no"
    assert "indentation of the line" not in ten and "indentation of the line" in text_features(list("a\n b"))
    assert text_features([]) == {} == text_features([""])
    assert telling({"some": np.array([1.0, 1.0])}) == {}


def test_several_texts_begin_anew_and_stand_where_they_are_there():
    there = torch.tensor([[False, False] + [True] * 14, [True] * 12 + [False] * 4])
    found = features_of_rows([list('a"bcdefghijklm'), list("n\nop(qrstuvwx")[:12]], there)
    assert {value.shape for value in found.values()} == {there.shape}
    assert "".join(".^"[yes] for yes in found["inside quotes"].flatten().tolist()) == "..." + 13 * "^" + 16 * "."
    assert found["column in the line"][1].tolist() == [1, 0, *range(1, 11), 0, 0, 0, 0]
    assert found["column in the line"].dtype == torch.float32 and found["inside quotes"].dtype == torch.bool


def test_a_long_text_takes_no_time():
    tokens = list('“It (was) the "Best" of times:\n\n  it was #5\n' * 2500)[:100_000]
    begun = time.process_time()
    found = text_features(tokens)
    assert time.process_time() - begun < 1 and len(found) > 15
