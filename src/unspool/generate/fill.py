"""What could stand in the blanks of a text, by a model that reads from both sides."""

from dataclasses import dataclass

import torch

from unspool.data.tokenizer import Tokenizer
from unspool.errors import DataError
from unspool.models.sequence import SequenceModel

BLANK = "___"
"""One token that is missing."""


@dataclass(frozen=True)
class Filling:
    """A token for a blank, and how likely the model thinks it."""

    text: str
    probability: float


@torch.no_grad()
def fill(model: SequenceModel, tokenizer: Tokenizer, text: str, count: int) -> list[list[Filling]]:
    """For each blank in the text that many tokens, the likeliest first; each blank is judged alone.

    The mask is the id beyond the tokenizer's, as the task "masked" has it. Errors: DataError for a text without blanks.
    """
    before, *after = text.split(BLANK)
    if not after:
        raise DataError(f"there is no blank to fill in {text!r}", hint=f"write {BLANK} where a token is missing")
    ids, places = tokenizer.encode(before).tolist(), []
    for piece in after:
        places.append(len(ids))
        ids += [tokenizer.size, *tokenizer.encode(piece).tolist()]
    row = torch.tensor([ids], device=model.device)
    model.eval()
    logits, _ = model(row, model.start(row))
    best = logits[0, places].float().softmax(dim=-1).topk(min(count, tokenizer.size))
    return [
        [Filling(tokenizer.decode([id]), chance) for id, chance in zip(ids, chances, strict=True)]
        for ids, chances in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
