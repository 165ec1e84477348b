"""Sentences of Python's help pages, each word labelled as code or not."""

import re
from collections.abc import Iterator

from unspool.data.corpora import python_docs
from unspool.data.readers.tables import Placed, Record

CODE = re.compile(r'``([^`]+)``|"([^"]+)"')
WORD = re.compile(r"\w+|[^\w\s]")
PROSE = re.compile(r"[A-Z\"`].*[.:]$")
END = re.compile(r"(?<=[.:?!])\s+(?=[A-Z\"`])")
SHORTEST, LONGEST = 4, 60  # words of a sentence


def code_words() -> Iterator[Placed]:
    """The sentences of Python's help pages, without the quotes around what is code: which words were inside them?

    A word is a row of letters, or one other mark. B-code begins what was in quotes, I-code goes on with it, and all
    else is O. So "for" is code in one sentence and English in the next.
    """
    number = 0
    for block in python_docs().split("\n\n"):
        text = " ".join(block.split())
        if not PROSE.match(text) or "::=" in text or not CODE.search(text):
            continue  # an example, grammar, or nothing to find
        for sentence in END.split(text):
            record = marked(sentence)
            if SHORTEST <= len(record["text"].split()) <= LONGEST:
                number += 1
                yield f"sentence {number} of the help pages", record


def marked(sentence: str) -> Record:
    """The words of a sentence and their labels.

    >>> marked('The "not in" test says "True".')
    {'text': 'The not in test says True .', 'label': 'O B-code I-code O O B-code O'}
    """
    words: list[str] = []
    labels: list[str] = []
    for place, part in enumerate(CODE.sub(lambda found: f"\0{found[1] or found[2]}\0", sentence).split("\0")):
        inside = WORD.findall(part)
        words += inside
        labels += ["I-code" if place % 2 else "O"] * len(inside)
        if place % 2 and inside:
            labels[-len(inside)] = "B-code"
    return {"text": " ".join(words), "label": " ".join(labels)}
