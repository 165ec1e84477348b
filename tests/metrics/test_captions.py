"""Agreement of captions with the right ones of their images, and scores without punctuation."""

from functools import partial

import pytest

from unspool.data.predictions import Failure, Text
from unspool.metrics.captions import AGREEMENTS, CaptionAgreement, Cider, NgramWeights
from unspool.metrics.text import Bleu, bleus

THINGS = ["dog", "cat", "horse", "man", "girl", "boy", "ship", "car", "tree", "house"]
DOES = ["runs", "sleeps", "jumps", "sits", "stands", "falls", "turns", "waits", "swims", "burns"]


def references(record):
    return [caption.split() for caption in record["captions"]]


def records():
    """Fifty images with three right captions each, two of which are much alike."""
    pairs = [(thing, does) for thing in THINGS for does in DOES[:5]]
    return [{"captions": [f"a {a} {b} .", f"the {a} {b} here", f"one {a} in a park"]} for a, b in pairs]


def said(words):
    return Text(words, words.split(), -1.0)


def test_grades_follow_what_people_reach():
    every = records()
    metric = CaptionAgreement(references, every)
    high, fair, low = metric.least
    assert high >= fair >= low >= 0
    right = [metric.right(record) for record in every]
    weights = NgramWeights(right)
    own = sorted(
        weights.agreement(words, answers[:n] + answers[n + 1 :]) for answers in right for n, words in enumerate(answers)
    )
    assert sum(score >= high for score in own) >= len(own) / 2 and sum(score >= fair for score in own) >= 0.75 * len(
        own
    )
    for record in every:
        assert metric.grade(said(record["captions"][0]), record) == "high agreement"
        metric.update(said(record["captions"][0]), record)
    assert metric.grade(said("two ships far away"), every[0]) == "no agreement"
    assert metric.grade(said(""), every[0]) == metric.grade(Failure("gone"), every[0]) == "no agreement"
    grades = [metric.grade(said(words), every[0]) for words in ("a dog runs", "a dog", "a cat", "ships")]
    assert grades == sorted(grades, key=AGREEMENTS.index) and len(set(grades)) > 2
    for _ in range(50):
        metric.update(said("nothing of that"), every[0])
    assert metric.compute() == {"high_agreement": 0.5, "fair_agreement": 0, "low_agreement": 0, "no_agreement": 0.5}


def test_images_with_one_caption_say_nothing_of_people():
    alone = {"captions": ["one dog"]}
    metric = CaptionAgreement(references, [alone, *records(), alone])
    assert metric.least == CaptionAgreement(references, [alone, *records(), alone]).least
    assert metric.grade(said("one dog"), alone) == "high agreement"


@pytest.mark.parametrize("metric", [partial(Bleu, orders=True), Cider])
def test_published_scores_leave_punctuation_out(metric):
    every = records()
    plain, marked = metric(references, punctuation=False), metric(references, punctuation=False)
    for record in every:
        words = record["captions"][1]
        plain.update(said(words), record)
        marked.update(said(f"{words} , . !"), record)
    assert plain.compute() == marked.compute()
    counted = metric(references)
    for record in every:
        counted.update(said(record["captions"][1] + " , . !"), record)
    assert counted.compute() != plain.compute()


def test_bleu_of_five_references_is_that_of_a_count_by_hand():
    # 5 of 6 words are in a reference, "a" at most twice; the closest length is 6, so nothing is taken off
    ours = ["a", "dog", "and", "a", "cat", "run"]
    right = ["a dog runs", "a cat and a bird sit", "two animals", "a dog with a cat", "dog"]
    assert bleus([ours], [[words.split() for words in right]])[0] == pytest.approx(100 * 5 / 6)
