"""A trained model while it reads a passage: everything that can be seen of it, each when it is asked for."""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import isfinite

import torch
from torch import Tensor, nn

from unspool.data.probe import Probe, beginning, everywhere, select_positions
from unspool.errors import DataError
from unspool.look.attention import loss_without_heads, sights
from unspool.look.lags import gradient_by_lag, windows
from unspool.look.measures import (
    clearest,
    eigenvalues,
    habit,
    half_life,
    neighbours,
    openness,
    principal,
    saturation,
    search,
    yes_or_no,
)
from unspool.look.record import Progress, Record, keeps, record, spoken
from unspool.look.views import Attention, Embeddings, Gradient, Map, Neuron, Neurons, Rows, Surprise, Trajectory, Units
from unspool.metrics.alignment import diagonal
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import Cell
from unspool.schema import Count

Vocabulary = Callable[[Sequence[int]], list[str]]
"""What ids are called."""
GATES = {"forget", "gate", "input", "keep", "output", "recurrence", "reset", "update"}
STATES = {"hidden", "memory", "neurons", "pooled"}
SQUASHED = {"hidden", "seen"}
LAGS = 64
ATTENDED = 48  # tokens of which it is told where each looks
EXAMINED = 128  # tokens a row, on which heads are taken away
SEARCHED = 2**14  # positions among which units are searched
FEWEST = 20  # positions that there must be for a search
NAMED = 400  # tokens whose embeddings are drawn


