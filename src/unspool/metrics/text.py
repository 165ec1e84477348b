"""Scores of generated texts against their references: BLEU and chrF, both by sacrebleu."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from unspool.metrics.labels import ExactMatch
from unspool.metrics.metric import Metric

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


def nearest(generated: str, right: Sequence[str]) -> str:
    """The right text that is the generated one, or else shares the most words with it.

    >>> nearest("a red ring", ["a blue circle", "a red circle"])
    'a red circle'
    """
    words = set(generated.split())
    return max(right, key=lambda text: (text == generated, len(words & set(text.split()))))


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


Reference = Callable[[Mapping[str, Any]], Any]
"""What a record's reference is, in the form that a metric compares with."""


def words_of(prediction: Any) -> list[str]:
    """The words of a generated text; none where a record failed."""
    return list(getattr(prediction, "tokens", ()))


def without_punctuation(words: Sequence[str]) -> list[str]:
    """The words that have a letter or a digit.

    >>> without_punctuation("a man , in a hat .".split())
    ['a', 'man', 'in', 'a', 'hat']
    """
    return [word for word in words if any(letter.isalnum() for letter in word)]


class WordMetric(Metric):
    """Gathers the words of generated texts beside those of their right ones, for a subclass to compare.

    Args:
        references: the words of each right text of a record.
        punctuation: whether marks count as words. Published scores of captions leave them out (Chen et al. 2015,
            arXiv:1504.00325): a full stop at the end would be one more word that is always right.
    """

    def __init__(self, references: Reference, punctuation: bool = True) -> None:
        self.references, self.punctuation = references, punctuation
        self.written: list[list[str]] = []
        self.wanted: list[Sequence[Sequence[str]]] = []

    def update(self, output: Any, reference: Any) -> None:
        """Count one generated text."""
        written, wanted = words_of(output), self.references(reference)
        self.written.append(written if self.punctuation else without_punctuation(written))
        self.wanted.append(wanted if self.punctuation else [without_punctuation(words) for words in wanted])


class Bleu(WordMetric):
    """Corpus BLEU on the words of generated texts: BLEU-4, or all four from BLEU-1 on.

    Args:
        references: the words of each right text of a record.
        orders: whether BLEU-1 to BLEU-4 are given as bleu_1 to bleu_4, and not BLEU-4 alone as bleu.
        punctuation: whether marks count as words.

    >>> from unspool.data.predictions import Text
    >>> metric = Bleu(lambda record: [record["target"].split()])
    >>> metric.update(Text("a man in a hat", "a man in a hat".split(), -1.0), {"target": "a man in a blue hat"})
    >>> round(metric.compute()["bleu"], 2)
    57.89
    """

    def __init__(self, references: Reference, orders: bool = False, punctuation: bool = True) -> None:
        super().__init__(references, punctuation)
        self.orders = orders

    def compute(self) -> dict[str, float]:
        """BLEU from 0 to 100."""
        scores = bleus(self.written, self.wanted)
        return {f"bleu_{n}": score for n, score in enumerate(scores, 1)} if self.orders else {"bleu": scores[-1]}


class LineScores(Metric):
    """BLEU and chrF of whole lines as sacrebleu counts them, with its own tokenizer (13a) for BLEU.

    Args:
        reference: the right line of a record.
        lower: whether upper and lower case count as the same.

    >>> from unspool.data.predictions import Text
    >>> metric = LineScores(lambda record: record["target"], lower=True)
    >>> metric.update(Text("A man in a hat.", ["a", "man"], -1.0), {"target": "a man in a hat."})
    >>> round(metric.compute()["sacrebleu"])
    100
    """

    def __init__(self, reference: Reference, lower: bool) -> None:
        self.reference, self.lower = reference, lower
        self.written: list[str] = []
        self.wanted: list[str] = []

    def update(self, output: Any, reference: Any) -> None:
        """Count one generated text."""
        self.written.append(getattr(output, "text", ""))
        self.wanted.append(self.reference(reference))

    def compute(self) -> dict[str, float]:
        """Both, from 0 to 100."""
        scores = sacrebleu_scores(self.written, self.wanted, self.lower)
        return {name: value for name, value in scores.items() if isinstance(value, float)}


class TextMatch(ExactMatch):
    """The share of generated texts that equal their record's `target`.

    >>> from unspool.data.predictions import Text
    >>> metric = TextMatch()
    >>> metric.update(Text("25", ["2", "5"], -0.1), {"target": "25"})
    >>> metric.compute()
    {'exact_match': 1.0}
    """

    def update(self, output: Any, reference: Any) -> None:
        """Count one generated text."""
        super().update(getattr(output, "text", None), reference["target"])
