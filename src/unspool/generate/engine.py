"""Runs trained models step by step: the one place where their states are handled."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from unspool.batch import Batch
from unspool.errors import ConfigError, TrainingError
from unspool.generate.state import State, new_seed
from unspool.models.sequence import SequenceModel
from unspool.nn.density import Density
from unspool.nn.heads import at_least_float32
from unspool.nn.part import CoreState, fork, map_state

if TYPE_CHECKING:
    from unspool.generate.blocks import BlockSteps
    from unspool.generate.compiled.ready import CompiledModel
    from unspool.generate.reader import Reader

CHUNK = 4096
"""So many tokens are read at a time, so that memory does not grow with the length of a prompt."""
BLOCK = 512
"""So many generated tokens are joined into one tensor at a time."""
LONG = 128
"""So many tokens are worth the compiled loop, or a CUDA graph."""
DIVERGED = "the model has diverged: its scores are not finite"
AFTER_DIVERGING = "use an earlier one of its checkpoints/step-N, or train again with a lower train.learning_rate"

Select = Callable[[Tensor, int], Tensor]
"""The scores (B, V) of the next token and its position give ids (B, 1); of numbers, (B, W) gives numbers (B, size)."""
Feedback = Callable[[int, Tensor], Tensor]
"""The number of the step, from 0, and the numbers predicted (B, size) give the next input (B, F)."""


class Step(NamedTuple):
    """One new token for every row, and how likely the model itself thought it: no filter and no ban counts."""

    ids: Tensor  # (B, 1); the numbers (B, size) of a model of numbers
    log_probability: Tensor  # (B,) nats; empty for numbers


class Engine:
    """Reads, steps and predicts with a model, in inference mode and without dropout.

    The model's own mode (training or not) is the same behind every call as before it. Every architecture is run the
    same way. A core that reads at most L tokens (`max_length`) goes on for ever: the tokens that it sees begin at
    `window_start(position, L)`, which depends on the position alone, so that reading at once, reading in pieces and
    coming back to a position agree.

    Args:
        model: the model; it stays where it is.
        weights: its `fingerprint`, which its states carry and which saved states are compared with.
        compiled: its compiled loop, which long texts are generated with as soon as it is ready.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> engine = Engine(model)
    >>> state = engine.read(torch.tensor([[1, 2, 3]]))
    >>> steps = engine.steps(state, lambda logits, position: logits.argmax(dim=-1, keepdim=True))
    >>> next(steps).ids.shape, steps.state.position, state.position
    (torch.Size([1, 1]), 4, 3)
    """

    def __init__(self, model: SequenceModel, weights: str = "", compiled: "CompiledModel | None" = None) -> None:
        self.model, self.weights, self.compiled = model, weights, compiled
        self._modules = list(model.modules())
        self.tokens_run = 0  # by the model in all, row by row: whoever reads something again cannot hide it
        self._recordable = True  # as far as is known: see `graph_steps`

    def read(
        self,
        inputs: Tensor,
        state: State | None = None,
        source: Tensor | None = None,
        source_mask: Bool[Tensor, "B S"] | None = None,
    ) -> State:
        """The state after reading some tokens.

        Args:
            inputs: ids (B, T), or numbers (B, T, F); T is at least 1.
            state: what was read before them; it is not changed. None: nothing.
            source: what the model attends to, ids (B, S) or numbers (B, S, F); only where there is no state.
            source_mask: which places of the source are present; None: all.

        Returns:
            The state, whose seed is that of `state` or a random one.

        Raises:
            ConfigError: the core reads both ways, or needs a source that is not given.
            TrainingError: the model has diverged: its scores are not finite.
        """
        self._refuse_both_ways()
        ids, begin = inputs.to(self.model.device), 0
        if state is None:
            encoded = self._encode(source, source_mask)
            state = self._nothing(ids, new_seed(), *encoded)
        elif source is not None:
            raise ConfigError("a state has read its source already", hint="leave out the source or the state")
        every = torch.cat([state.ids, ids], dim=1)
        begin = window_start(every.shape[1], self.max_length)
        if state.core and begin == window_start(state.position, self.max_length):
            core, logits = self._run(ids, fork(state.core))
        else:
            core, logits = self._restart(state, every[:, begin:])
        if not bool(logits.isfinite().all()):
            raise TrainingError(DIVERGED, hint=AFTER_DIVERGING)
        return replace(state, core=core, logits=logits, ids=every, pending=b"").fork()

    def steps(self, state: State, select: Select, feedback: Feedback | None = None, window: int = 0) -> "Steps":
        """Generate token after token, for as long as somebody asks for the next.

        Args:
            state: where to begin; it is not changed.
            select: chooses the next ids, for instance a `sampling.Sampler`, or the next numbers.
            feedback: makes the next input of predicted numbers; None: they are fed back as they are.
            window: for every step the last so many inputs are read anew from an empty state; 0: the state is carried.

        Returns:
            An iterator of `Step`s. Its `state` is the state after the last step that came out.
        """
        return Steps(self, state, select, feedback, window)

    def fastest_steps(self, state: State, select: Select) -> "Steps | BlockSteps":
        """As `steps`; by the compiled loop at once where that alone has the precision which is wanted.

        Raises:
            ConfigError: the model cannot be compiled.
        """
        steps = self.steps(state, select)
        if self.compiled is None or self.compiled.precision == "float32":
            return steps
        self.compiled.needed()
        return self.hasten(steps, LONG // 2, LONG)

    def hasten(self, steps: "Steps | BlockSteps", made: int, left: int) -> "Steps | BlockSteps":
        """The same generation in blocks, where that can be had and is worth it; else the steps as they are.

        On a CPU by the compiled loop as soon as it is ready, on a GPU by a CUDA graph.

        Args:
            steps: of ids, under way.
            made: how many tokens there are: it is looked for behind half of `LONG`, and then behind every `LONG`.
            left: how many tokens are still to come: fewer than `LONG` are not worth it.
        """
        if not isinstance(steps, Steps) or left < LONG or made % LONG != LONG // 2 or not steps.is_plain:
            return steps
        if self.model.device.type == "cuda":
            return self._recorded(steps)
        runner = None if self.compiled is None or steps.has_source else self.compiled.runner()
        if runner is None:
            return steps
        from unspool.generate.compiled.steps import CompiledSteps

        return CompiledSteps(self, runner, steps.state, steps.select)

    def _recorded(self, steps: "Steps") -> "Steps | BlockSteps":
        """The same generation by a CUDA graph; the steps as they are where one cannot be recorded."""
        from unspool.generate.graph_steps import GraphSteps

        if self._recordable:
            try:
                return GraphSteps(self, steps.state, steps.select)
            except RuntimeError:  # a step that waits for a value of the GPU, or no memory is left
                self._recordable = False
        return steps

    def step(self, state: State, ids: Tensor) -> State:
        """The state after one more token (B, 1). The memory of the given state is used up: `fork` it to keep it."""
        before, begin = (window_start(n, self.max_length) for n in (state.position, state.position + 1))
        every = torch.cat([state.ids, ids], dim=1)
        if begin == before:
            core, logits = self._run(ids, state.core)
        else:
            core, logits = self._restart(state, every[:, begin:])
        return replace(state, core=core, logits=logits, ids=every)

    def reader(self, state: State | None = None) -> "Reader":
        """Reads an input that goes on, such as a sound, and gives the scores at every position of it.

        Args:
            state: what was read before; it is not changed. None: nothing.
        """
        from unspool.generate.reader import Reader

        self._refuse_both_ways()
        return Reader(self, state)

    def forward(self, batch: Batch) -> Tensor:
        """The scores (B, T, V) at every position of a batch, read from an empty state; models that read both ways too.

        >>> from unspool import Tokens, cores, embedding, head
        >>> core = cores.build("core", "recurrent", width=8, bidirectional=True)
        >>> model = SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8))
        >>> ids = torch.tensor([[1, 2, 3]])
        >>> Engine(model).forward(Batch(ids, ids, torch.ones_like(ids, dtype=torch.bool))).shape
        torch.Size([1, 3, 5])
        """
        with self._resting(), torch.no_grad():
            hidden, _ = self.model.hidden_states_of(batch.to(self.model.device))
            return self.model.head(hidden)

    def density(self, batch: Batch) -> Density | None:
        """The distribution of the numbers at the positions that count, of a batch read from an empty state.

        None where the model predicts none: it predicts tokens, or the mean alone.
        """
        if not self.model.head.predicts_distribution:
            return None
        with self._resting(), torch.no_grad():
            batch = batch.to(self.model.device)
            return self.model.head.density(self.model.hidden_states_of(batch)[0][batch.loss_mask])

    def template(self, like: Tensor, source: Tensor | None = None, source_mask: Tensor | None = None) -> State:
        """The state before the first input, for inputs such as these (1, 1); the source is encoded already."""
        self._refuse_both_ways()
        state = self._nothing(like, 0, source, source_mask)
        logits = self._restart(state, like)[1]
        return replace(state, core=self._start(state, like), logits=logits).fork()

    @property
    def max_length(self) -> int | None:
        """How many tokens the core can read from an empty state on; None: any number."""
        return self.model.core.max_length

    def remaining(self, position: int) -> int | None:
        """How many more tokens the core can read before its window moves on; None where it never does."""
        length = self.max_length
        return None if length is None else length - position + window_start(position, length)

    def _refuse_both_ways(self) -> None:
        if not self.model.core.causal:
            raise ConfigError("this model reads both ways: use predict", hint="`unspool predict RUN`, or Run.predict")

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """No dropout inside the block, and every module in its own mode again behind it."""
        training = [module for module in self._modules if module.training]
        for module in training:
            module.training = False
        try:
            yield
        finally:
            for module in training:
                module.training = True

    def _encode(self, source: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if source is None:
            return None, None
        source, mask = source.to(self.model.device), None if mask is None else mask.to(self.model.device)
        with self._resting(), torch.inference_mode():
            return (source if self.model.encoder is None else self.model.encoder(source, mask)), mask

    def _nothing(self, inputs: Tensor, seed: int, source: Tensor | None, source_mask: Tensor | None) -> State:
        nothing = torch.zeros(len(inputs), 0, device=inputs.device)
        return State((), nothing, inputs[:, :0], b"", seed, self.weights, source, source_mask)

    def _start(self, state: State, ids: Tensor) -> CoreState:
        with self._resting(), torch.inference_mode():
            return self.model.core.start(self.model.embedding(ids[:, :1]), state.source, state.source_mask)

    def _restart(self, state: State, ids: Tensor) -> tuple[CoreState, Tensor]:
        """Read these tokens from an empty core on, with the source that the state has."""
        return self._run(ids, self._start(state, ids))

    def _scores(self, inputs: Tensor, core: CoreState) -> tuple[Tensor, CoreState]:
        """The scores at every input (B, T, V), and the core's next state."""
        self.tokens_run += inputs.shape[0] * inputs.shape[1]
        with self._resting(), torch.inference_mode():
            hidden, core = self.model.hidden_states(inputs, core)
            return self.model.head(hidden), map_state(Tensor.contiguous, core)

    def _run(self, inputs: Tensor, core: CoreState) -> tuple[CoreState, Tensor]:
        """The core's next state, and the scores behind the last input; the given state may be written to."""
        self.tokens_run += inputs.shape[0] * inputs.shape[1]
        return self._uncounted(inputs, core)

    def _uncounted(self, inputs: Tensor, core: CoreState) -> tuple[CoreState, Tensor]:
        """As `_run`; the tokens are counted elsewhere."""
        with self._resting(), torch.inference_mode():
            for chunk in inputs.split(CHUNK, dim=1):
                hidden, core = self.model.hidden_states(chunk, core)
            core = map_state(Tensor.contiguous, core)  # as it is after saving: kernels round by the order in memory
            last = hidden[:, -1]
            return core, last if inputs.is_floating_point() else self.model.head(last)