class Inspection:
    """What a model does inside while it reads a passage.

    `Run.look(text)` makes one. Each method gives a view with `summary()`, `data()` and `plot()`, or a list of them;
    nothing is worked out before it is asked for, and the passage is read once.

    >>> from unspool import Batch, SequenceModel, Tokens, cores, embedding, head
    >>> model = SequenceModel(embedding(Tokens(3), 4), cores.build("core", "recurrent", width=4), head(Tokens(3), 4))
    >>> ids = torch.tensor([[0, 1, 2, 0, 1, 2]])
    >>> batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, 5, dtype=torch.bool))
    >>> look = Inspection(model, Probe(batch, [list("abcab")], [list("bcabc")]))
    >>> [gate.name for gate in look.gates()]
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
    ) -> None:
        self.model, self.probe, self.vocabulary = model, probe, vocabulary
        self.shown, self.progress, self.name = shown, progress, name
        self.batch = probe.batch
        tokens, targets = ([row[:shown] for row in rows] for rows in (probe.tokens, probe.targets))
        self.rows = Rows(tokens, targets, probe.source)

    @cached_property
    def record(self) -> Record:
        """What every unit did."""
        return record(self.model, self.batch, self.shown, progress=self.progress)

    @property
    def loss(self) -> float | None:
        """The mean surprise, nats a token."""
        return self.record.loss

    @property
    def share_asked(self) -> float:
        """How many tokens are asked for, for each character of them: what a loss a token is to be multiplied by."""
        asked = [token.replace("\\n", "n") for row in self.probe.targets for token in row if token]
        return len(asked) / max(1, sum(map(len, asked)))

    def surprise(self) -> Surprise:
        """What every token cost. Errors: DataError where no tokens are predicted, or none is asked for."""
        found = self.record.surprise
        if found is None:
            raise DataError(
                "what is predicted here are no tokens, so none is a surprise", hint="--what hidden,gradient"
            )
        if self.loss is None:
            raise DataError(
                "nothing is asked for in what is read, so nothing is a surprise", hint="--what hidden,gates"
            )
        rows = [[cost if isfinite(cost) else None for cost in row] for row in found[:, : self.shown].tolist()]
        return Surprise(self.rows, rows, self.loss, int((~found.isnan()).sum()))

    def gates(self) -> list[Units]:
        """Every gate of the core: how far it is open."""
        return [one for one in map(self.units, self._places(GATES)) if one.gate is not None]

    def hidden(self) -> list[Units]:
        """Every state of the core: memory and hidden values, the neurons of feed-forward layers."""
        return [*map(self.units, self._places(STATES))]

    def units(self, place: str) -> Units:
        """What the units of one place did. Errors: DataError for a place that was not kept."""
        if place not in self.record.values:
            raise DataError(f"nothing was kept of {place}", hint=f"one of {', '.join(self.record.values)}")
        there = self._there(self.record.values[place])
        squashed = _name(place) in SQUASHED and bool((there.abs() <= 1).all())
        gate = _name(place) in GATES and bool(((there >= 0) & (there <= 1)).all())
        return Units(
            place,
            spoken(place),
            self.rows,
            self.record.values[place][:, : self.shown],
            openness(there) if gate else None,
            half_life(there) if keeps(self.model, place) else None,
            saturation(there) if squashed else None,
        )

    def path(self, place: str = "", rows: Count = 6, length: Count = 100) -> Trajectory:
        """The way of a state, the last one where no place is given, over the first tokens of the first rows.

        Errors: DataError for a model that has none.
        """
        states = self._places(STATES - {"neurons"})
        if not (place or states):
            raise DataError("this model has no state that moves", hint="--what gradient,attention")
        values = self.units(place or states[-1]).values[:rows, :length].float()
        there = torch.tensor([[bool(token) for token in row[:length]] for row in self.rows.tokens[:rows]])
        plane = principal(values[there])
        ways = [way.tolist() for way in plane.places.split(there.sum(dim=1).tolist())]
        return Trajectory(spoken(place or states[-1]), self.rows, ways, plane.explained.tolist())

    def gradient(self, lags: Count = LAGS, places: Sequence[str] = ("inputs",)) -> Gradient:
        """How much what is said now hangs on what was read, or held, so many tokens ago.

        The mean over the rows, or over 16 places of a text. Errors: DataError where nothing is asked for.
        """
        batch = windows(self.batch, self._fitting(lags + 1) - 1)
        norms = {spoken(place): gradient_by_lag(self.model, batch, place)[: lags + 1].tolist() for place in places}
        return Gradient(norms, ", ".join(places), self._eigenvalues())

    def attention(self) -> Attention:
        """Where it looks while it reads the first tokens of the first row; what the loss is without each head."""
        few = select_positions(self.batch, beginning(self.batch, 1, self._fitting(ATTENDED)))
        seen, loss, costs = sights(self.model, few), None, dict[str, list[float]]()
        if seen and bool(self.batch.loss_mask.any()):
            many = windows(self.batch, self._fitting(EXAMINED) - 1, rows=8)
            loss, costs = loss_without_heads(self.model, many, self.progress)
        read = self.rows.tokens[0][: few.inputs.shape[1]]
        source = [] if few.source is None else self.rows.source[0][: few.source.shape[1]]
        maps = []
        for one in seen:
            down, across = (
                source if one.in_encoder else read,
                source if one.attends_to_source or one.in_encoder else read,
            )
            own = self.model.core.causal and few.inputs.dim() == 2 and not (one.in_encoder or one.attends_to_source)
            weights = one.weights[0].float().cpu()
            habits = [habit(head, few.inputs[0]) for head in weights] if own else []
            along = [diagonal(head) for head in weights] if one.attends_to_source else []
            summary = habits, costs.get(one.place, []), along
            maps.append(Map(f"{one.place}.weights", spoken(one.place), weights, down, across, *summary))
        return Attention(maps, loss)

    def embeddings(self) -> Embeddings:
        """Which tokens are alike: those that are read here, the most frequent first.

        Errors: DataError for a model that has no embeddings.
        """
        table = getattr(self.model.embedding, "weight", None)
        if table is None or self.vocabulary is None or not isinstance(self.model.embedding, nn.Embedding):
            raise DataError("what is read here are no tokens with embeddings", hint="--what hidden,gradient")
        ids, numbers = self.batch.inputs[everywhere(self.batch.inputs, self.batch.mask)].unique(return_counts=True)
        chosen = ids[numbers.argsort(descending=True, stable=True)][:NAMED]
        points, names = table.detach().float().cpu(), self.vocabulary(range(len(table)))
        plane = principal(points[chosen])
        near = [[(names[id], round(cosine, 4)) for id, cosine in some] for some in neighbours(points, chosen)]
        tokens = [names[id] for id in chosen.tolist()]
        return Embeddings(tokens, plane.places.tolist(), plane.explained.tolist(), near)

    def neurons(self) -> Neurons:
        """For every feature of the passage the unit that tells it best, of all states."""
        times, states = self.record.times, self._places(STATES)
        stride = max(1, -(-len(times) * len(self.batch.inputs) // SEARCHED))
        kept = {name: feature[:, times] for name, feature in self.probe.features.items()}
        asked: dict[str, Tensor] = {}
        for name, feature in kept.items():
            one = self._there(feature.unsqueeze(-1)).squeeze(-1)[::stride]
            if _varies(one) and not any(torch.equal(one, other) for other in asked.values()):
                asked[name] = one
        each = {place: search(self._there(self.record.values[place])[::stride], asked) for place in states}
        found = []
        for name in asked if each else ():
            place, best = clearest({place: scores[name] for place, scores in each.items()})
            row = int(_changes(kept[name]).argmax())
            values = self.record.values[place][..., best.unit]
            shown = (one[row, : self.shown].float().tolist() for one in (values, kept[name]))
            statistic = "AUC" if yes_or_no(kept[name]) else "|r|"
            found.append(Neuron(name, place, spoken(place), best, statistic, self.rows.tokens[row], *shown))
        return Neurons(sorted(found, key=lambda one: -one.found.margin))

    def _fitting(self, length: int) -> int:
        """So many tokens, or as many as there are and as the model can read."""
        return min(length, self.batch.inputs.shape[1], self.model.core.max_length or length)

    def _places(self, names: set[str]) -> list[str]:
        """The places of what is called so."""
        return [place for place in self.record.values if _name(place) in names]

    def _there(self, values: Tensor) -> Tensor:
        """The values (B, N, U) of what is no padding, (*, U)."""
        mask = self.batch.mask
        return values.flatten(0, 1) if mask is None else values[mask[:, self.record.times]]

    def _eigenvalues(self) -> dict[str, list[complex]]:
        """Those of every square recurrent matrix of the core."""
        cells = {path: part for path, part in self.model.core.named_modules() if isinstance(part, Cell)}
        found = {}
        for path, cell in cells.items():
            weight = getattr(getattr(cell, "recurrent", None), "weight", None)
            if weight is not None and weight.shape[0] == weight.shape[1]:
                found[spoken(f"core.{path}")] = eigenvalues(weight).tolist()
        return found


def _varies(feature: Tensor) -> bool:
    """Whether a feature is asked often enough and is not always the same."""
    known = feature[~feature.isnan()]
    return len(known) >= FEWEST and bool((known != known[0]).any())


def _changes(feature: Tensor) -> Tensor:
    """How much a feature (B, N) comes and goes in each row: at how many places it is on, or off if they are fewer."""
    on = (feature != 0).sum(dim=1)
    return torch.minimum(on, feature.shape[1] - on)


def _name(place: str) -> str:
    return place.rsplit(".", 1)[-1]
