"""What the writing page shows of a model while it reads: gates, states and attention.

Axes:  K heads   C slots of a cache   U units
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from unspool.generate.engine import Engine, window_start
from unspool.generate.scoring import one_run, read_scored
from unspool.generate.state import State
from unspool.look.encoding import encoded
from unspool.look.inspection import GATES, STATES, last_part
from unspool.look.record import place_name
from unspool.look.watch import Trace, watch
from unspool.nn.part import Part

PROBED = 32
"""So many tokens are read to find out what a model shows."""
SHOWN = GATES | STATES | {"candidate"}
MOST = 2048
"""A place with more units is not shown."""

Kind = Literal["gate", "state", "attention"]


@dataclass(frozen=True)
class Place:
    """A value inside the model that can be shown after every token, and forced.

    Args:
        path: where it is tapped, as `unspool.watch` names it.
        layer: the path of the module that taps it.
        name: what it is called, with its layer.
        kind: a gate from 0 to 1, a state of either sign, or the attention of each head.
        size: how many units, or heads.
        scale: the usual largest absolute value.
    """

    path: str
    layer: str
    name: str
    kind: Kind
    size: int
    scale: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """As the page reads it."""
        return dict(vars(self))


def values(trace: Trace, path: str, read: int, count: int) -> Float[Tensor, "T U"] | None:
    """The values at a place for the last tokens of one run of the model.

    Args:
        trace: what was collected.
        path: of the place.
        read: how many tokens the run read.
        count: how many of them are wanted.

    Returns:
        The values (count, U); None for what is no vector at each token.
    """
    if path not in trace:
        return None
    found = trace[path]
    by_step = len(found) == read and (read > 1 or found[0].dim() == 2 or found[0].shape[1] != 1)
    one = torch.stack(found, dim=1) if by_step else found[0]
    if one.shape[:2] != (1, read) or not 3 <= one.dim() <= 4:
        return None
    return one.flatten(2)[0, -count:].float().cpu()


def places_of(engine: Engine, state: State) -> list[Place]:
    """The values of a model that can be shown after every token, in the order in which they are computed.

    Args:
        engine: of the model.
        state: behind some token; a few random tokens are read after it to see what there is.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head
    >>> core = cores.build("core", "recurrent", width=8, cell="gru")
    >>> engine = Engine(SequenceModel(embedding(Tokens(5), 8), core, head(Tokens(5), 8)))
    >>> [place.name for place in places_of(engine, engine.read(torch.tensor([[1]])))]
    ['layer 1 reset', 'layer 1 update', 'layer 1 candidate', 'layer 1 hidden']
    """
    size = state.logits.shape[-1]
    several, one = min(PROBED, one_run(engine, state.position)), 1
    ids = torch.randint(size, (1, several), generator=torch.Generator().manual_seed(0))
    with watch(engine.model, keep="core.*") as trace:
        state, _ = read_scored(engine, state, ids)
    with watch(engine.model, keep="core.*") as single:
        read_scored(engine, state, ids[:, :1])
    found = []
    for path, tapped in trace.items():
        place = _attention(engine, path, tapped[0])
        if place is None and last_part(path) in SHOWN:
            long, short = values(trace, path, several, several), values(single, path, one, one)
            if long is not None and short is not None and long.shape[1] == short.shape[1] <= MOST:
                place = _place(path, long)
        found += [place] if place is not None else []
    return found


def _attention(engine: Engine, path: str, value: Tensor) -> Place | None:
    layer, name = path.rpartition(".")[0], last_part(path)
    part = engine.model.get_submodule(layer)
    if name != "weights" or value.dim() != 4 or not isinstance(part, Part) or part.attends_to_source:
        return None
    return Place(path, layer, place_name(layer), "attention", value.shape[1])


def _place(path: str, found: Tensor) -> Place:
    is_gate = last_part(path) in GATES and bool(((found >= 0) & (found <= 1)).all())
    scale = 1.0 if is_gate else float(f"{float(found.abs().quantile(0.99)) or 1.0:.3g}")
    kind: Kind = "gate" if is_gate else "state"
    return Place(path, path.rpartition(".")[0], place_name(path), kind, found.shape[-1], scale)


def activity(engine: Engine, trace: Trace, places: Iterable[Place], state: State) -> dict[str, Any]:
    """What some places show at the last token of a run that read this token alone, for the page.

    Values are bytes in base64 (`look.encoding`), of gates from 0 to 1, of states from minus to plus their scale.
    Attention is a row for each head over the last tokens, those before them unseen: "first" is the number of the first.

    Args:
        engine: of the model.
        trace: what was collected.
        places: what is wanted.
        state: behind that token.
    """
    found: dict[str, Any] = {}
    for place in places:
        if place.kind == "attention" and place.path in trace:
            seen = state.position - window_start(state.position, engine.max_length)
            weights = _by_token(trace[place.path][-1][0, :, -1].float().cpu(), seen)
            found[place.path] = {"first": state.position - weights.shape[1], "bytes": encoded(weights, 0.0, 1.0)}
        elif (now := values(trace, place.path, 1, 1)) is not None:
            low = 0.0 if place.kind == "gate" else -place.scale
            found[place.path] = {"bytes": encoded(now[0].nan_to_num(), low, place.scale)}
    return found


def _by_token(weights: Float[Tensor, "K C"], length: int) -> Float[Tensor, "K N"]:
    """Weights by slot in the order of the tokens: token p of the window is in slot p modulo C."""
    slots = weights.shape[1]
    kept = min(length, slots)
    return weights[:, (torch.arange(length - kept, length)) % slots]
