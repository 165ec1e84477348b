"""Labels of tokens as spans: the schemes IO, IOB1, IOB2, BIOES and BILOU are detected, and read as conlleval does."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

Span = tuple[int, int, str]
"""The first position of a span, the one after its last, and its label."""

TAG = re.compile(r"([BIELSU])(?:-(.*))?", re.DOTALL)
SAME = {"L": "E", "U": "S"}
"""BILOU's last and unit tokens are BIOES's end and single ones."""
CLOSING = {"E", "S"}


def parsed(label: str) -> tuple[str, str]:
    """The position in a span that a label tells, one of B, I, E, S and O, and the label of the span.

    >>> parsed("U-LOC"), parsed("I"), parsed("O"), parsed("NOUN")
    (('S', 'LOC'), ('I', ''), ('O', ''), ('O', ''))
    """
    found = TAG.fullmatch(label)
    return (SAME.get(found[1], found[1]), found[2] or "") if found else ("O", "")


def tells_spans(labels: Iterable[str]) -> bool:
    """Whether a set of labels tells spans: all are O, or B, I, E, L, S or U with a label behind them, as in B-LOC.

    >>> tells_spans(["O", "I-LOC"]), tells_spans(["B", "I"]), tells_spans(["B-LOC", "NOUN"]), tells_spans(["O", "S"])
    (True, True, False, False)
    """
    found = set(labels) - {"O"}
    named = [TAG.fullmatch(label) for label in found]
    return bool(found) and all(named) and (any("-" in label for label in found) or bool(found & {"B", "I"}))


def scheme(rows: Iterable[Sequence[str]]) -> str:
    """How the labels of some rows tell spans: "IO", "IOB1", "IOB2", "BIOES" or "BILOU"; "" where they tell none.

    IOB2 begins every span with B, IOB1 only one that follows another of the same label. Where labels do not keep to
    either, the scheme is the one that fewer of them break.

    >>> scheme([["I-LOC", "B-LOC", "O"]]), scheme([["B-LOC", "I-LOC", "O"]]), scheme([["U-LOC", "O"]])
    ('IOB1', 'IOB2', 'BILOU')
    """
    rows = [list(row) for row in rows]
    labels = set(chain.from_iterable(rows))
    if not tells_spans(labels):
        return ""
    prefixes = {label[0] for label in labels}
    if prefixes & {"L", "U"}:
        return "BILOU"
    if prefixes & {"E", "S"}:
        return "BIOES"
    if "B" not in prefixes:
        return "IO"
    broken = {"IOB1": 0, "IOB2": 0}
    for row in rows:
        for before, (prefix, name) in pairwise([("O", ""), *map(parsed, row)]):
            follows = before[0] != "O" and before[1] == name
            broken["IOB1"] += prefix == "B" and not follows
            broken["IOB2"] += prefix == "I" and not follows
    return "IOB1" if broken["IOB1"] < broken["IOB2"] else "IOB2"


def spans(labels: Sequence[str]) -> set[Span]:
    """The spans that labels of any scheme tell, by the rules of conlleval, which seqeval has as well.

    Labels that a model predicts may break their scheme: what continues nothing begins a span, and one that is not ended
    ends where another begins.

    >>> sorted(spans(["B-a", "I-a", "O", "B-a", "B-a", "I-b"]))
    [(0, 2, 'a'), (3, 4, 'a'), (4, 5, 'a'), (5, 6, 'b')]
    >>> spans(["B-a", "I-a", "E-a"]), spans(["B-a", "I-a", "L-a"])
    ({(0, 3, 'a')}, {(0, 3, 'a')})
    """
    found: set[Span] = set()
    begun = 0
    steps = pairwise([("O", ""), *map(parsed, labels), ("O", "")])
    for place, ((before, was), (prefix, name)) in enumerate(steps):
        if before != "O" and (prefix in ("B", "S", "O") or before in CLOSING or name != was):
            found.add((begun, place, was))
            begun = place
        if before == "O":
            begun = place
    return found
