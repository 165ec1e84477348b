"""Fill-mask: the likeliest tokens for the blanks of a text, by a model that reads both ways."""

from dataclasses import dataclass

import torch

from unspool.batch import Batch
from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.generate.engine import Engine
from unspool.models.sequence import SequenceModel

BLANK = "___"
"""One token that is missing."""


@dataclass(frozen=True)
class Filling:
    """A token for a blank, and how likely the model thinks it."""

    text: str
    probability: float


def fill(model: SequenceModel, tokenizer: Tokenizer, text: str, count: int) -> list[list[Filling]]:
    """The likeliest tokens for each blank of a text; each blank is filled by itself.

    Args:
        model: a model of the task "masked"; its mask is the id beyond the tokenizer's.
        tokenizer: its tokenizer.
        text: a text with `___` where tokens are missing.
        count: how many tokens for each blank.

    Returns:
        For each blank its tokens, the likeliest first.

    Raises:
        DataError: the text has no blank.
    """
    before, *after = text.split(BLANK)
    if not after:
        raise DataError(f"there is no blank to fill in {text!r}", hint=f"write {BLANK} where a token is missing")
    ids, places = tokenizer.encode(before).tolist(), []
    for piece in after:
        places.append(len(ids))
        ids += [tokenizer.size, *tokenizer.encode(piece).tolist()]
    row = torch.tensor([ids])
    logits = Engine(model).forward(Batch(row, row, torch.ones_like(row, dtype=torch.bool)))
    best = logits[0, places].float().softmax(dim=-1).topk(min(count, tokenizer.size))
    return [
        [Filling(tokenizer.decode([id]), chance) for id, chance in zip(ids, chances, strict=True)]
        for ids, chances in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
