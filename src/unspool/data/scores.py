"""How near what was written is to what should have been: BLEU as it is published, and as notebooks count it."""

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from math import exp, log

ORDER = 4
"""The longest runs of words that BLEU compares."""


def bleu(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """BLEU of a whole set, one right answer each, on words as they are given; of 100 (Papineni et al. 2002).

    The geometric mean of the shares of written runs of one to four words that are wanted, counted over the whole set
    and each no more often than it is wanted, times exp(1 - wanted / written) where too little is written. Nothing is
    smoothed, as in torchtext, which the published notebooks use: without a single run of four right it is 0.

    >>> round(bleu([["a", "man", "in", "a", "hat"]], [["a", "man", "in", "a", "blue", "hat"]]), 2)
    57.89
    """
    right, said = [0] * ORDER, [0] * ORDER
    for ours, theirs in zip(written, wanted, strict=True):
        for size in range(1, ORDER + 1):
            mine, other = runs(ours, size), runs(theirs, size)
            right[size - 1] += (mine & other).total()
            said[size - 1] += mine.total()
    if not all(right):
        return 0.0
    lengths = sum(map(len, written)), sum(map(len, wanted))
    precision = sum(log(r / s) for r, s in zip(right, said, strict=True)) / ORDER
    return 100 * exp(precision + min(0.0, 1 - lengths[1] / lengths[0]))


def runs(words: Sequence[str], size: int) -> "Counter[tuple[str, ...]]":
    """Every run of that many words, and how often it is there."""
    return Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))


def has_sacrebleu() -> bool:
    """Whether the scores that papers compare can be worked out here: `pip install 'unspool[scores]'`."""
    return find_spec("sacrebleu") is not None


def sacrebleu_scores(written: list[str], wanted: list[str], lower: bool) -> dict[str, float | str]:
    """BLEU and chrF by sacrebleu on whole lines, with the signatures that say how (Post 2018, arXiv:1804.08771)."""
    from sacrebleu.metrics import BLEU, CHRF

    found: dict[str, float | str] = {}
    for name, metric in (("sacrebleu", BLEU(lowercase=lower)), ("chrf", CHRF(lowercase=lower))):
        found[name] = metric.corpus_score(written, [wanted]).score
        found[f"{name}_signature"] = str(metric.get_signature())
    return found
