"""Text as it is generated, and the state behind what came out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from unspool.data.tokenizer import TextStream, Tokenizer
from unspool.generate.candidates import rules_of
from unspool.generate.constraints import Constraint
from unspool.generate.engine import Engine, Steps
from unspool.generate.sampling import Sampling, sampler
from unspool.generate.state import State
from unspool.generate.text import BANNED, StopText, read_prompt, token_before

if TYPE_CHECKING:
    from unspool.generate.blocks import BlockSteps


class Stream(Iterator[str]):
    r"""The text that a model generates, piece by piece, never half a character.

    It may be left at any time and gone on with: `state` is the state behind what came out. An unfinished character at
    the end is not shown; it waits in `state.pending`.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        state: where to begin, of one row; it is not changed.
        length: how many tokens to generate at most.
        sampling: how to draw; its random numbers follow from the seed of the state.
        stop: the text ends before the first of these strings, which may span tokens. The state has read that string, so
            that what follows goes on behind it.
        ban: texts that are never generated.
        before: the token after which the first is spelt.
        bias: what is added to the logits of texts.
        constraint: what all that is generated matches, from its first to its last character.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> tokenizer = tokenizers.build("tokenizer", "char").fit("abc\n")
    >>> model = SequenceModel(embedding(Tokens(4), 8), cores.build("core", "recurrent", width=8), head(Tokens(4), 8))
    >>> engine = Engine(model)
    >>> stream = Stream(engine, tokenizer, read_prompt(engine, tokenizer, "ab"), length=5)
    >>> len("".join(stream)), stream.state.position, stream.finished
    (5, 7, 'length')
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        state: State,
        length: int = 500,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        ban: Sequence[str] = BANNED,
        before: int | None = None,
        bias: Mapping[str, float] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.length, self.count = length, 0  # tokens, and how many there are already
        self.finished = ""  # "length", "stop" or "constraint" when it has ended
        self._text, self._end = TextStream(tokenizer, before), StopText(stop)
        self._ready = self._end.feed(self._text.decoder.decode(state.pending))
        self._engine = engine
        self._rule, banned, biased = rules_of(tokenizer, length, ban, bias, constraint)
        self._choose = sampler(state, sampling or Sampling(), banned, biased, self._rule)
        self._steps = engine.fastest_steps(state, self._choose)
        self.watch: Callable[[Steps | BlockSteps], None] | None = None  # called behind every token

    def __next__(self) -> str:
        while not self.finished and not self._ready:
            if self._end.stopped:
                self.finished = "stop"
            elif self._complete():
                self.finished, self._ready = "constraint", self._end.flush()
            elif self.count == self.length:
                self.finished, self._ready = "length", self._end.flush()
            else:
                self._go_on()
        piece, self._ready = self._ready, ""
        if not piece:
            raise StopIteration
        return piece

    def _go_on(self) -> None:
        """Generate some more: one token, or as many as come at once."""
        self._steps = self._engine.hasten(self._steps, self.count, self.length - self.count)
        ids = self._steps.ids(1 if self.watch else self.length - self.count, bool(self._end.stop))
        if self._rule is not None and bool(self._choose.ended):
            self._steps.drop()
            return
        for number, id in enumerate(ids, start=1):
            self.count += 1
            self._ready += self._end.feed(self._text.feed(id))
            if self._end.stopped:
                self._steps.drop(len(ids) - number)
                break
        if self.watch is not None:
            self.watch(self._steps)

    def _complete(self) -> bool:
        """Whether the constraint allows nothing more, or its end was drawn."""
        return self._rule is not None and self._rule.is_complete(self._choose.written[0].tolist())

    @property
    def position(self) -> int:
        """How many tokens were read or generated."""
        return self._steps.position

    @property
    def state(self) -> State:
        """The state behind the text that came out."""
        pending = b"" if self._end.stopped else (self._ready + self._end.held).encode() + self._text.pending
        return replace(self._steps.state, pending=pending)

    def __repr__(self) -> str:
        end = f", ended by {self.finished}" if self.finished else ""
        return f"Stream(position {self.position:,}, {self.count:,} of {self.length:,} tokens{end})"


def stream_text(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    state: State | None = None,
    length: int = 500,
    sampling: Sampling | None = None,
    seed: int | None = None,
    stop: Sequence[str] = (),
    ban: Sequence[str] = BANNED,
    bias: Mapping[str, float] | None = None,
    constraint: Constraint | None = None,
) -> Stream:
    """The text that follows a prompt, or a state and then a prompt.

    Args:
        engine: the model.
        tokenizer: its tokenizer.
        prompt: what to go on from.
        state: what was read before the prompt; None: nothing.
        length: how many tokens to generate at most.
        sampling: how to draw; None: from the model's own distribution.
        seed: the same seed generates the same text; None: that of the state, or a random one.
        stop: the text ends before the first of these strings.
        ban: texts that are never generated.
        bias: what is added to the logits of texts.
        constraint: what all that is generated matches.

    Returns:
        An iterator of strings, with the state behind them.

    Raises:
        ConfigError: the model's tokens can write nothing that the constraint allows, or not in that length.
        DataError: the prompt has characters that the tokenizer does not know.
    """
    began = read_prompt(engine, tokenizer, prompt, state)
    began = began if seed is None else replace(began, seed=seed)
    before = token_before(tokenizer, prompt, began.ids, state is not None)
    return Stream(engine, tokenizer, began, length, sampling, stop, ban, before, bias, constraint)
