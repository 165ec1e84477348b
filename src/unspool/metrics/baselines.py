"""What a classifier is to be compared with: the most frequent label, and a linear model of word counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol, runtime_checkable

ROWS, CHARACTERS = 20_000, 5_000_000
"""The linear model is fitted to so many training rows and characters at most, which takes well under a minute."""


@dataclass(frozen=True)
class Baselines:
    """The values of baselines on a split.

    Args:
        values: by set and metric, such as "all/majority_accuracy".
        notes: what the user should know of them, a sentence each.

    >>> Baselines({"all/majority_accuracy": 0.5}).notes
    ()
    """

    values: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@runtime_checkable
class Compared(Protocol):
    """A task whose models have baselines to be compared with."""

    def baselines(self, split: str) -> Baselines:
        """What a model is to be compared with on a split."""
        ...


def majority_accuracy(train: Sequence[str], actual: Sequence[str]) -> float:
    """The accuracy of the label that is the most frequent one in training; of equal ones the first in order.

    Args:
        train: the labels of the training split.
        actual: the labels to predict; at least one.

    >>> majority_accuracy(["pos", "neg", "pos"], ["pos", "neg", "neg", "neg"])
    0.25
    """
    counts = Counter(train)
    best = min(counts, key=lambda label: (-counts[label], label))
    return sum(label == best for label in actual) / len(actual)


def linear_accuracy(
    train: Sequence[str], labels: Sequence[str], texts: Sequence[str], actual: Sequence[str]
) -> float | None:
    """The accuracy of logistic regression on the TF-IDF of words and of pairs of words (scikit-learn).

    The settings are scikit-learn's, with pairs of words and C = 10. SST-2, fitted to its 6,920 sentences: test 0.8105.

    Args:
        train: the training texts.
        labels: their labels.
        texts: the texts to classify.
        actual: their labels.

    Returns:
        None where the training texts hold no words, or one label alone.

    Raises:
        ImportError: without scikit-learn.

    >>> linear_accuracy(["fine film", "dull film"], ["pos", "neg"], ["a fine one", "dull dull"], ["pos", "neg"])
    1.0
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    if len(set(labels)) < 2:
        return None
    words = TfidfVectorizer(ngram_range=(1, 2))
    try:
        counts = words.fit_transform(train)
    except ValueError:  # no word of two letters
        return None
    model = LogisticRegression(C=10.0, max_iter=1000).fit(counts, labels)
    return float(model.score(words.transform(texts), actual))


def within_bounds(texts: Sequence[str]) -> int:
    """How many of the first training rows the linear model is fitted to.

    >>> within_bounds(["a film"] * 30_000), within_bounds(["a" * 2_000_000] * 5)
    (20000, 2)
    """
    sizes = accumulate(len(text) for text in texts[:ROWS])
    return max(1, sum(size <= CHARACTERS for size in sizes))


def text_baselines(
    train: Sequence[str], labels: Sequence[str], texts: Sequence[str], actual: Sequence[str]
) -> Baselines:
    """The linear model's accuracy on texts; a note instead where scikit-learn is missing.

    Args:
        train: the training texts.
        labels: their labels.
        texts: the texts to classify.
        actual: their labels.

    >>> text_baselines(["fine film", "dull film"], ["pos", "neg"], ["so fine"], ["pos"]).values
    {'all/linear_accuracy': 1.0}
    """
    kept = within_bounds(train)
    try:
        found = linear_accuracy(train[:kept], labels[:kept], texts, actual)
    except ImportError:
        return Baselines(
            notes=("the linear baseline needs scikit-learn, the extra `baselines`: pip install scikit-learn",)
        )
    if found is None:
        return Baselines()
    cut = f"the linear baseline is fitted to the first {kept:,} of {len(train):,} training rows"
    return Baselines({"all/linear_accuracy": found}, (cut,) if kept < len(train) else ())
