"""Features of a text at each position, such as "inside quotes": units of a model are compared with them."""

from collections.abc import Callable, Mapping, Sequence
from unicodedata import category

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

LEAST = 10
"""At so many positions something must be true, and at so many false, before a unit can be compared with it."""


def text_features(tokens: Sequence[str]) -> dict[str, np.ndarray]:
    r"""What is true behind each token of a text, by its name: yes or no (bool), or a count (float32), (T,) each.

    Tokens are characters, words or pieces with the spaces and line breaks that they have in the text; one may be "",
    where half a character was read. A quotation or a bracket that is left open is closed by an empty line, and a < by
    the end of its line. Only what is yes at ten positions at least, and no at ten, is kept, and of the counts those
    that are not always the same.

    >>> found = text_features(list('He said "aye, aye" and "nay".\n'))
    >>> "".join(".^"[yes] for yes in found["inside quotes"].tolist())
    '........^^^^^^^^^......^^^^...'
    >>> found["column in the line"][:4].tolist(), "after a colon in the line" in found
    ([1.0, 2.0, 3.0, 4.0], False)
    """
    return telling(all_features(tokens))


def features_of_rows(rows: Sequence[Sequence[str]], there: Bool[Tensor, "B T"]) -> dict[str, Tensor]:
    """The same for several texts at once, each from its own beginning: (B, T), where `there` says a token stands.

    >>> there = torch.tensor([[True, True, False], [True, True, True]])
    >>> features_of_rows([["it", " is"], ["o", "n", "e"]], there)["column in the line"].tolist()
    [[2.0, 5.0, 0.0], [1.0, 2.0, 3.0]]
    """
    found = [all_features(row) for row in rows]
    every = telling({name: np.concatenate([one[name] for one in found]) for name in found[0]})
    values = {name: torch.from_numpy(value) for name, value in every.items()}
    return {n: torch.zeros(there.shape, dtype=v.dtype).masked_scatter(there, v) for n, v in values.items()}


def telling(features: Mapping[str, np.ndarray], least: int = LEAST) -> dict[str, np.ndarray]:
    """Those that are not nearly always the same.

    >>> list(telling({"often": np.array([True, False]), "never": np.array([False, False])}, least=1))
    ['often']
    """
    return {
        name: values
        for name, values in features.items()
        if (least <= values.sum() <= len(values) - least if values.dtype == bool else len(np.unique(values)) > 1)
    }


def all_features(tokens: Sequence[str]) -> dict[str, np.ndarray]:
    r"""All there are, of a text of any length; a text begins as if an empty line stood before it.

    >>> all_features(["a", "", "é:", " 7"])["after a colon in the line"].tolist()
    [False, False, True, True]
    """
    text = "\n" + "".join(tokens)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    kinds, index = np.unique(codes, return_inverse=True)

    def where(test: Callable[[str], object]) -> np.ndarray:
        return np.array([bool(test(chr(code))) for code in kinds])[index]

    place = np.arange(len(text))
    mark = where(lambda character: category(character).startswith("M"))  # combined with the letter before
    space, letter, newline = where(str.isspace), where(str.isalpha) | mark, where("\n".__eq__)
    leading = last_true(~space) <= last_true(newline)  # nothing but white space stands in the line so far
    paragraph = last_true(newline & np.concatenate([[True], leading[:-1]]))
    line = last_true(newline)
    word = place - last_true(~letter)  # so many letters of the present word were read
    begins = last_true(word == 1)
    capital = where(str.isupper)
    found = {
        "inside quotes": odd(where('"'.__eq__), paragraph) | between(where("“".__eq__), where("”".__eq__), paragraph),
        "inside brackets": nesting_depth(where("([".__contains__), where(")]".__contains__), paragraph) > 0,
        "inside < >": between(where("<".__eq__), where(">".__eq__), line),
        "a capital": capital,
        "in a word with a capital first": (word > 0) & capital[begins],
        "in a word in capitals": (word > 1) & (last_true(letter & ~capital) < begins),
        "a vowel": where("aeiouAEIOU".__contains__),
        "a digit": where(str.isdigit),
        "white space": space,
        "punctuation": ~(space | mark | where(str.isalnum)),
        "inside a word": word > 0,
        "the first letter of a word": word == 1,
        "after a colon in the line": last_true(where(":".__eq__)) > line,
        "in the line after a colon": below(where(":".__eq__), newline),
        "in the first line of a paragraph": line == paragraph,
        "after # in the line": last_true(where("#".__eq__)) > line,
        "column in the line": place - line,
        "letters of the word so far": word,
        "indentation of the line": (place - line)[last_true(leading)],
        "place in the text": place,
    }
    ends = np.cumsum([len(token) for token in tokens], dtype=int)
    return {n: v[ends] if v.dtype == bool else v[ends].astype(np.float32) for n, v in found.items()}


def last_true(there: np.ndarray) -> np.ndarray:
    """Where it was last so, up to and including each place; 0 where it never was.

    >>> last_true(np.array([False, True, False, True])).tolist()
    [0, 1, 1, 3]
    """
    return np.maximum.accumulate(np.where(there, np.arange(len(there)), 0))


def odd(marks: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Whether the number of marks is odd since the last beginning, which is given by its place."""
    count = marks.cumsum()
    return (count - count[begins]) % 2 == 1


def between(opening: np.ndarray, closing: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Whether something was opened since the last beginning, and not closed."""
    opened = last_true(opening)
    return (opened > last_true(closing)) & (opened > begins)


def nesting_depth(opening: np.ndarray, closing: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """How many are open since the last beginning; what closes nothing does not count.

    >>> text = np.array(list(".)(()).(."))
    >>> nesting_depth(text == "(", text == ")", np.zeros(9, dtype=int)).tolist()
    [0, 0, 1, 2, 1, 0, 0, 1, 1]
    """
    count = opening.cumsum() - closing.cumsum()
    count = count - count[begins] - (len(count) + 1) * (begins == np.arange(len(count))).cumsum()
    return count - np.minimum.accumulate(count)  # what begins later is lower, so it has a lowest of its own


def below(marks: np.ndarray, newline: np.ndarray) -> np.ndarray:
    """Whether the line before this one ends with a mark."""
    return np.concatenate([[False], marks[:-1]])[last_true(newline)]
