"""Error rates of recognized texts, by edit distance, and how long after a symbol it is recognized."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np

from unspool.metrics.metric import Metric


def edit_distances(wanted: Sequence[Any], written: Sequence[Any]) -> np.ndarray:
    """The edit distance between every beginning of one sequence and every beginning of another, (N + 1, M + 1).

    The fewest insertions, deletions and replacements of one item that make one of the other (Levenshtein 1966).

    >>> edit_distances("kitten", "sitting")[-1, -1]
    np.int64(3)
    """
    columns = np.arange(len(written) + 1)
    numbers: dict[Any, int] = {}
    ours, theirs = ([numbers.setdefault(item, len(numbers)) for item in items] for items in (wanted, written))
    found, read = [columns], np.array(theirs, dtype=np.int64)
    for item in ours:
        above = found[-1]
        best = np.minimum(above[1:] + 1, above[:-1] + (read != item))
        row = np.concatenate([above[:1] + 1, best]) - columns
        found.append(np.minimum.accumulate(row) + columns)  # insertions: one more for each column
    return np.stack(found)


def edit_distance(wanted: Sequence[Any], written: Sequence[Any]) -> int:
    """The edit distance between two sequences.

    >>> edit_distance("seven three", "seven tree"), edit_distance(["one", "two"], [])
    (1, 2)
    """
    return int(edit_distances(wanted, written)[-1, -1])


def matches(wanted: Sequence[Any], written: Sequence[Any]) -> list[tuple[int, int]]:
    """The items that a best alignment leaves as they are: their place in one sequence and in the other.

    >>> matches("abc", "xac")
    [(0, 1), (2, 2)]
    """
    table = edit_distances(wanted, written)
    row, column, found = len(wanted), len(written), []
    while row and column:
        here = table[row, column]
        same = wanted[row - 1] == written[column - 1]
        if same and here == table[row - 1, column - 1]:
            row, column = row - 1, column - 1
            found.append((row, column))
        elif here == table[row - 1, column] + 1:
            row -= 1
        elif here == table[row, column - 1] + 1:
            column -= 1
        else:
            row, column = row - 1, column - 1
    return found[::-1]


Transcript = Callable[[Mapping[str, Any]], str]
"""The right text of a record, as it should be recognized."""


class ErrorRates(Metric):
    """The character and the word error rate: edits over all texts, by the characters or words of the right ones.

    Words are what stands between spaces. A rate may be above 1: there are insertions.

    Args:
        reference: the right text of a record.

    >>> from unspool.data.predictions import Text
    >>> metric = ErrorRates(lambda record: record["text"])
    >>> metric.update(Text("seven tree", list("seven tree"), -1.0), {"text": "seven three"})
    >>> {name: round(value, 3) for name, value in metric.compute().items()}
    {'cer': 0.091, 'wer': 0.5}
    """

    def __init__(self, reference: Transcript) -> None:
        self.reference = reference
        self.edits, self.sizes = [0, 0], [0, 0]

    def update(self, output: Any, reference: Any) -> None:
        """Count one recognized text; one that failed is empty."""
        right, written = self.reference(reference), getattr(output, "text", "")
        for number, (wanted, found) in enumerate([(right, written), (right.split(), written.split())]):
            self.edits[number] += edit_distance(wanted, found)
            self.sizes[number] += len(wanted)

    def compute(self) -> dict[str, float | None]:
        """Both rates; undefined where the right texts are empty."""
        rates = zip(("cer", "wer"), self.edits, self.sizes, strict=True)
        return {name: edits / size if size else None for name, edits, size in rates}


class Latency(Metric):
    """How many frames after its end in the sound a symbol is recognized: the median, and what 90 % do not exceed.

    It is counted over the symbols that are recognized and whose end is known, as `ends` of a record says: pairs of a
    place in the right text and the second at which what stands there ends. A negative latency is a symbol that is
    recognized before it is over.

    Args:
        reference: the right text of a record.
        hop: seconds from a frame to the next.

    >>> from unspool.data.predictions import Transcript
    >>> metric = Latency(lambda record: record["text"], hop=0.01)
    >>> written = Transcript("ab", ["a", "b"], -1.0, times=[0.25, 0.5])
    >>> metric.update(written, {"text": "ab", "ends": [[0, 0.2], [1, 0.4]]})
    >>> {name: round(value, 3) for name, value in metric.compute().items()}
    {'latency_median': 7.5, 'latency_90': 10.0}
    """

    def __init__(self, reference: Transcript, hop: float) -> None:
        self.reference, self.hop = reference, hop
        self.delays: list[float] = []
        self.known = 0  # symbols whose end is known

    def update(self, output: Any, reference: Any) -> None:
        """Count the symbols of one recognized text."""
        self.known += len(reference.get("ends", ()))
        tokens, times = getattr(output, "tokens", []), getattr(output, "times", [])
        shown = "".join(tokens)
        each = [time for token, time in zip(tokens, times, strict=True) for _ in token]  # of every character
        if not each or shown.strip() != output.text:
            return
        recognized = dict(matches(self.reference(reference), shown))
        self.delays += [
            (each[recognized[place]] - end) / self.hop
            for place, end in reference.get("ends", ())
            if place in recognized
        ]

    def compute(self) -> dict[str, float | None]:
        """Both in frames; undefined where no symbol is recognized, nothing where no end is known."""
        if not self.delays:
            return dict.fromkeys(("latency_median", "latency_90")) if self.known else {}
        last = sorted(self.delays)[-(-9 * len(self.delays) // 10) - 1]
        return {"latency_median": median(self.delays), "latency_90": last}
