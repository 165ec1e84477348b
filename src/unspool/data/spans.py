"""Labels of tokens as spans: IOB2, as in CoNLL 2002 and 2003."""

from collections.abc import Sequence

Span = tuple[int, int, str]
"""The first position of a span, the one after its last, and its label."""


def spans(labels: Sequence[str]) -> set[Span]:
    """The spans of IOB2 labels; an I-X that continues nothing begins one.

    >>> sorted(spans(["B-a", "I-a", "O", "B-a", "B-a", "I-b"]))
    [(0, 2, 'a'), (3, 4, 'a'), (4, 5, 'a'), (5, 6, 'b')]
    """
    found: set[Span] = set()
    begun, what = 0, ""
    for place, label in enumerate([*labels, "O"]):
        prefix, _, name = label.partition("-")
        if what and (prefix != "I" or name != what):
            found.add((begun, place, what))
            what = ""
        if name and not what:
            begun, what = place, name
    return found
