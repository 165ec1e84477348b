"""What the temperature does to generated text, in numbers: real words, distinct words, repeated passages."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from unspool.data.keypad import words_of
from unspool.data.tokenizer import Tokenizer
from unspool.generate.sampling import Sampling, sample_tokens
from unspool.generate.text import prime
from unspool.models.sequence import SequenceModel
from unspool.schema import Count

TEMPERATURES = (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0)
PASSAGE = 4
"""So many words make a passage."""


@dataclass(frozen=True)
class TextQuality:
    """Texts that were drawn at one temperature, measured; shares are None where there are no words."""

    temperature: float
    words: int
    real_words: float | None  # the share of words that the training text has
    distinct_words: float | None  # different words over all words
    repeated: float | None  # the share of passages of four words that stood in the same text before
    sample: str  # the beginning of the first text


def sample_temperatures(
    model: SequenceModel,
    tokenizer: Tokenizer,
    known: Collection[str],
    temperatures: Sequence[float] = TEMPERATURES,
    rows: Count = 8,
    length: Count = 400,
    seed: int = 0,
    prompt: str = "",
) -> Iterator[TextQuality]:
    """Draw texts at several temperatures and measure them.

    The logits are divided by the temperature T before the softmax: towards 0 the likeliest token is always taken, 1 is
    the model's own distribution, above 1 it is flatter.

    Args:
        model: a language model.
        tokenizer: its tokenizer.
        known: the words of the training text in lower case.
        temperatures: at which texts are drawn; 0 takes the likeliest token.
        rows: how many texts are drawn at each.
        length: how many tokens each has.
        seed: the same seed draws the same texts.
        prompt: what they begin with; "": a line break.

    Returns:
        A measurement for each temperature, in turn.

    >>> from unspool import Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "word").fit("to be or not to be")
    >>> size = Tokens(tokenizer.size)
    >>> model = SequenceModel(embedding(size, 8), cores.build("core", "recurrent", width=8), head(size, 8))
    >>> [one.words for one in sample_temperatures(model, tokenizer, {"to", "be"}, (0.5, 2.0), rows=2, length=5)]
    [10, 10]
    """
    ids = prime(model, tokenizer, prompt).repeat(rows, 1)
    for temperature in temperatures:
        steps = islice(sample_tokens(model, ids, *Sampling(temperature).filters(), seed=seed), length)
        drawn = torch.cat([step.ids for step in steps], dim=1).tolist()
        yield measured([tokenizer.decode(row) for row in drawn], known, temperature)


def measured(texts: Sequence[str], known: Collection[str], temperature: float) -> TextQuality:
    """The measurement of some texts.

    >>> one = measured(["the cat sat on the cat sat on the mat"], {"the", "cat", "on"}, 1.0)
    >>> one.words, one.real_words, one.distinct_words, round(one.repeated, 3)
    (10, 0.7, 0.5, 0.286)
    """
    every = [[word.lower() for word in words_of(text)] for text in texts]
    words = [word for some in every for word in some]
    passages = again = 0
    for some in every:
        found = [tuple(some[at : at + PASSAGE]) for at in range(len(some) - PASSAGE + 1)]
        passages, again = passages + len(found), again + len(found) - len(set(found))
    return TextQuality(
        temperature,
        len(words),
        sum(word in known for word in words) / len(words) if words else None,
        len(set(words)) / len(words) if words else None,
        again / passages if passages else None,
        " ".join(texts[0].split())[:60],
    )
