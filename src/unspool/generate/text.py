"""Prompts, stop strings, and the tokens that spell a text."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from unspool.data.tokenizer import Tokenizer
from unspool.errors import ConfigError, DataError
from unspool.generate.engine import Engine
from unspool.generate.state import State
from unspool.models.sequence import SequenceModel

UNKNOWN = "<unk>"
BANNED = (UNKNOWN,)
"""What is never generated unless somebody asks for it."""
MOST_BIAS = 100.0
"""The largest number that may be added to a logit."""


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
        spelt = spelt_ids(tokenizer, text)
        if not spelt and text != UNKNOWN:
            raise DataError(
                f"the tokenizer cannot spell {text!r}, so it is never generated anyway", hint="leave the ban out"
            )
        found += spelt
    return found


def biased_ids(tokenizer: Tokenizer, bias: Mapping[str, float]) -> list[tuple[list[int], float]]:
    """The sequences of ids that spell texts, each with what is added to the logit of its last id.

    Raises:
        ConfigError: a text is empty, or a number is beyond -100 and 100.
        DataError: the tokenizer cannot spell a text.

    >>> from unspool.data.tokenizer import tokenizers
    >>> biased_ids(tokenizers.build("tokenizer", "word").fit("to be or not"), {"not": 2.5})
    [([4], 2.5)]
    """
    found: list[tuple[list[int], float]] = []
    for text, value in bias.items():
        if not text or not abs(value) <= MOST_BIAS:
            what = f"the bias {value} is beyond {-MOST_BIAS} and {MOST_BIAS}" if text else "an empty text has no bias"
            raise ConfigError(what, hint="--bias TEXT=+2.5; --ban TEXT rules a text out")
        spelt = spelt_ids(tokenizer, text)
        if not spelt:
            raise DataError(f"the tokenizer cannot spell {text!r}", hint="leave the bias out")
        found += [(ids, value) for ids in spelt]
    return found


def spelt_ids(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """The sequences of ids that spell a text: single tokens, with and without a space before them, and several."""
    spelt = {text.encode("utf-8", "replace"), f" {text}".encode("utf-8", "replace")}
    found = [[id] for id in range(tokenizer.size) if tokenizer.pieces[id] in spelt]
    for spelling in (text, f" {text}") if text != UNKNOWN else ():
        ids = [] if tokenizer.unknown(spelling) else tokenizer.encode(spelling).tolist()
        found += [ids] if len(ids) > 1 and ids not in found else []
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
