"""Generation of text: prompts in, strings out."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.errors import ConfigError, DataError
from unspool.generate.beam import beam_search
from unspool.generate.engine import Engine, Steps
from unspool.generate.sampling import Ban, Sampling, sampler
from unspool.generate.state import State
from unspool.models.sequence import SequenceModel

if TYPE_CHECKING:
    from unspool.generate.compiled.steps import CompiledSteps

LONG = 128
"""Where so many tokens are still to come, the compiled loop is asked for, first behind half of them."""
UNKNOWN = "<unk>"
BANNED = (UNKNOWN,)
"""What is never generated unless somebody asks for it."""


@dataclass(frozen=True)
class Candidate:
    """One continuation of a prompt."""

    text: str
    log_probability: float  # nats, of the whole continuation under the model itself


def read_prompt(
    engine: Engine,
    tokenizer: Tokenizer,
    text: str = "",
    state: State | None = None,
    source: Tensor | None = None,
    source_mask: Bool[Tensor, "B S"] | None = None,
) -> State:
    """The state of a model after reading a text.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        text: what to read. An empty one behind no state is a line break, where a text may begin.
        state: what was read before; None: nothing.
        source: what the model attends to, (B, S) ids or (B, S, F) numbers.
        source_mask: which places of the source are present.

    Returns:
        The state, of one row.

    Raises:
        DataError: the text has characters that the tokenizer does not know. Unknown words are a UserWarning.
    """
    if not text and state is not None:
        return state
    ids = prime(engine.model, tokenizer, text)
    warn_of_unknown(tokenizer, text)
    return engine.read(ids, state, source, source_mask)


def prime(model: SequenceModel, tokenizer: Tokenizer, prompt: str) -> Int[Tensor, "1 T"]:
    """The ids of a prompt, (1, T). An empty one becomes a line break, where a text may begin, or the first token."""
    ids = tokenizer.encode(prompt or "\n") if prompt or not tokenizer.unknown("\n") else [0]
    ids = ids if prompt or len(ids) else [0]
    if not len(ids):
        raise DataError(f"the prompt {prompt!r} holds no token", hint="begin with a word")
    return torch.as_tensor(ids, dtype=torch.long, device=model.device)[None]


def warn_of_unknown(tokenizer: Tokenizer, text: str) -> None:
    """A UserWarning that names the words which the tokenizer reads as its unknown word."""
    strange = [word for word in tokenizer.unknown(text) if word != UNKNOWN]
    if strange:
        named = ", ".join(map(repr, strange[:5])) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
        warnings.warn(
            f"the model does not know {named}: read as {tokenizer.decode(tokenizer.encode(strange[0]))}", stacklevel=3
        )


def token_before(tokenizer: Tokenizer, prompt: str, ids: Int[Tensor, "1 N"], given: bool = False) -> int | None:
    """The token after which generated text is spelt: the last of the prompt, so that words are not glued to it.

    None where the prompt ends with white space already, or where nothing was read that somebody sees.

    Args:
        tokenizer: spells the tokens.
        prompt: what was read last.
        ids: everything that was read.
        given: whether something was read before the prompt.
    """
    if not prompt and not given:
        return None
    return None if prompt[-1:].isspace() and not prompt.endswith("\n") else int(ids[0, -1])


def banned_ids(tokenizer: Tokenizer, ban: Sequence[str]) -> list[list[int]]:
    """The sequences of ids that spell banned texts: single tokens, with and without a space before them, or several.

    Raises:
        DataError: the tokenizer cannot spell a text. `<unk>` may be missing.

    >>> from unspool.data.tokenizer import tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "word").fit("to be or not")
    >>> banned_ids(tokenizer, ["<unk>", "not", "to be"])
    [[0], [4], [1, 2]]
    """
    found: list[list[int]] = []
    for text in ban:
        if not text:
            raise ConfigError("an empty text cannot be banned", hint="--ban TEXT")
        spelt = {text.encode(), f" {text}".encode()}
        single = [[id] for id in range(tokenizer.size) if tokenizer.pieces[id] in spelt]
        several: list[list[int]] = []
        if text != UNKNOWN:
            for spelling in (text, f" {text}"):
                ids = [] if tokenizer.unknown(spelling) else tokenizer.encode(spelling).tolist()
                several += [ids] if len(ids) > 1 and ids not in several else []
            if not single and not several:
                raise DataError(
                    f"the tokenizer cannot spell {text!r}, so it is never generated anyway", hint="leave the ban out"
                )
        found += single + several
    return found


class StopText:
    """Text up to the first stop string, which may be spread over several pieces.

    >>> text = StopText(["END"])
    >>> [text.feed(piece) for piece in ("an E", "ND and", " more")], text.stopped
    (['an ', '', ''], True)
    """

    def __init__(self, stop: Sequence[str]) -> None:
        if not all(stop):
            raise ConfigError("an empty text would stop at once", hint="leave it out: --stop TEXT")
        self.stop = tuple(stop)
        self.held = ""  # what may be the beginning of a stop string
        self.stopped = False

    def feed(self, piece: str) -> str:
        """The text that is certain to come before any stop string."""
        if self.stopped:
            return ""
        if not self.stop:
            return piece
        text, self.held = self.held + piece, ""
        found = [at for at in (text.find(one) for one in self.stop) if at >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        sizes = (n for one in self.stop for n in range(1, len(one)) if text.endswith(one[:n]))
        size = max(sizes, default=0)
        self.held = text[len(text) - size :]
        return text[: len(text) - size]

    def flush(self) -> str:
        """What was held back."""
        rest, self.held = self.held, ""
        return rest


def candidates(
    engine: Engine,
    tokenizer: Tokenizer,
    state: State,
    length: int,
    sampling: Sampling,
    count: int,
    *,
    before: int | None = None,
    stop: Sequence[str] = (),
    ban: Sequence[str] = BANNED,
) -> list[Candidate]:
    """Several continuations of a state, drawn side by side, the likeliest first.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        state: where all of them begin, of one row.
        length: how many tokens each may have.
        sampling: how to draw.
        count: how many.
        before: the token after which the text is spelt.
        stop: a text ends before any of these.
        ban: texts that are never generated.

    Returns:
        Texts, each with the log-probability of its tokens (those of the stop string included) in nats.
    """
    rows = state.select(torch.zeros(count, dtype=torch.long, device=state.ids.device))
    steps: Steps | CompiledSteps = engine.steps(rows, sampler(rows, sampling, banned_ids(tokenizer, ban)))
    if engine.compiled is not None and engine.compiled.precision != "float32":
        engine.compiled.needed()
        steps = engine.hasten(steps)  # type: ignore[arg-type]
    texts = [TextStream(tokenizer, before, state.pending) for _ in range(count)]
    ends = [StopText(stop) for _ in range(count)]
    written, scores = [""] * count, torch.zeros(count)
    for number in range(length):
        if isinstance(steps, Steps) and length - number > LONG and number % LONG == LONG // 2:
            steps = engine.hasten(steps)
        step = next(steps)
        going = torch.tensor([not end.stopped for end in ends])
        scores += torch.where(going, step.log_probability.float().cpu(), 0.0)
        for row, id in enumerate(step.ids.flatten().tolist()):
            if not ends[row].stopped:
                written[row] += ends[row].feed(texts[row].feed(id))
        if all(end.stopped for end in ends):
            break
    found = [
        Candidate(text + end.flush(), float(score)) for text, end, score in zip(written, ends, scores, strict=True)
    ]
    return sorted(found, key=lambda one: -one.log_probability)


def likeliest(
    model: SequenceModel,
    tokenizer: Tokenizer,
    prompt: str,
    length: int,
    width: int,
    ban: Sequence[str] = BANNED,
) -> list[Candidate]:
    """The likeliest continuations of a prompt that a beam search finds, the likeliest first.

    Args:
        model: a model of text.
        tokenizer: its tokenizer.
        prompt: what they go on from.
        length: how many tokens each has.
        width: how many beams are kept.
        ban: texts that are never generated.
    """
    ids = prime(model, tokenizer, prompt)
    warn_of_unknown(tokenizer, prompt)
    rule = Ban(banned_ids(tokenizer, ban), tokenizer.size, ids.device)
    (found,) = beam_search(model, ids, length, width, rule=rule)
    before = token_before(tokenizer, prompt, ids)
    texts = [TextStream(tokenizer, before) for _ in found]
    return [
        Candidate("".join([*map(text.feed, beam.ids), text.flush()]), beam.log_probability)
        for beam, text in zip(found, texts, strict=True)
    ]
