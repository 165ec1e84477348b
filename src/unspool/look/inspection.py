"""A trained model while it reads: what was recorded of it, and the views of that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

from torch import Tensor

from unspool.batch import Batches
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.probe import Probe
from unspool.errors import DataError
from unspool.look.measures import half_life, openness, saturation
from unspool.look.record import Progress, Record, is_retention_gate, place_name, record
from unspool.look.tokens import TokenRows
from unspool.look.units import Units
from unspool.look.view import View, views
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import Cell
from unspool.schema import Count

Vocabulary = Callable[[Sequence[int]], list[str]]
"""The names of input ids."""
GATES = {"forget", "gate", "input", "keep", "output", "recurrence", "reset", "update"}
STATES = {"hidden", "memory", "neurons", "pooled"}
BOUNDED = {"hidden", "seen"}


@dataclass(frozen=True)
class TrainingHistory:
    """How a model was trained, read when a view asks for it: the records of metrics.jsonl, and the batches."""

    metrics: Callable[[], Sequence[Mapping[str, Any]]]
    batches: Callable[[], Batches]


class Inspection:
    """What a model computes while it reads; `Run.look(text)` makes one.

    Nothing is computed before a view asks for it, and the text is read once.

    Args:
        model: a trained model.
        probe: the rows (B, T) that it reads.
        vocabulary: gives the names of ids.
        shown: at most so many positions are shown.
        progress: is called with how many positions are done and how many there are.
        name: of the run.
        history: how it was trained, where that is known.
        preprocessor: how it encodes what it is asked about, where it was trained on records.

    >>> import torch
    >>> from unspool import Batch, SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(3), 4), cores.build("core", "recurrent", width=4), head(Tokens(3), 4))
    >>> ids = torch.tensor([[0, 1, 2, 0, 1, 2]])
    >>> batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, 5, dtype=torch.bool))
    >>> look = Inspection(model, Probe(batch, [list("abcab")], [list("bcabc")]))
    >>> [gate.name for gate in look.view("gates").units()]
    ['layer 1 input', 'layer 1 forget', 'layer 1 output']
    """

    def __init__(
        self,
        model: SequenceModel,
        probe: Probe,
        vocabulary: Vocabulary | None = None,
        shown: Count = 2000,
        progress: Progress | None = None,
        name: str = "",
        history: TrainingHistory | None = None,
        preprocessor: Preprocessor | None = None,
    ) -> None:
        self.model, self.probe, self.vocabulary = model, probe, vocabulary
        self.shown, self.progress, self.name, self.history = shown, progress, name, history
        self.preprocessor = preprocessor
        self.batch = probe.batch
        tokens, targets = ([row[:shown] for row in rows] for rows in (probe.tokens, probe.targets))
        self.rows = TokenRows(tokens, targets, probe.source)

    def view(self, name: str, **options: Any) -> View:
        """A view by its name on the shelf, with options of its own.

        Raises:
            ConfigError: for an unknown view.
            DataError: where the model or its data have nothing of the kind.
        """
        return views.find(name).of(self, **options)

    @cached_property
    def record(self) -> Record:
        """What every unit of the core did."""
        return record(self.model, self.batch, self.shown, progress=self.progress)

    @property
    def loss(self) -> float | None:
        """The mean surprisal, nats a token."""
        return self.record.loss

    @property
    def tokens_per_character(self) -> float:
        """The number of targets for each character of them: a loss a token times this is a loss a character."""
        targets = [token.replace("\\n", "n") for row in self.probe.targets for token in row if token]
        return len(targets) / max(1, sum(map(len, targets)))

    def surprisal(self) -> list[list[float | None]]:
        """-ln p of each target that is shown, row by row; None outside of the loss mask. Empty where none is known."""
        known = self.record.surprisal
        if known is None or self.loss is None:
            return []
        return [[nats if isfinite(nats) else None for nats in row] for row in known[:, : self.shown].tolist()]

    def places(self, names: set[str]) -> list[str]:
        """The recorded places whose last part is one of these names."""
        return [place for place in self.record.values if last_part(place) in names]

    def units(self, place: str) -> Units:
        """The values of the units of one place. Raises: DataError for a place that was not recorded."""
        if place not in self.record.values:
            raise DataError(f"nothing was recorded at {place}", hint=f"one of {', '.join(self.record.values)}")
        values = self.unpadded(self.record.values[place])
        bounded = last_part(place) in BOUNDED and bool((values.abs() <= 1).all())
        gate = last_part(place) in GATES and bool(((values >= 0) & (values <= 1)).all())
        half_lives = self._half_lives(place.rpartition(".")[0]) if gate else None
        return Units(
            place,
            place_name(place),
            self.rows,
            self.record.values[place][:, : self.shown],
            openness(values) if gate else None,
            half_lives if is_retention_gate(self.model, place) else None,
            saturation(values) if bounded else None,
            half_lives if half_lives is not None and len(half_lives) == values.shape[-1] else None,
        )

    def unpadded(self, values: Tensor) -> Tensor:
        """The values (B, N, U) at recorded times without padding, (..., U)."""
        mask = self.batch.mask
        return values.flatten(0, 1) if mask is None else values[mask[:, self.record.times]]

    def fitting(self, length: int) -> int:
        """At most so many tokens: fewer where the batch is shorter, or the model's context is."""
        return min(length, self.batch.inputs.shape[1], self.model.core.max_length or length)

    def _half_lives(self, path: str) -> Tensor | None:
        """The half-lives (U) of the memory of the cell with this path, where a gate says how much of it is kept."""
        cell = self.model.get_submodule(path)
        kept = self.record.values.get(f"{path}.{cell.keeps}") if isinstance(cell, Cell) and cell.keeps else None
        return None if kept is None else half_life(self.unpadded(kept))


def last_part(place: str) -> str:
    """What a value is called at its place.

    >>> last_part("core.layers.0.0.forget")
    'forget'
    """
    return place.rpartition(".")[2]
