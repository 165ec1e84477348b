"""Scores of generated texts against their references: BLEU and chrF, both by sacrebleu."""

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

ORDER = 4
"""The longest n-grams that are compared."""


def bleu(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 on given words, with one reference each; from 0 to 100 (Papineni et al. 2002).

    Args:
        written: the words of every generated text.
        wanted: the words of every reference.

    >>> round(bleu([["a", "man", "in", "a", "hat"]], [["a", "man", "in", "a", "blue", "hat"]]), 2)
    57.89
    """
    return bleus(written, [[words] for words in wanted])[-1]


def bleus(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[Sequence[str]]]) -> list[float]:
    """Corpus BLEU-1, BLEU-2, BLEU-3 and BLEU-4 on given words, with one or more references each; from 0 to 100.

    This is sacrebleu's with `tokenize="none"` and `smooth_method="none"` (Post 2018, arXiv:1804.08771): the words are
    compared as they are, and without a single matching 4-gram BLEU-4 is 0.

    Args:
        written: the words of every generated text; no word may have white space in it.
        wanted: the words of every reference, for every text.

    >>> [round(score, 1) for score in bleus([["a", "red", "hat"]], [[["a", "hat"], ["red", "hat"]]])]
    [100.0, 70.7, 0.0, 0.0]
    """
    from sacrebleu.metrics import BLEU

    if not any(written):
        return [0.0] * ORDER
    lines = [" ".join(words) for words in written]
    references = zip_longest(*([" ".join(words) for words in answers] for answers in wanted))
    streams = [list(stream) for stream in references]
    counted = BLEU(tokenize="none", smooth_method="none", force=True).corpus_score(lines, streams)
    sizes = counted.counts, counted.totals, counted.sys_len, counted.ref_len
    return [BLEU.compute_bleu(*sizes, smooth_method="none", max_ngram_order=n).score for n in range(1, ORDER + 1)]


def runs(words: Sequence[str], size: int) -> "Counter[tuple[str, ...]]":
    """The n-grams of that size, and how often each occurs.

    >>> runs("to be or not to be".split(), 2)["to", "be"]
    2
    """
    return Counter(tuple(words[start : start + size]) for start in range(len(words) - size + 1))


def sacrebleu_scores(written: list[str], wanted: list[str], lower: bool) -> dict[str, float | str]:
    """BLEU and chrF by sacrebleu on whole lines, with the signatures that say how they are computed.

    Args:
        lower: whether upper and lower case count as the same.

    >>> scores = sacrebleu_scores(["A man in a hat."], ["a man in a hat."], lower=True)
    >>> round(scores["sacrebleu"]), round(scores["chrf"])
    (100, 100)
    """
    from sacrebleu.metrics import BLEU, CHRF

    found: dict[str, float | str] = {}
    for name, metric in (("sacrebleu", BLEU(lowercase=lower)), ("chrf", CHRF(lowercase=lower))):
        found[name] = metric.corpus_score(written, [wanted]).score
        found[f"{name}_signature"] = str(metric.get_signature())
    return found
