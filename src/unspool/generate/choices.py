"""How probable each of several texts is behind a prompt."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError, DataError
from unspool.generate.engine import Engine
from unspool.generate.sampling import Sampling, draw_ids, noise
from unspool.generate.state import State
from unspool.nn.heads import at_least_float32

MOST_CHOICES, MOST_TOKENS = 10_000, 200_000
"""More choices, or more tokens of all of them, are refused."""
ROWS, SCORES = 64, 2**22
"""So many choices are scored side by side, and about so many scores are in memory at a time."""


@dataclass(frozen=True)
class Choice:
    """One of several texts, and how probable it is.

    Args:
        text: the choice.
        log_probability: nats, of its tokens behind the prompt.
        probability: among the choices, whose probabilities add up to 1.

    >>> Choice("yes", log_probability=-0.7, probability=0.8).text
    'yes'
    """

    text: str
    log_probability: float
    probability: float


def choice_scores(engine: Engine, tokenizer: Tokenizer, texts: Sequence[str], state: State) -> list[Choice]:
    """How probable each of several texts is: exactly, each as its tokenizer spells it, and not token by token.

    A choice that another one begins with is at least as probable as that one: what comes behind one does not count.

    Args:
        engine: with a model of text.
        tokenizer: its tokenizer.
        texts: the choices, each once.
        state: what was read before, of one row; it is not changed.

    Returns:
        The choices, the most probable first.

    Raises:
        ConfigError: there is none, an empty one, one twice, or they are too many.
        DataError: the tokenizer does not know a character or a word of one.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("abc")
    >>> model = SequenceModel(embedding(Tokens(3), 8), cores.build("core", "recurrent", width=8), head(Tokens(3), 8))
    >>> engine = Engine(model)
    >>> found = choice_scores(engine, tokenizer, ["ab", "c"], engine.read(torch.tensor([[0]])))
    >>> round(sum(one.probability for one in found), 5), {one.text for one in found} == {"ab", "c"}
    (1.0, True)
    """
    spelt = _spelt(tokenizer, texts)
    values = torch.zeros(len(texts), dtype=torch.float64)
    order = sorted(range(len(texts)), key=lambda number: len(spelt[number]))
    for some in _batches(order, [len(ids) for ids in spelt], tokenizer.size):
        values[some] = _log_probabilities(engine, [spelt[number] for number in some], state)
    shares = values.softmax(dim=0).tolist()
    found = [Choice(*one) for one in zip(texts, values.tolist(), shares, strict=True)]
    return sorted(found, key=lambda one: -one.log_probability)


def draw_choice(choices: Sequence[Choice], sampling: Sampling, seed: int, position: int) -> Choice:
    """One of the choices, drawn at a temperature from their probabilities; at 0 the most probable.

    Args:
        choices: as `choice_scores` gives them.
        sampling: its filters are applied to the choices as they are to tokens.
        seed: the same one draws the same choice,
        position: at the same position.
    """
    scores = torch.tensor([[one.log_probability for one in choices]])
    for change in sampling.filters():
        scores = change(scores, torch.zeros_like(scores, dtype=torch.bool))
    return choices[int(draw_ids(scores, noise([seed], position)))]


def _spelt(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of the choices."""
    if not texts or not all(texts):
        raise ConfigError("an empty text is no choice", hint="--choice TEXT --choice OTHER")
    if len(texts) > MOST_CHOICES or sum(map(len, texts)) > MOST_TOKENS:
        raise ConfigError(
            f"{len(texts):,} choices of {sum(map(len, texts)):,} characters are too many",
            hint=f"give at most {MOST_CHOICES:,} choices with {MOST_TOKENS:,} characters",
        )
    if len(set(texts)) < len(texts):
        twice = Counter(texts).most_common(1)[0][0]
        raise ConfigError(f"the choice {twice!r} is given twice", hint="give each once")
    found = []
    for text in texts:
        if strange := tokenizer.unknown(text):
            raise DataError(
                f"the choice {text!r} cannot be written: the model does not know {', '.join(map(repr, strange[:5]))}",
                hint="leave it out, or train with tokenizer.kind=byte, which knows every character",
            )
        found.append(tokenizer.encode(text).tolist())
        if not found[-1]:
            raise ConfigError(f"the choice {text!r} has no token", hint="leave it out")
    return found


def _batches(order: Sequence[int], sizes: Sequence[int], vocabulary: int) -> Iterator[list[int]]:
    """The choices in their order, so many side by side as their scores allow."""
    some: list[int] = []
    for number in order:
        if some and (len(some) == ROWS or (len(some) + 1) * sizes[number] * vocabulary > SCORES):
            yield some
            some = []
        some.append(number)
    yield some


def _log_probabilities(engine: Engine, rows: Sequence[Sequence[int]], state: State) -> Tensor:
    """The log-probability of each row of ids behind a state; what pads the shorter ones comes behind them."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *([0] * (width - len(row)))] for row in rows], device=engine.model.device)
    reader = engine.reader(state.select(torch.zeros(len(rows), dtype=torch.long, device=ids.device)))
    before = state.logits.expand(len(rows), -1).unsqueeze(1)
    scores = torch.cat([before, reader.feed(ids[:, :-1])], dim=1) if width > 1 else before  # (R, T, V)
    own = at_least_float32(scores).log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1).double()
    there = torch.arange(width, device=ids.device) < torch.tensor([[len(row)] for row in rows], device=ids.device)
    return (own * there).sum(dim=-1).cpu()
