"""The log-probability of every token of a text that is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.errors import ConfigError, DataError, TrainingError
from unspool.generate.engine import AFTER_DIVERGING, DIVERGED, Engine
from unspool.generate.state import State
from unspool.generate.text import warn_of_unknown
from unspool.nn.heads import at_least_float32
from unspool.schema import Natural

SCORES = 2**22
"""About so many scores are in memory at a time."""

RUN = 256
"""So many tokens are read in one run: their scores (B, T, V) are held at once."""

_Place = tuple[float, list[tuple[int, float]]]
"""The log-probability of an id, and the likeliest ids in its place with theirs."""


@dataclass(frozen=True)
class TokenScore:
    """One token of a text, and how probable the model thought it.

    The texts of all tokens join to the text: a token that ends inside a character shows nothing, and the one that
    completes it shows the character.

    Args:
        id: of the token.
        text: what it adds to the text.
        log_probability: nats, given all tokens before it; None: nothing came before it.
        top: the likeliest tokens in its place with their log-probabilities, the likeliest first. Bytes that are no
            whole character are spelt as in "\\\\xc3".

    >>> TokenScore(3, "be", log_probability=-0.5, top={"be": -0.5}).text
    'be'
    """

    id: int
    text: str
    log_probability: float | None
    top: dict[str, float] = field(default_factory=dict)


def read_scored(engine: Engine, state: State, ids: Int[Tensor, "B T"]) -> tuple[State, Float[Tensor, "B T"]]:
    """Read some tokens and say how likely the model thought each of them, given all before it.

    Args:
        engine: with a model of tokens.
        state: what was read before them; it is not changed.
        ids: at least one token.

    Returns:
        The state behind them, and the log-probabilities (B, T) in nats.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> engine = Engine(model)
    >>> state, log_probability = read_scored(engine, engine.read(torch.tensor([[1]])), torch.tensor([[2, 3]]))
    >>> state.position, log_probability.shape
    (3, torch.Size([1, 2]))
    """
    reader, ids = engine.reader(state), ids.to(state.logits.device)
    scores = reader.feed(ids)
    with torch.inference_mode():
        seen = at_least_float32(torch.cat([state.logits.unsqueeze(1), scores[:, :-1]], dim=1))
        found = seen.log_softmax(dim=-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        every = torch.cat([state.ids, ids], dim=1)
    return replace(state, core=reader.core, logits=scores[:, -1].clone(), ids=every, pending=b""), found


def one_run(engine: Engine, position: int) -> int:
    """How many tokens behind a position are read in one run of the model: its window stays where it is."""
    room = engine.remaining(position)
    if room is not None and room < 1:
        room = 1 + (engine.remaining(position + 1) or 0)
    return RUN if room is None else min(RUN, room)


def token_scores(
    engine: Engine, tokenizer: Tokenizer, text: str, state: State | None = None, top: Natural = 0, window: Natural = 0
) -> list[TokenScore]:
    """The log-probability of every token of a text.

    Args:
        engine: with a model of text.
        tokenizer: its tokenizer.
        text: what is scored; its unknown words are a UserWarning, and scored as the unknown word.
        state: what was read before it, of one row; None: nothing, and the first token has no log-probability.
        top: so many of the likeliest tokens are given for each place.
        window: as in `id_scores`.

    Returns:
        A score for each token.

    Raises:
        ConfigError: the core reads both ways, or a window and a state are given.
        DataError: the text has characters that the tokenizer does not know.
        TrainingError: the model has diverged.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("abc")
    >>> model = SequenceModel(embedding(Tokens(3), 8), cores.build("core", "recurrent", width=8), head(Tokens(3), 8))
    >>> [(one.text, one.log_probability is None) for one in token_scores(Engine(model), tokenizer, "cab")]
    [('c', True), ('a', False), ('b', False)]
    """
    warn_of_unknown(tokenizer, text)
    return list(id_scores(engine, tokenizer, tokenizer.encode(text).tolist(), state, top, window))


def id_scores(
    engine: Engine,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    state: State | None = None,
    top: Natural = 0,
    window: Natural = 0,
) -> Iterator[TokenScore]:
    """The log-probability of every one of some token ids; memory does not grow with their number.

    By default the state is carried to the end, as in `unspool eval`'s set "contiguous" of one row. A core that reads at
    most L tokens sees what it would see if it generated them: when it is full it reads the last half of them anew, so
    every token but the first L has from L/2 to L tokens before it.

    Args:
        engine: with a model of text.
        tokenizer: spells the tokens.
        ids: what is scored.
        state: what was read before, of one row; it is not changed. None: nothing.
        top: so many of the likeliest tokens are given for each place.
        window: begin with an empty state every so many tokens, as `unspool eval`'s set "windowed" does; 0: never.

    Returns:
        Scores in the order of the ids.

    Raises:
        ConfigError: the core reads both ways, or a window and a state are given.
        DataError: there is no such id.
        TrainingError: the model has diverged.
    """
    if window and state is not None:
        raise ConfigError("a window begins with an empty state, and a state is given", hint="leave one of them out")
    ids = list(ids)
    for id in ids:
        if not 0 <= id < tokenizer.size:
            raise DataError(
                f"there is no token {id}: the vocabulary has {tokenizer.size}", hint="use the run's own ids"
            )
    before, pending = (None, b"") if state is None else (int(state.ids[0, -1]), state.pending)
    stream, places = TextStream(tokenizer, before, pending), _places(engine, tokenizer.size, ids, state, top, window)
    for number, id in enumerate(ids):
        log_probability, likeliest = next(places) if number or state is not None else (None, [])
        best: dict[str, float] = {}
        for one, value in likeliest:
            best.setdefault(tokenizer.piece(one, stream.before).decode("utf-8", "backslashreplace"), value)
        text = stream.feed(id) + (stream.flush() if number == len(ids) - 1 else "")
        yield TokenScore(id, text, log_probability, best)


def _places(
    engine: Engine, size: int, ids: Sequence[int], state: State | None, top: int, window: int
) -> Iterator[_Place]:
    """Every id but a first one that nothing comes before."""
    if state is not None:
        yield from _chosen(state.logits, ids[:1], top)
    reader, at, last = engine.reader(state), 0, len(ids) - 1
    while at < last:
        if window and at % window == 0:
            reader = engine.reader()
        end = min(last, at + max(1, SCORES // size), at + window - at % window if window else last)
        inputs = torch.tensor(ids[at:end], device=engine.model.device)[None]
        yield from _chosen(reader.feed(inputs)[0], ids[at + 1 : end + 1], top)
        at = end


def _chosen(logits: Float[Tensor, "T V"], ids: Sequence[int], top: int) -> Iterator[_Place]:
    """Each id in its row of logits."""
    scores = at_least_float32(logits).log_softmax(dim=-1).cpu()
    if not bool(scores.isfinite().all()):
        raise TrainingError(DIVERGED, hint=AFTER_DIVERGING)
    own = scores.gather(-1, torch.tensor(ids)[:, None])[:, 0].tolist()
    best = scores.topk(min(top, scores.shape[-1]), dim=-1)
    for value, some, values in zip(own, best.indices.tolist(), best.values.tolist(), strict=True):
        yield value, list(zip(some, values, strict=True))
