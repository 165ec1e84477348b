"""Words and punctuation of any script, apart as tokenizers of words want them, and together as they are written."""

import regex

LETTER = r"[\w\p{M}\u200c\u200d]"
"""What a word goes on with: letters, digits, the marks that are combined with them, and joiners."""
WORD = rf"\w{LETTER}*(?:(?<=\d)[.,](?=\d){LETTER}+)*"
"""A word, or a number with its points and commas."""
ABBREVIATION = r"(?:\p{L}\p{M}*\.){2,}(?!\w)"
"""Letters with points, as in U.S. or e.g."""
CLUSTER = r"(?!\s)\X"
"""One character as a reader sees it, such as an emoji made of several (UAX #29, extended grapheme cluster)."""
JOINER = "\uffed"
"""Stands at the side of a token at which no space is written, where usually there is one."""

CLITIC = rf"['\u2019](?:[sStTdDmM]|[rRvV][eE]|[lL]{{2}})(?!{LETTER}|-)"
"""What English writes behind a word: 's, 't, 'd, 'm, 're, 've, 'll. Any other apostrophe is a mark."""

TOKENS = regex.compile(rf"{JOINER}?(?:{CLITIC}|{ABBREVIATION}|{WORD}|{CLUSTER}){JOINER}?")
CLOSING = r"[.,!?;:%)\]\u2026\u0964\u0965\u060c\u061b\u061f]"
"""Marks before which usually no space is written: those of Latin scripts, the danda, and those of Arabic."""
GLUED = regex.compile(rf" (?={CLOSING}|{CLITIC})|(?<=[(\[]) |(?<={LETTER}) (?=-)|(?<=-) (?=\w)")
STARTS_WORD = regex.compile(rf"{CLITIC}|\w")


def split_punctuation(line: str) -> str:
    """The line with spaces between its words and its punctuation; doing it twice is doing it once.

    Where a word or a mark stands beside another without the space that is usual there, the one that is a mark is joined
    to it with a `JOINER`, so that `join_punctuation` gives the line back, but for white space: runs of it become one
    space, and none is kept where usually none is, as before a full stop.

    >>> split_punctuation("The man's (old) T-shirt.")
    "The man 's ( old ) T - shirt ."
    >>> split_punctuation("U.S. and/or 3.14")
    'U.S. and ￭/￭ or 3.14'
    """
    found = list(TOKENS.finditer(line))
    tokens = [one[0] for one in found]
    for number in range(1, len(found)):
        before, after = found[number - 1], found[number]
        if before.end() == after.start() and not GLUED.search(f"{before[0]} {after[0]}"):
            if STARTS_WORD.match(after[0]) and not STARTS_WORD.match(before[0]):
                tokens[number - 1] += JOINER
            else:
                tokens[number] = JOINER + tokens[number]
    return " ".join(tokens)


def join_punctuation(words: str) -> str:
    """The line again, as it was before `split_punctuation`.

    >>> join_punctuation("The man 's ( old ) T - shirt . U.S. and ￭/￭ or")
    "The man's (old) T-shirt. U.S. and/or"
    """
    return GLUED.sub("", words).replace(f" {JOINER}", "").replace(f"{JOINER} ", "").replace(JOINER, "")
