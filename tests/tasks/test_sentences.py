"""Windows of a text that begin with sentences."""

import pytest

from unspool import build
from unspool.data.splits import Splits
from unspool.data.tokenizer import tokenizers
from unspool.errors import DataError
from unspool.tasks.language import sentence_starts

TEXT = 'The cat sat. "Why?" it said! (So.) e.g. no\n\nA new one begins here and goes on for long enough to fill.'
BEGINNINGS = ["The cat", '"Why?"', "it said", "(So.)", "e.g. no", "no\n", "A new one"]


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
def test_a_window_begins_with_a_sentence(kind):
    options = {"punctuation": True} if kind == "word" else {"vocabulary": 280} if kind == "bpe" else {}
    tokenizer = tokenizers.build("tokenizer", kind, **options).fit(TEXT)
    ids = tokenizer.encode(TEXT)
    for start, begins in zip(sentence_starts(tokenizer, TEXT).tolist(), BEGINNINGS, strict=True):
        rest = "".join(tokenizer.decode(ids[start:]).split())
        assert rest.startswith("".join(begins.split())), (rest, begins)


def test_only_beginnings_are_drawn():
    recipe = {"task": {"kind": "language", "batching": "sentences", "batch_size": 4, "length": 10}}
    task = build.task(recipe, Splits(TEXT * 3))
    batches, tokenizer = task.train_batches(), task.preprocessor.tokenizer
    begun = {tokenizer.decode(row) for number in range(30) for row in batches[number].inputs}
    assert len(begun) >= 6 and all(any(text.startswith(one[:4]) for one in BEGINNINGS) for text in begun)
    assert not batches[0].carries_state and next(iter(task.eval_sets("train"))) == "windowed"


def test_a_text_of_one_short_sentence_is_refused():
    recipe = {"task": {"kind": "language", "batching": "sentences", "batch_size": 1, "length": 40}}
    task = build.task(recipe, Splits("  a" + "bcdef " * 8))
    with pytest.raises(DataError, match="no sentence begins 41 tokens before"):
        Splits and build.task(recipe, Splits(" " * 20 + "abcdef " * 5)).train_batches()
    assert task.train_batches().epoch == 1
