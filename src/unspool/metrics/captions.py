"""Scores of captions against the reference captions of their images: CIDEr."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log, sqrt

from unspool.metrics.text import ORDER, WordMetric, runs

Weights = dict[tuple[str, ...], float]


def cider(written: Sequence[Sequence[str]], wanted: Sequence[Sequence[Sequence[str]]]) -> float:
    """How like the right captions of an image what was written is, rare words weighing more; at best 1, at worst 0.

    The mean over runs of one to four words, over images and over their right captions of the cosine between two
    vectors: how often each run is there, times log(images / images whose captions have it). This is CIDEr itself
    (Vedantam et al. 2015, arXiv:1411.5726, equations 1 to 3) on words as they are given, without stemming; CIDEr-D,
    which others report, also clips, punishes length and multiplies by ten.

    >>> cider([["red", "hat"], ["dog"]], [[["red", "hat"]], [["cat"]]])  # right in one and two words of four
    0.25
    """
    total = 0.0
    for size in range(1, ORDER + 1):
        every = [[runs(theirs, size) for theirs in answers] for answers in wanted]
        images = Counter(run for answers in every for run in set().union(*answers))
        rare = {run: log(len(wanted) / number) for run, number in images.items()}
        unheard = log(max(1, len(wanted)))
        for ours, answers in zip(written, every, strict=True):
            mine = _weighed(runs(ours, size), rare, unheard)
            alike = [_cosine(mine, _weighed(theirs, rare, unheard)) for theirs in answers]
            total += sum(alike) / len(alike)
    return total / ORDER / max(1, len(written))


def _weighed(counts: Mapping[tuple[str, ...], int], rare: Mapping[tuple[str, ...], float], unheard: float) -> Weights:
    return {run: number * rare.get(run, unheard) for run, number in counts.items()}


def _cosine(one: Weights, other: Weights) -> float:
    length = sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
    return sum(weight * other.get(run, 0.0) for run, weight in one.items()) / length if length else 0.0


class Cider(WordMetric):
    """CIDEr of generated captions.

    Args:
        references: the words of each right caption of a record.

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
