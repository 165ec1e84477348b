"""Tuning a first state: the weights stay, and the state that a text begins from is learnt."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from unspool.batch import Batch
from unspool.errors import ConfigError, TrainingError
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState, fill, fork, map_state, tensors
from unspool.seeds import mix
from unspool.training.adam import Adam
from unspool.training.adapting import target_scores

ROWS = 64
"""So many chunks are scored at a time."""


@dataclass(frozen=True)
class TuningStep:
    """One step of tuning.

    Args:
        number: from 1; 0 is the evaluation before the first step.
        loss: of the chunks of this step, nats per token.
        valid: of the chunks held out, where they were evaluated after this step; else None.
        best: whether that is the lowest so far.

    >>> TuningStep(1, 1.5, 1.4, True).best
    True
    """

    number: int
    loss: float
    valid: float | None = None
    best: bool = False


class StateTuner(Iterator[TuningStep]):
    """Learns the state that short chunks of a text begin from, by Adam; the weights are frozen.

    One state is shared by all chunks, so it holds what they have in common, a voice, and not what any of them says. It
    is the recurrent counterpart of prefix tuning (Li & Liang 2021, arXiv:2101.00190).

    Args:
        model: a trained model whose state has numbers at the beginning; its weights do not change.
        train: chunks to learn from, (N, T + 1) ids: the first of each is read, the others are predicted.
        valid: chunks held out, which choose the best step, likewise.
        steps: how many at most.
        rate: the learning rate.
        batch_size: chunks of a step.
        every: steps between evaluations of the chunks held out.
        patience: so many evaluations without a better one end the tuning.
        seed: of the order of the chunks.

    Raises:
        ConfigError: the core has no such state, or the rate makes no sense.

    >>> from unspool import Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(5), 8), cores.build("core", "recurrent", width=8), head(Tokens(5), 8))
    >>> chunks = torch.arange(60).view(6, 10) % 5
    >>> tuner = StateTuner(model, chunks[:4], chunks[4:], steps=20, every=5)
    >>> losses = [step.valid for step in tuner if step.valid is not None]
    >>> losses[-1] < losses[0], sum(value.numel() for _, value in tuner.tuned)
    (True, 16)
    """

    def __init__(
        self,
        model: SequenceModel,
        train: Int64[Tensor, "N L"],
        valid: Int64[Tensor, "M L"],
        *,
        steps: int = 500,
        rate: float = 0.05,
        batch_size: int = 32,
        every: int = 10,
        patience: int = 10,
        seed: int = 0,
    ) -> None:
        if not 0 < rate <= 1e6:
            raise ConfigError(f"--rate should be a number above 0, received {rate}", hint="for example --rate 0.05")
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.train, self.valid = train.to(model.device), valid.to(model.device)
        self.steps, self.batch_size, self.every, self.patience, self.seed = steps, batch_size, every, patience, seed
        self.first = fork(self.model.start(self.train[:1, :1]))  # the state of a text that begins with nothing
        self.tuned = [(path, value.requires_grad_()) for path, value in tensors(fork(self.first)) if tunable(value)]
        if not self.tuned or model.core.max_length is not None:
            raise ConfigError(
                "this core begins a text with an empty state, of which nothing can be tuned",
                hint="use a run of core.kind=recurrent or blocks: a transformer remembers only what it has read",
            )
        self.optimizer = Adam([{"params": [value for _, value in self.tuned]}], lr=rate)
        self.number, self.waited, self.ended, self.asked = -1, 0, False, False
        self.lowest, self.best = float("inf"), self.first

    def __next__(self) -> TuningStep:
        if self.ended or self.asked or self.number >= self.steps:
            raise StopIteration
        self.number += 1
        loss = self._learn() if self.number else float("nan")
        if self.number % self.every and self.number < self.steps:
            return TuningStep(self.number, loss)
        valid = -float(chunk_scores(self.model, self.valid, self.state).mean())
        best = valid < self.lowest
        if best:
            self.lowest, self.best, self.waited = valid, fork(self.state), 0
        else:
            self.waited += 1
            self.ended = self.waited >= self.patience
        return TuningStep(self.number, loss, valid, best)

    def stop(self) -> None:
        """End after the step that is under way."""
        self.asked = True

    @property
    def state(self) -> CoreState:
        """The state as it is now, of one row."""
        values = {path: value.detach() for path, value in self.tuned}
        return fill(self.first, {path: values.get(path, value) for path, value in tensors(self.first)})

    def _learn(self) -> float:
        random = torch.Generator().manual_seed(mix(self.seed, self.number))
        chosen = torch.randint(len(self.train), (min(self.batch_size, len(self.train)),), generator=random)
        chunks, values = self.train[chosen.to(self.train.device)], dict(self.tuned)
        with torch.enable_grad():
            began = fill(self.first, {path: values.get(path, value) for path, value in tensors(self.first)})
            loss = -run_chunks(self.model, chunks, began).mean()
            for _, value in self.tuned:
                value.grad = None
            loss.backward()
        if not bool(loss.isfinite()):
            raise TrainingError(
                f"tuning has diverged at step {self.number}: the loss is {loss.item()}",
                hint="a lower --rate, for example a tenth of it",
            )
        self.optimizer.step()
        return loss.item()


def tunable(value: Tensor) -> bool:
    """Whether a tensor of a first state has numbers that can be learnt: not a length, and not what nothing is in."""
    return value.is_floating_point() and bool(value.numel()) and bool(value.isfinite().all())


def run_chunks(model: SequenceModel, chunks: Int64[Tensor, "N L"], state: CoreState) -> Float[Tensor, "N T"]:
    """The log-probabilities of every token but the first of each chunk, all begun from one state (1 row), in nats."""
    inputs, targets = chunks[:, :-1], chunks[:, 1:]
    began = map_state(lambda s: s.expand(len(chunks), *s.shape[1:]).clone(), state)
    batch = Batch(inputs, targets, torch.ones_like(inputs, dtype=torch.bool))
    y, _ = model.hidden_states_of(batch, began)
    return target_scores(model, y, targets)


@torch.no_grad()
def chunk_scores(model: SequenceModel, chunks: Int64[Tensor, "N L"], state: CoreState) -> Float[Tensor, "N T"]:
    """`run_chunks` for any number of chunks, without gradients."""
    return torch.cat([run_chunks(model, part.to(model.device), state) for part in chunks.split(ROWS)])


def cut_chunks(ids: Int64[Tensor, " N"], length: int, opening: int, number: int) -> Int64[Tensor, "C L"]:
    """Chunks of a text as they begin a text: behind line breaks, or anywhere where there are too few of them.

    Args:
        ids: the text.
        length: how many tokens of each are predicted; fewer where the text is shorter.
        opening: the id that a text begins behind, which becomes the first of each chunk.
        number: how many chunks at most, spread evenly over the text.

    Returns:
        (C, length + 1) ids.

    >>> cut_chunks(torch.tensor([1, 0, 1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9]), 3, opening=0, number=2).tolist()
    [[0, 1, 2, 3], [0, 7, 8, 9]]
    """
    length = min(length, len(ids) - 1)
    windows = ids.unfold(0, length + 1, 1)
    starts = (ids[: len(windows)] == opening).nonzero().flatten()
    if len(starts) < min(number, max(1, len(windows) // (4 * length))):
        starts = torch.arange(len(windows))
    if len(starts) > number:
        starts = starts[torch.linspace(0, len(starts) - 1, number).round().long()]
    chunks = windows[starts].clone()
    chunks[:, 0] = opening
    return chunks
