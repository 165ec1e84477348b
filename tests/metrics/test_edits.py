"""Error rates against a plain recursion, and delays that are counted by hand."""

from functools import cache
from random import Random

import pytest

from unspool.data.predictions import Failure, Text, Transcript
from unspool.metrics.edits import ErrorRates, Latency, edit_distance, matches


def plainly(a, b):
    """The edit distance by its definition."""

    @cache
    def distance(i, j):
        if not (i and j):
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]))

    return distance(len(a), len(b))


@pytest.mark.parametrize("seed", range(30))
def test_the_edit_distance_is_that_of_its_definition(seed):
    random = Random(seed)
    a, b = ("".join(random.choices("abc", k=random.randint(0, 9))) for _ in range(2))
    distance, pairs = edit_distance(a, b), matches(a, b)
    assert distance == plainly(a, b) == edit_distance(b, a)
    assert all(a[i] == b[j] for i, j in pairs) and pairs == sorted(pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    assert max(len(a), len(b)) - len(pairs) <= distance


def test_known_distances():
    assert edit_distance("kitten", "sitting") == 3 and edit_distance("", "abc") == 3 and edit_distance("", "") == 0
    assert edit_distance(["one", "two", "three"], ["one", "three"]) == 1


def text_of(record):
    return record["text"]


def test_error_rates_are_edits_by_the_right_length():
    metric = ErrorRates(text_of)
    assert metric.compute() == {"cer": None, "wer": None}
    for written, right in (("one two", "one two"), ("one too three", "one two"), ("", "five")):
        metric.update(Text(written, list(written), -1.0), {"text": right})
    metric.update(Failure("broken"), {"text": "six"})
    # characters: 0 + 7 + 4 + 3 of 7 + 7 + 4 + 3; words: 0 + 2 + 1 + 1 of 2 + 2 + 1 + 1
    assert metric.compute() == {"cer": pytest.approx(14 / 21), "wer": pytest.approx(4 / 6)}


def test_a_delay_is_from_the_end_of_a_symbol_to_its_last_letter():
    metric = Latency(text_of, hop=0.01)
    record = {"text": "one two", "ends": [[2, 0.5], [6, 1.0]]}
    metric.update(Transcript("one two", list("one two"), -1.0, times=[0.1, 0.2, 0.55, 0.6, 0.7, 0.8, 0.96]), record)
    assert metric.compute() == {"latency_median": pytest.approx(0.5), "latency_90": pytest.approx(5.0)}
    metric.update(Transcript("one", ["o", "n", "e"], -1.0, times=[0.1, 0.2, 0.7]), record)  # "two" is not there
    assert metric.compute() == {"latency_median": pytest.approx(5.0), "latency_90": pytest.approx(20.0)}
    metric.update(Failure("broken"), record)
    metric.update(Transcript("one", ["on", "e"], -1.0, times=[0.1, 0.2]), {"text": "one"})
    assert len(metric.delays) == 3


def test_a_token_of_several_letters_comes_at_once():
    metric = Latency(text_of, hop=0.1)
    metric.update(Transcript("one", ["on", "e"], -1.0, times=[0.3, 0.6]), {"text": "one", "ends": [[0, 0.1], [1, 0.2]]})
    assert metric.delays == [pytest.approx(2.0), pytest.approx(1.0)]


def test_without_ends_there_is_no_delay():
    metric = Latency(text_of, hop=0.01)
    metric.update(Transcript("one", list("one"), -1.0, times=[0.1, 0.2, 0.3]), {"text": "one"})
    assert metric.compute() == {}
    metric.update(Failure("broken"), {"text": "one", "ends": [[2, 0.4]]})
    assert metric.compute() == {"latency_median": None, "latency_90": None}
