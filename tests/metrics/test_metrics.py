"""Every metric of labels and values against its reference: scikit-learn, seqeval, closed forms."""

from functools import partial

import pytest
import torch

from unspool.batch import Batch
from unspool.metrics.labels import (
    Accuracy,
    AccuracyWhere,
    ConfusionMatrix,
    ExactMatch,
    SequenceAccuracy,
    SpanF1,
)
from unspool.metrics.values import Distance, MeanAbsoluteError, MeanSquaredError, WithinTolerance

SEEDS = range(5)


@pytest.fixture(scope="module")
def scikit():
    """The metrics of scikit-learn, which takes a second to import."""
    from sklearn import metrics

    return metrics


TAGS = ["O", "B-a", "I-a", "B-b", "I-b"]


def batches(seed, size, number=4, each=7, length=9, per_row=False):
    """Logits, their batches, and what of both counts, one after the other: predicted and actual."""
    random = torch.Generator().manual_seed(seed)
    found, predicted, actual = [], [], []
    for index in range(number):
        rows = each - index  # the last batch of an epoch is smaller
        logits = torch.randn(rows, length, size, generator=random)
        targets = torch.randint(size, (rows, length), generator=random)
        mask = torch.rand(rows, length, generator=random) < 0.6
        if per_row:
            mask = torch.arange(length) == torch.randint(length, (rows, 1), generator=random)
        found.append((logits, Batch(targets, targets, mask)))
        predicted += [ids[there].tolist() for ids, there in zip(logits.argmax(dim=-1), mask, strict=True)]
        actual += [ids[there].tolist() for ids, there in zip(targets, mask, strict=True)]
    return found, predicted, actual


def measured(make, shown):
    metric = make()
    for output, reference in shown:
        metric.update(output, reference)
    return metric


def flat(rows):
    return [id for row in rows for id in row]


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracies_are_those_of_scikit_learn(seed, scikit):
    shown, predicted, actual = batches(seed, 3)
    wanted = scikit.accuracy_score(flat(actual), flat(predicted))
    assert measured(Accuracy, shown).compute() == {"accuracy": pytest.approx(wanted)}
    where = partial(AccuracyWhere, "held", lambda batch: batch.loss_mask)
    assert measured(where, shown).compute() == {"held": pytest.approx(wanted)}
    solved = [one == other for one, other in zip(predicted, actual, strict=True)]
    assert measured(SequenceAccuracy, shown).compute() == {"solved": pytest.approx(sum(solved) / len(solved))}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [2, 4, 40])
def test_macro_f1_and_confusion_are_those_of_scikit_learn(size, seed, scikit):
    """With forty labels some never occur, neither predicted nor actual: they are in no mean."""
    shown, predicted, actual = batches(seed, size, per_row=True)
    predicted, actual = flat(predicted), flat(actual)
    metric = measured(partial(ConfusionMatrix, [str(id) for id in range(size)]), shown)
    assert (
        metric.drawing()["confusion"].matrix == scikit.confusion_matrix(actual, predicted, labels=range(size)).tolist()
    )
    assert metric.compute() == {
        "accuracy": pytest.approx(scikit.accuracy_score(actual, predicted)),
        "macro_f1": pytest.approx(scikit.f1_score(actual, predicted, average="macro", zero_division=0)),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_span_f1_is_that_of_seqeval(seed):
    from seqeval.metrics import f1_score as span_f1

    shown, predicted, actual = batches(seed, len(TAGS), each=30)
    rows = [[[TAGS[id] for id in row] for row in both] for both in (actual, predicted)]
    assert measured(partial(SpanF1, TAGS), shown).compute() == {"span_f1": pytest.approx(span_f1(*rows))}


def test_span_f1_of_nothing_is_nothing():
    shown, _, _ = batches(0, 2)
    assert measured(partial(SpanF1, ["noun", "verb"]), shown).compute() == {}, "no label begins a span"
    ids = torch.zeros(2, 3, dtype=torch.long)
    outside = torch.nn.functional.one_hot(ids, len(TAGS)).float()
    assert measured(partial(SpanF1, TAGS), [(outside, Batch(ids, ids, ids == 0))]).compute() == {}


def values(seed, size=1):
    """Outputs and batches of numbers, and what counts of both."""
    random = torch.Generator().manual_seed(seed)
    shown, predicted, actual = [], [], []
    for rows in (5, 4, 1):
        outputs, targets = (3 * torch.randn(rows, 6, size, generator=random) for _ in range(2))
        mask = torch.rand(rows, 6, generator=random) < 0.5
        mask[0, 0] = True
        shown.append((outputs, Batch(targets, targets, mask)))
        predicted.append(outputs[mask])
        actual.append(targets[mask])
    return shown, torch.cat(predicted).double(), torch.cat(actual).double()


@pytest.mark.parametrize("seed", SEEDS)
def test_errors_are_those_of_scikit_learn_and_of_their_definition(seed, scikit):
    shown, predicted, actual = values(seed)
    wanted = scikit.mean_absolute_error(actual, predicted)
    assert measured(MeanAbsoluteError, shown).compute() == {"mean_absolute_error": pytest.approx(wanted)}
    scaled = measured(partial(MeanAbsoluteError, 2.5), shown).compute()
    assert scaled == {"mean_absolute_error": pytest.approx(2.5 * wanted)}
    assert measured(MeanSquaredError, shown).compute() == {
        "squared_error": pytest.approx(scikit.mean_squared_error(actual, predicted))
    }
    within = measured(partial(WithinTolerance, 1.5), shown).compute()
    assert within == {"accuracy": pytest.approx(float(((predicted - actual).abs() < 1.5).double().mean()))}
    shown, predicted, actual = values(seed, size=2)
    distance = (predicted - actual).square().sum(dim=1).sqrt().mean()
    assert measured(partial(Distance, 0.5), shown).compute() == {"error": pytest.approx(0.5 * float(distance))}


def test_exact_matches_are_counted_one_by_one():
    assert measured(ExactMatch, [("a", "a"), ("b", "a"), (3, 3), ([], [1])]).compute() == {"exact_match": 0.5}


@pytest.mark.parametrize(
    "make",
    [
        Accuracy, SequenceAccuracy, ExactMatch, partial(ConfusionMatrix, ["a", "b"]), partial(SpanF1, TAGS),
        MeanAbsoluteError, MeanSquaredError, partial(WithinTolerance, 0.1), Distance,
        partial(AccuracyWhere, "held", lambda batch: batch.loss_mask),
    ],
)  # fmt: skip
def test_a_metric_that_was_shown_nothing_tells_nothing(make):
    assert make().compute() == {}
