"""Bigrams that the training data lacks by chance and not by grammar."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

ALIKE = 0.5  # of all words that follow one or the other of two words, so many follow both: they are used alike


def unseen_bigrams(sentences: Sequence[Tensor], size: int) -> Bool[Tensor, "{size} {size}"]:
    """The words (columns) that never follow a word (rows), but follow words that are used like it.

    Two words are used alike when at least half of what follows either follows both. What never follows a word like it
    is grammar and is no gap. A model that counts the words says that what never followed a word never will; one that
    counts what words like it do (Dagan, Lee & Pereira 1999, doi:10.1023/A:1007537716579) has no opinion, and here it
    is left to whatever else there is to go by, such as an image. Memory and time grow with the square and the cube of
    `size`: 0.1 GB and a second for 3,000 words.

    >>> red, blue, circle, ring, cross = range(5)
    >>> pairs = [(red, ring), (red, cross), (blue, circle), (blue, ring), (blue, cross), (ring, red)]
    >>> unseen_bigrams([torch.tensor(pair) for pair in pairs], 5).nonzero().tolist() == [[red, circle]]
    True
    """
    follows = torch.zeros(size, size, dtype=torch.bool)
    for ids in sentences:
        follows[ids[:-1], ids[1:]] = True
    counted = follows.float()
    both = counted @ counted.T
    number = counted.sum(dim=1)
    either = number.unsqueeze(1) + number - both
    alike = (both > 0) & (both >= ALIKE * either)
    return (alike.float() @ counted > 0) & ~follows
