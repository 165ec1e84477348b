"""The same as `sampling`, with strings: text comes out as it is made, and never in the middle of a character."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.errors import DataError
from unspool.generate.beam import search
from unspool.generate.sampling import Sampling, stream
from unspool.models.sequence import SequenceModel


@dataclass(frozen=True)
class Candidate:
    """One continuation of a prompt."""

    text: str
    log_probability: float  # nats, of the whole continuation under the model itself


def write(
    model: SequenceModel,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    sampling: Sampling,
    seed: int | None = None,
) -> Iterator[str]:
    """Yield what the model writes after the prompt, piece by piece, `length` tokens in all."""
    text = TextStream(tokenizer)
    for drawn in islice(stream(model, prime(model, tokenizer, prompt), *sampling.filters(), seed=seed), length):
        if piece := text.feed(int(drawn.ids)):
            yield piece
    if rest := text.flush():
        yield rest


def candidates(
    model: SequenceModel,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    sampling: Sampling,
    count: int,
    seed: int | None = None,
) -> list[Candidate]:
    """That many continuations, the likeliest first."""
    rows = prime(model, tokenizer, prompt).expand(count, -1)
    drawn = list(islice(stream(model, rows, *sampling.filters(), seed=seed), length))
    ids = torch.cat([one.ids for one in drawn], dim=1)  # (count, length)
    scores = torch.stack([one.log_probability for one in drawn]).sum(dim=0)
    made = [Candidate(tokenizer.decode(row.tolist()), float(score)) for row, score in zip(ids, scores, strict=True)]
    return sorted(made, key=lambda candidate: -candidate.log_probability)


def likeliest(model: SequenceModel, tokenizer: Tokenizer, prompt: str, length: int, width: int) -> list[Candidate]:
    """The likeliest continuations that a beam search finds, the likeliest first."""
    (found,) = search(model, prime(model, tokenizer, prompt), length, width)
    return [Candidate(tokenizer.decode(beam.ids), beam.log_probability) for beam in found]


def prime(model: SequenceModel, tokenizer: Tokenizer, prompt: str) -> Tensor:
    """The prompt's ids, (1, T). An empty one becomes a line break, where a text may begin, or the first token."""
    device = model.device
    ids = [0] if not prompt and tokenizer.unknown("\n") else tokenizer.encode(prompt or "\n")
    if not len(ids):
        raise DataError(f"the prompt {prompt!r} holds no token", hint="begin with a word")
    return torch.as_tensor(ids, dtype=torch.long, device=device)[None]
