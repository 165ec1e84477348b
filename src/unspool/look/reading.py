"""What you type as something to watch a model at."""

from collections.abc import Sequence

import torch

from unspool.batch import Batch
from unspool.data.probe import Probe
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.tasks.legacy import GenerationRequest
from unspool.tasks.of_text import OfText


class Typed(OfText):
    """A text that belongs to no data: what its tokens are called, and what is true of it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer


def of_text(text: str, tokenizer: Tokenizer, asks: bool = True) -> Probe:
    """A text as one row in which each token is read and, where the model `asks` for it, the next is to be said.

    Errors: DataError for a text of fewer than three tokens, and for characters that the model does not know.

    >>> from unspool.data.tokenizer import tokenizers
    >>> of_text("abc", tokenizers.build("tokenizer", "byte")).targets
    [['b', 'c']]
    """
    ids = torch.from_numpy(tokenizer.encode(text)).long()
    if len(ids) < 3:
        raise DataError(
            f"a text of {len(ids)} token{'s' * (len(ids) != 1)} is too short to look at",
            hint="give at least three, better 500",
        )
    read, said = ids[:-1].unsqueeze(0), ids[1:].unsqueeze(0)
    return Typed(tokenizer).named(Batch(read, said, torch.full_like(read, asks, dtype=torch.bool)))


def answered(question: GenerationRequest, answer: Sequence[int]) -> Batch:
    """A question with an answer to it as one row: each token of the answer is asked for, and the end behind it.

    >>> answered(GenerationRequest([0], 0, 5, [3, 4]), [1, 2]).targets.tolist()
    [[1, 2, 0]]
    """
    read = torch.tensor([[*question.prompt, *answer]])
    said = torch.tensor([[*question.prompt[1:], *answer, question.end]])
    loss_mask = torch.arange(read.shape[1]).unsqueeze(0) >= len(question.prompt) - 1
    source = None if question.source is None else torch.as_tensor(question.source).unsqueeze(0)
    seen = None if source is None else torch.ones(source.shape[:2], dtype=torch.bool)
    return Batch(read, said, loss_mask, source=source, source_mask=seen)
