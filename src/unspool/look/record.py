"""A model's reading of a passage, value by value, in bounded memory."""

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
AT_ONCE = 2048  # of all rows together
ROOM = 3 * 2**27  # bytes that are kept
UNKEPT = ("scores", "weights")
"""What grows with the square of the length: `look.attention` has it."""
LARGEST = torch.finfo(torch.float16).max
Progress = Callable[[int, int], None]
"""Is told how many positions are read, and of how many."""


@dataclass(frozen=True)
class Record:
    """What was seen of a reading: values (B, N, U) by place, of `times` (N).

    Values are in half precision, to save room, but for gates that say how much of a memory is kept.

    `surprise` (B, T) is what every target cost, in nats; NaN where nothing is asked for. None where what is predicted
    are no tokens.
    """

    values: dict[str, Float[Tensor, "B N _"]]
    times: Int[Tensor, " N"]
    surprise: Float[Tensor, "B T"] | None

    @property
    def loss(self) -> float | None:
        """The mean surprise in nats."""
        asked = self.surprise is not None and not bool(self.surprise.isnan().all())
        return float(self.surprise.nanmean()) if self.surprise is not None and asked else None


def record(
    model: SequenceModel, batch: Batch, shown: Count = 2000, room: Count = ROOM, progress: Progress | None = None
) -> Record:
    """Read a batch and keep what every unit of the core did.

    All of the first `shown` positions are kept (fewer where they would not fit), and behind them as many, evenly
    spaced, as fit into `room` bytes: so a book takes no more memory than a page. Between chunks the state is carried.
    """
    length = batch.inputs.shape[1]
    kept: dict[str, list[Tensor]] = {}
    times: list[Tensor] = []
    costs: list[Tensor] = []
    stride, done = 0, 0
    for part, trace in chunks(model, batch):
        found = ((place, along(model, place, some, part)) for place, some in trace.items() if place[:5] == "core.")
        values = {place: one for place, one in found if one is not None}
        if not stride:
            shown, stride = _spacing(values, length, shown, room)
        now = torch.arange(done, done + part.inputs.shape[1])
        chosen = (now < shown) | ((now - shown) % stride == 0)
        times.append(now[chosen])
        for place, one in values.items():
            kept.setdefault(place, []).append(_packed(one[:, chosen], keeps(model, place)))
        if "head.logits" in trace:
            costs.append(_cost(trace["head.logits"][0], part))
        done += part.inputs.shape[1]
        if progress is not None:
            progress(done, length)
    surprise = torch.cat(costs, dim=1) if costs else None
    return Record({place: torch.cat(found, dim=1) for place, found in kept.items()}, torch.cat(times), surprise)


def chunks(model: SequenceModel, batch: Batch) -> Iterator[tuple[Batch, Trace]]:
    """Read a batch bit by bit and yield each bit with what was seen of it; all at once who sees what comes after.

    A core that can read no further begins anew with the next bit. Nothing is kept here: who wants every value of a book
    writes each bit to a disk as it comes, by `along`.
    """
    rows, length = batch.inputs.shape[:2]
    size = max(2, min(CHUNK, AT_ONCE // rows, model.core.max_length or CHUNK)) if model.core.causal else length
    number = -(-length // size)
    state = None
    for begin, end in pairwise(length * n // number for n in range(number + 1)):
        part = select_positions(batch, (torch.arange(rows).unsqueeze(1), torch.arange(begin, end).unsqueeze(0)))
        part = part.to(model.device)
        with torch.no_grad(), eval_mode(model), watch(model, keep=("core.*", "head.logits")) as trace:
            y, state = model.hidden_states_of(part, state)
            model.head(y)
        yield part, trace


def along(model: SequenceModel, place: str, found: list[Tensor], part: Batch) -> Tensor | None:
    """What was tapped at a place, along time, (B, T, U); None for what is no row of units at each time."""
    path, _, name = place.rpartition(".")
    rows, length = part.inputs.shape[:2]
    by_tick = len(found) == length and (length > 1 or found[0].dim() == 2)
    one = torch.stack(found, dim=1) if by_tick else found[0]
    if name in UNKEPT or one.shape[:2] != (rows, length) or not 3 <= one.dim() <= 4:
        return None
    cell = model.get_submodule(path)
    return (one.flip(1) if isinstance(cell, Cell) and cell.backwards else one).flatten(2)


def keeps(model: SequenceModel, place: str) -> bool:
    """Whether what is shown there is how much of a memory is kept."""
    path, _, name = place.rpartition(".")
    cell = model.get_submodule(path)
    return isinstance(cell, Cell) and cell.keeps == name


def _packed(values: Tensor, exactly: bool) -> Tensor:
    """Values in half precision; in full where 0.9999 is another thing than 1."""
    return values.float().cpu() if exactly else values.clamp(-LARGEST, LARGEST).to("cpu", torch.float16)


def _spacing(values: dict[str, Tensor], length: int, shown: int, room: int) -> tuple[int, int]:
    """How many positions are kept from the first on, and of how many behind them one is."""
    each = sum(2 * one[:, :1].numel() for one in values.values())
    fitting = max(2, room // max(1, each))
    shown = min(shown, fitting - 1)
    return shown, max(1, -(-(length - shown) // (fitting - shown)))


def _cost(logits: Tensor, part: Batch) -> Tensor:
    """What every target cost, in nats, (B, T)."""
    targets = part.targets.masked_fill(~part.loss_mask, 0)  # what is not asked for need not be a thing that can be said
    nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    return nats.abs().masked_fill(~part.loss_mask, float("nan")).cpu()


def spoken(place: str) -> str:
    """A place as people say it.

    >>> spoken("core.layers.0.0.memory"), spoken("core.core.layers.1.attention.weights"), spoken("core.hidden")
    ('layer 1 memory', 'layer 2 attention weights', 'hidden')
    """
    words = place.split(".")
    summary = []
    for before, word in zip(chain([""], words), words, strict=False):
        if word.isdigit():
            summary += [f"layer {int(word) + 1}"] if before == "layers" else ["backwards"] if word == "1" else []
        elif word not in ("core", "layers"):
            summary.append(word.replace("_", " "))
    return " ".join(summary)
