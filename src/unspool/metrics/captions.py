"""Scores of captions against the reference captions of their images: CIDEr, and grades by it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log, sqrt
from statistics import quantiles
from typing import Any

from unspool.metrics.metric import Metric
from unspool.metrics.text import ORDER, Reference, WordMetric, runs, without_punctuation, words_of

Weights = dict[tuple[str, ...], float]
AGREEMENTS = ("high agreement", "fair agreement", "low agreement", "no agreement")
"""How far a caption agrees with the right ones of its image, the best first."""
ENOUGH = 1000
"""So many images say what agreement people reach."""


class NgramWeights:
    """How much each run of one to four words weighs: log(images / images whose right captions have it).

    Args:
        wanted: the words of the right captions of every image.

    >>> weights = NgramWeights([[["red", "hat"]], [["cat"]]])
    >>> round(weights.agreement(["red", "hat"], [["red", "hat"], ["red"]]), 3)
    0.338
    """

    def __init__(self, wanted: Sequence[Sequence[Sequence[str]]]) -> None:
        self.rare: list[Weights] = []
        for size in range(1, ORDER + 1):
            found = Counter(run for answers in wanted for run in set().union(*(runs(words, size) for words in answers)))
            self.rare.append({run: log(len(wanted) / number) for run, number in found.items()})
        self.unheard = log(max(1, len(wanted)))

    def agreement(self, words: Sequence[str], answers: Sequence[Sequence[str]]) -> float:
        """The CIDEr of one caption beside the right ones of its image, from 0 to 1."""
        total = 0.0
        for size, rare in enumerate(self.rare, start=1):
            ours = self._weighed(runs(words, size), rare)
            alike = [_cosine(ours, self._weighed(runs(theirs, size), rare)) for theirs in answers]
            total += sum(alike) / max(1, len(alike))
        return total / ORDER

    def _weighed(self, counts: Mapping[tuple[str, ...], int], rare: Weights) -> Weights:
        return {run: number * rare.get(run, self.unheard) for run, number in counts.items()}


def _cosine(one: Weights, other: Weights) -> float:
    length = sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
    return sum(weight * other.get(run, 0.0) for run, weight in one.items()) / length if length else 0.0


def cider(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[Sequence[str]]]) -> float:
    """How like the right captions of an image what was written is, rare words weighing more; at best 1, at worst 0.

    The mean over runs of one to four words, over images and over their right captions of the cosine between two
    vectors: how often each run is there, times log(images / images whose captions have it). This is CIDEr itself
    (Vedantam et al. 2015, arXiv:1411.5726, equations 1 to 3) on words as they are given, without stemming; CIDEr-D,
    which others report, also clips, punishes length and multiplies by ten.

    >>> cider([["red", "hat"], ["dog"]], [[["red", "hat"]], [["cat"]]])  # right in one and two words of four
    0.25
    """
    weights = NgramWeights(wanted)
    found = [weights.agreement(words, answers) for words, answers in zip(written, wanted, strict=True)]
    return sum(found) / max(1, len(found))


class Cider(WordMetric):
    """CIDEr of generated captions.

    Args:
        references: the words of each right text of a record.
        punctuation: whether marks count as words.

    >>> from unspool.data.predictions import Text
    >>> metric = Cider(lambda record: [words.split() for words in record["captions"]])
    >>> metric.update(Text("red hat", ["red", "hat"], -1.0), {"captions": ["red hat"]})
    >>> metric.update(Text("dog", ["dog"], -1.0), {"captions": ["cat"]})
    >>> metric.compute()
    {'cider': 0.25}
    """

    def compute(self) -> dict[str, float]:
        """CIDEr from 0 to 1."""
        return {"cider": cider(self.written, self.wanted)}


class CaptionAgreement(Metric):
    """How many captions agree with the right ones of their images as people's do: four grades by CIDEr.

    The right captions say what is to be expected: each is compared with the others of its image, and with those of
    another image. "high agreement" is reached by half of people's captions, "fair agreement" by three quarters of them,
    and "low agreement" by one in twenty that belong to another image; what stays below has "no agreement". Punctuation
    does not count. It is an agreement in words: a right caption in words that nobody chose has none either.

    Args:
        references: the words of each right caption of a record.
        records: their right captions say what people reach; some need two or more.

    >>> from unspool.data.predictions import Text
    >>> right = [["a red hat", "the red hat"], ["a dog runs", "a dog"], ["two men sit", "two men"]]
    >>> records = [{"captions": captions} for captions in right]
    >>> metric = CaptionAgreement(lambda record: [words.split() for words in record["captions"]], records)
    >>> metric.grade(Text("a dog", ["a", "dog"], -1.0), records[1])
    'high agreement'
    """

    grades = AGREEMENTS

    def __init__(self, references: Reference, records: Sequence[Mapping[str, Any]]) -> None:
        self.references = references
        right = [self.right(record) for record in records[:ENOUGH]]
        self.weights = NgramWeights(right)
        self.least = _thresholds(self.weights, right)
        self.counts = Counter[str]()

    def right(self, record: Mapping[str, Any]) -> list[list[str]]:
        """The words of the right captions of a record, without punctuation."""
        return [without_punctuation(words) for words in self.references(record)]

    def update(self, output: Any, reference: Any) -> None:
        """Count one caption."""
        self.counts[self.grade(output, reference)] += 1

    def compute(self) -> dict[str, float]:
        """The share of each grade."""
        total = max(1, sum(self.counts.values()))
        return {name.replace(" ", "_"): self.counts[name] / total for name in self.grades}

    def grade(self, output: Any, reference: Any) -> str:
        """The grade of one caption."""
        score = self.weights.agreement(without_punctuation(words_of(output)), self.right(reference))
        reached = (name for name, least in zip(AGREEMENTS, self.least, strict=False) if score >= least and score > 0)
        return next(reached, AGREEMENTS[-1])


def _thresholds(weights: NgramWeights, right: Sequence[Sequence[Sequence[str]]]) -> tuple[float, ...]:
    """What a caption needs for each grade but the last."""
    own: list[float] = []
    foreign: list[float] = []
    for image, answers in enumerate(right):
        other = right[image - 1]
        for number, words in enumerate(answers if len(answers) > 1 and other else ()):
            others = [*answers[:number], *answers[number + 1 :]]
            own.append(weights.agreement(words, others))
            foreign.append(weights.agreement(other[number % len(other)], others))
    fair, high, _ = quantiles(own, n=4)
    low = quantiles(foreign, n=20)[-1]
    return max(high, low), max(fair, low), low
