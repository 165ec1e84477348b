"""Scores of translations against their references: BLEU and chrF."""

from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from math import exp, log

ORDER = 4
"""The longest runs of words that are compared."""


def bleu(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """BLEU of a whole set, one right answer each, on words as they are given; of 100 (Papineni et al. 2002).

    The geometric mean of the shares of written runs of one to four words that are wanted, counted over the whole set
    and each no more often than it is wanted, times exp(1 - wanted / written) where too little is written. Nothing is
    smoothed, as in torchtext, which the published notebooks use: without a single run of four right it is 0.

    >>> round(bleu([["a", "man", "in", "a", "hat"]], [["a", "man", "in", "a", "blue", "hat"]]), 2)
    57.89
    """
    return bleus(written, [[words] for words in wanted])[-1]


def bleus(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """BLEU up to runs of one, two, three and four words, with one or more right answers each; of 100.

    A run counts as often as in the right answer that has it most often, and the length that is wanted is that of the
    right answer nearest in length, the shorter one of two.

    >>> [round(score, 1) for score in bleus([["a", "red", "hat"]], [[["a", "hat"], ["red", "hat"]]])]
    [100.0, 70.7, 0.0, 0.0]
    """
    right, said, lengths = [0] * ORDER, [0] * ORDER, [0, 0]
    for ours, answers in zip(written, wanted, strict=True):
        nearest = min(map(len, answers), key=lambda length: (abs(length - len(ours)), length))
        lengths = [lengths[0] + len(ours), lengths[1] + nearest]
        for size in range(1, ORDER + 1):
            mine, most = runs(ours, size), Counter[tuple[str, ...]]()
            for theirs in answers:
                most |= runs(theirs, size)
            right[size - 1] += (mine & most).total()
            said[size - 1] += mine.total()
    scores = []
    for order in range(1, ORDER + 1):
        precision = [log(r / s) / order for r, s in zip(right[:order], said[:order], strict=True) if r]
        brevity = min(0.0, 1 - lengths[1] / lengths[0]) if lengths[0] else 0.0
        scores.append(100 * exp(sum(precision) + brevity) if len(precision) == order else 0.0)
    return scores


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
