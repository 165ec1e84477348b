"""Labels as spans, in every scheme, against seqeval."""

from functools import partial
from itertools import product

import pytest
import torch
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Entities

from unspool.batch import Batch
from unspool.data.spans import scheme, spans, tells_spans
from unspool.metrics.labels import SpanF1

SCHEMES = {
    "IO": ("I", None),
    "IOB1": ("BI", IOB1),
    "IOB2": ("BI", IOB2),
    "BIOES": ("BIES", IOBES),
    "BILOU": ("BILU", BILOU),
}
AS_BIOES = str.maketrans("LU", "ES")
"""seqeval's rules for broken labels, which are conlleval's, are written for BIOES alone."""


def sequences(prefixes, names, longest):
    labels = ["O"] + [f"{prefix}-{name}" for prefix in prefixes for name in names]
    for length in range(1, longest + 1):
        yield from map(list, product(labels, repeat=length))


def by_seqeval(labels):
    bioes = [label[0].translate(AS_BIOES) + label[1:] for label in labels]
    return {(first, last + 1, name) for name, first, last in get_entities(bioes)}


@pytest.mark.parametrize(("names", "longest"), [("a", 6), ("ab", 4)], ids=["one label", "two labels"])
@pytest.mark.parametrize("name", SCHEMES)
def test_spans_are_those_of_seqeval_for_every_sequence_of_every_scheme(name, names, longest):
    prefixes, strict = SCHEMES[name]
    rows = list(sequences(prefixes, names, longest))
    assert all(spans(row) == by_seqeval(row) for row in rows)
    if strict is None:
        return
    every = Entities(rows, strict).entities
    valid = 0
    for row, found in zip(rows, every, strict=True):
        mine = {(one.start, one.end, one.tag) for one in found}
        kept = sum(end - start for start, end, _ in mine) == sum(label != "O" for label in row)
        valid += kept
        assert not kept or spans(row) == mine, "a row that keeps to its scheme is read by its rules"
    assert valid > 20


@pytest.mark.parametrize("name", SCHEMES)
def test_span_f1_is_that_of_seqeval(name):
    random = torch.Generator().manual_seed(0)
    labels = ["O"] + [f"{prefix}-{one}" for prefix in SCHEMES[name][0] for one in "ab"]
    actual, predicted = torch.randint(len(labels), (2, 300, 7), generator=random)
    metric = SpanF1(labels)
    logits = torch.nn.functional.one_hot(predicted, len(labels)).float()
    metric.update(logits, Batch(actual, actual, torch.ones_like(actual, dtype=torch.bool)))
    one, other = ([by_seqeval([labels[id] for id in row]) for row in ids.tolist()] for ids in (actual, predicted))
    both = sum(len(a & b) for a, b in zip(one, other, strict=True))
    assert metric.compute()["span_f1"] == pytest.approx(2 * both / sum(map(len, one + other)))


def test_a_span_without_its_end_is_not_the_span():
    labels = ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC"]
    metric = partial(SpanF1, labels)()
    actual, predicted = torch.tensor([[1, 3, 0]]), torch.tensor([[1, 0, 0]])
    logits = torch.nn.functional.one_hot(predicted, len(labels)).float()
    metric.update(logits, Batch(actual, actual, torch.ones_like(actual, dtype=torch.bool)))
    assert metric.compute() == {"span_f1": 0.0}


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (["I-a O", "I-a I-a"], "IO"),
        (["I-a B-a O", "I-b I-a"], "IOB1"),
        (["B-a B-a O", "B-b I-b"], "IOB2"),
        (["B-a E-a O", "S-b"], "BIOES"),
        (["S-a O"], "BIOES"),
        (["B-a L-a O", "U-b"], "BILOU"),
        (["B I O"], "IOB2"),
        (["B-a I-a O", "B-a I-a O", "I-a O O"], "IOB2"),
        (["NOUN VERB O"], ""),
        (["B-a NOUN"], ""),
        (["O O"], ""),
        (["S V O"], ""),
        (["S O"], ""),
    ],
)
def test_the_scheme_is_detected(rows, wanted):
    assert scheme([row.split() for row in rows]) == wanted
    assert tells_spans(" ".join(rows).split()) == bool(wanted)
