"""Records every value that a model computes while it reads, in bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from unspool.batch import Batch
from unspool.data.probe import select_positions
from unspool.look.watch import Trace, watch
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import Cell
from unspool.nn.part import eval_mode
from unspool.schema import Count

CHUNK = 128  # positions of a row that are read at once
CHUNK_TOKENS = 2048  # positions of all rows together that are read at once
MEMORY = 3 * 2**27  # bytes of recorded values
QUADRATIC = ("scores", "weights")
"""Values that grow with the square of the length are not recorded: `look.attention` has them."""
LARGEST = torch.finfo(torch.float16).max
Progress = Callable[[int, int], None]
"""Is called with the number of positions that were read, and of all of them."""


@dataclass(frozen=True)
class Record:
    """The recorded values (B, N, U) by place, at the positions `times` (N).

    Values are in half precision, except gates that say how much of a memory is kept.

    `surprisal` (B, T) is -ln p of every target, NaN outside of the loss mask; None for a model that predicts no tokens.
    """

    values: dict[str, Float[Tensor, "B N _"]]
    times: Int[Tensor, " N"]
    surprisal: Float[Tensor, "B T"] | None

    @property
    def loss(self) -> float | None:
        """The mean surprisal, nats a token."""
        known = self.surprisal is not None and not bool(self.surprisal.isnan().all())
        return float(self.surprisal.nanmean()) if self.surprisal is not None and known else None


def record(
    model: SequenceModel, batch: Batch, shown: Count = 2000, memory: Count = MEMORY, progress: Progress | None = None
) -> Record:
    """Read a batch and keep what every unit of the core did.

    All of the first `shown` positions are kept (fewer where they would not fit), and behind them as many, evenly
    spaced, as fit into `memory` bytes. Between chunks the state is carried.
    """
    length = batch.inputs.shape[1]
    kept: dict[str, list[Tensor]] = {}
    times: list[Tensor] = []
    costs: list[Tensor] = []
    stride, done = 0, 0
    for part, trace in chunks(model, batch):
        found = ((place, by_time(model, place, some, part)) for place, some in trace.items() if place[:5] == "core.")
        values = {place: one for place, one in found if one is not None}
        if not stride:
            shown, stride = _spacing(values, length, shown, memory)
        now = torch.arange(done, done + part.inputs.shape[1])
        chosen = (now < shown) | ((now - shown) % stride == 0)
        times.append(now[chosen])
        for place, one in values.items():
            kept.setdefault(place, []).append(_packed(one[:, chosen], is_retention_gate(model, place)))
        if "head.logits" in trace:
            costs.append(_cost(trace["head.logits"][0], part))
        done += part.inputs.shape[1]
        if progress is not None:
            progress(done, length)
    surprisal = torch.cat(costs, dim=1) if costs else None
    return Record({place: torch.cat(found, dim=1) for place, found in kept.items()}, torch.cat(times), surprisal)


def chunks(model: SequenceModel, batch: Batch) -> Iterator[tuple[Batch, Trace]]:
    """Read a batch in chunks of positions and yield each with its trace; a core that is not causal reads all at once.

    A core at its maximal length begins with an empty state at the next chunk. Nothing is kept here: to store every
    value of a long text, write each chunk to a file as it comes, with `by_time`.
    """
    rows, length = batch.inputs.shape[:2]
    size = max(2, min(CHUNK, CHUNK_TOKENS // rows, model.core.max_length or CHUNK)) if model.core.causal else length
    number = -(-length // size)
    state = None
    for begin, end in pairwise(length * n // number for n in range(number + 1)):
        part = select_positions(batch, (torch.arange(rows).unsqueeze(1), torch.arange(begin, end).unsqueeze(0)))
        part = part.to(model.device)
        with torch.no_grad(), eval_mode(model), watch(model, keep=("core.*", "head.logits")) as trace:
            y, state = model.hidden_states_of(part, state)
            model.head(y)
        yield part, trace


def by_time(model: SequenceModel, place: str, found: list[Tensor], part: Batch) -> Tensor | None:
    """The values at a place by time, (B, T, U); None for what is no vector at each time step."""
    path, _, name = place.rpartition(".")
    rows, length = part.inputs.shape[:2]
    by_tick = len(found) == length and (length > 1 or found[0].dim() == 2)
    one = torch.stack(found, dim=1) if by_tick else found[0]
    if name in QUADRATIC or one.shape[:2] != (rows, length) or not 3 <= one.dim() <= 4:
        return None
    cell = model.get_submodule(path)
    return (one.flip(1) if isinstance(cell, Cell) and cell.backwards else one).flatten(2)


def is_retention_gate(model: SequenceModel, place: str) -> bool:
    """Whether the value at a place is the gate that says how much of the memory is kept."""
    path, _, name = place.rpartition(".")
    cell = model.get_submodule(path)
    return isinstance(cell, Cell) and cell.keeps == name


def _packed(values: Tensor, exactly: bool) -> Tensor:
    """Values in half precision; in single precision where 0.9999 must not become 1."""
    return values.float().cpu() if exactly else values.clamp(-LARGEST, LARGEST).to("cpu", torch.float16)


def _spacing(values: dict[str, Tensor], length: int, shown: int, memory: int) -> tuple[int, int]:
    """How many positions are kept from the first on, and the distance between those kept after them."""
    each = sum(2 * one[:, :1].numel() for one in values.values())
    fitting = max(2, memory // max(1, each))
    shown = min(shown, fitting - 1)
    return shown, max(1, -(-(length - shown) // (fitting - shown)))


def _cost(logits: Tensor, part: Batch) -> Tensor:
    """The surprisal of every target in nats, (B, T)."""
    targets = part.targets.masked_fill(~part.loss_mask, 0)  # targets outside of the loss mask need not be valid ids
    nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    return nats.abs().masked_fill(~part.loss_mask, float("nan")).cpu()


def place_name(place: str) -> str:
    """The readable name of a place.

    >>> place_name("core.layers.0.0.memory"), place_name("core.core.layers.1.attention.weights")
    ('layer 1 memory', 'layer 2 attention weights')
    """
    words = place.split(".")
    parts = []
    for before, word in zip(chain([""], words), words, strict=False):
        if word.isdigit():
            parts += [f"layer {int(word) + 1}"] if before == "layers" else ["backwards"] if word == "1" else []
        elif word not in ("core", "layers"):
            parts.append(word.replace("_", " "))
    return " ".join(parts)