class Steps(Iterator[Step]):
    """Generation under way: an iterator of steps that can tell the state behind the last one.

    What was chosen is read when the next step or the state is asked for, so the last token costs nothing. The model
    is touched inside these calls alone: an iterator that is left half-way leaves nothing to be cleaned up.
    """

    def __init__(self, engine: Engine, state: State, select: Select, feedback: Feedback | None, window: int) -> None:
        self.engine, self.select, self.feedback, self.window = engine, select, feedback, window
        self.position = state.position  # how many tokens were read or generated
        self._number = 0
        self._state = replace(state, core=fork(state.core))
        self._blocks, self._recent = [state.ids], list[Tensor]()
        self._waiting: Tensor | None = None  # the next input, not read yet

    def __next__(self) -> Step:
        self._catch_up()
        logits, numbers = self._state.logits, self._state.ids.is_floating_point()
        with torch.inference_mode():
            chosen = self.select(logits, self.position)
            log_probability = logits.new_empty(0)
            if not numbers:
                scores = at_least_float32(logits).log_softmax(dim=-1)
                log_probability = scores.gather(-1, chosen).squeeze(-1)
        fed = chosen
        if numbers:
            fed = chosen if self.feedback is None else self.feedback(self._number, chosen)
            fed = fed.to(logits.device).unsqueeze(1)
        self._waiting, self.position, self._number = fed, self.position + 1, self._number + 1
        return Step(chosen, log_probability)

    def ids(self, most: int, undo: bool = False) -> list[int]:
        """The next ids of a single row: at least one, at most so many; here always one."""
        return [int(next(self).ids)]

    @property
    def has_source(self) -> bool:
        """Whether the model attends to a source."""
        return self._state.source is not None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but ids is chosen and read, so that it could go on in blocks."""
        watched = any(getattr(module, "watcher", None) is not None for module in self.engine._modules)
        numbers = self._state.ids.is_floating_point()
        return self.feedback is None and not self.window and not numbers and not watched

    @property
    def state(self) -> State:
        """The state after the last step; it is a copy, which later steps do not change."""
        self._catch_up()
        return replace(self._state, ids=torch.cat([*self._blocks, *self._recent], dim=1)).fork()

    def drop(self, number: int = 1) -> None:
        """Forget the last choice, which was not read yet; no more than one can be forgotten here."""
        if number and self._waiting is not None:
            self._waiting, self.position, self._number = None, self.position - 1, self._number - 1

    def _catch_up(self) -> None:
        """Read what was chosen last."""
        if self._waiting is None:
            return
        new, self._waiting = self._waiting, None
        self._recent.append(new)
        if len(self._recent) == BLOCK:
            self._blocks, self._recent = [*self._blocks, torch.cat(self._recent, dim=1)], []
        before, begin = (window_start(n, self.engine.max_length) for n in (self.position - 1, self.position))
        if self.window:
            begin = max(begin, self.position - self.window)
        if self.window or begin != before:
            core, logits = self.engine._restart(self._state, self._last(self.position - begin))
        else:
            core, logits = self.engine._run(new, self._state.core)
        self._state = replace(self._state, core=core, logits=logits)

    def _last(self, number: int) -> Tensor:
        """The last so many inputs."""
        found: list[Tensor] = []
        for one in reversed([*self._blocks, *self._recent]):
            found.insert(0, one)
            if sum(part.shape[1] for part in found) >= number:
                break
        return torch.cat(found, dim=1)[:, -number:]


def window_start(position: int, max_length: int | None) -> int:
    """The first token that a core of limited length has read when it has come to a position.

    0 if p <= L, else h * ceil((p - L) / h), with h = max(1, L // 2): a full core reads the last half anew.

    >>> [window_start(position, 8) for position in (8, 9, 12, 13)], window_start(10**9, None)
    ([0, 4, 4, 8], 0)
    """
    if max_length is None or position <= max_length:
        return 0
    half = max(1, max_length // 2)
    return half * -(-(position - max_length) // half)
