"""Language modelling: the splits, the figures of each, and the batches that a recipe asks for."""

import math

import pytest
import torch

from unspool import build
from unspool.data.batching.contiguous import ContiguousBatches, RandomWindows
from unspool.data.splits import Splits


def test_a_character_of_another_split_is_known():
    splits = Splits("to be or not to be", "zebra")
    task = build.task({"tokenizer": "char"}, splits)
    assert task.preprocessor.tokenizer.unknown("zebra") == []
    words = build.task({"tokenizer": "word"}, splits)
    assert words.preprocessor.tokenizer.unknown("zebra") == ["zebra"]


def test_the_figures_of_a_split_are_those_of_its_own_text():
    splits = Splits("née " * 100, "née à née à née", "né")
    task = build.task({"tokenizer": "word", "task": {"kind": "language", "window": 3, "length": 5}}, splits)
    sets = task.eval_sets("valid")
    figures = sets["contiguous"].derived(1.0)  # behind the first word: 4 words, 12 characters, 16 bytes
    bits = 4 / math.log(2) + 2 * 8 * (2 + 1)  # two times "à", which is no word of the training text
    assert figures["bits_per_character"] == pytest.approx(bits / 12)
    assert figures["bits_per_byte"] == pytest.approx(bits / 16)
    assert figures["perplexity"] == pytest.approx(math.e) and figures["unknown_share"] == 2 / 5
    contiguous, windowed = (sets[name].batches[0] for name in ("contiguous", "windowed"))
    assert [batch.inputs.shape[1] for batch in (contiguous, windowed)] == [4, 3]
    assert torch.equal(contiguous.inputs[0], task.ids["valid"][:-1])


@pytest.mark.parametrize(
    ("options", "lost", "text"),
    [
        ({}, 8 * (5 + 1), " b zebra b"),  # one unknown word of five bytes, and its end
        ({"min_count": 99999}, 8 * (2 + 6 + 2), " b zebra b"),
        ({"lower": True}, 8 * (5 + 1), " b zebra b"),
    ],
)
def test_unknown_words_are_spelled_at_eight_bits_a_byte(options, lost, text):
    """A vocabulary of nothing but <unk> had 0.0000 bits per byte."""
    splits = Splits("a b " * 100, "A  b zebra b" if options.get("lower") else "a b zebra b", "")
    task = build.task({"tokenizer": {"kind": "word", **options}, "task": {"kind": "language"}}, splits)
    figures = task.derived("valid", 0.5)
    assert figures["bits_per_byte"] == pytest.approx((3 * 0.5 / math.log(2) + lost) / len(text))
    assert figures["unknown_share"] == (1.0 if "min_count" in options else 0.25)
    assert f"valid {100 * figures['unknown_share']:.1f} %" in task.summary()


def test_a_task_trains_on_what_its_recipe_says():
    splits = Splits("abcdefghij" * 20)

    def batches(**options):
        return build.task(
            {"task": {"kind": "language", "batch_size": 2, "length": 5, **options}}, splits
        ).train_batches()

    assert isinstance(batches(), ContiguousBatches) and isinstance(batches(batching="windows"), RandomWindows)


def test_validation_looks_at_the_validation_text():
    splits = Splits("ab" * 20, "abba", "baab")
    task = build.task({"tokenizer": "char"}, splits)
    shown = {name: task.eval_sets(name)["contiguous"].batches[0] for name in ("valid", "test")}
    assert {name: task.preprocessor.tokenizer.decode(batch.targets[0]) for name, batch in shown.items()} == {
        "valid": "bba", "test": "aab",
    }  # fmt: skip
