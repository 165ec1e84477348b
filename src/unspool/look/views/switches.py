"""Gates as switches: the gates of one unit, open and shut like mouths at every tick, and what changes by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from unspool.batch import Batch
from unspool.data.probe import beginning, select_positions
from unspool.errors import DataError
from unspool.look.canvas import COLOURS, INK, Picture, token_axis
from unspool.look.edits import fixed
from unspool.look.inspection import GATES, STATES, Inspection, last_part
from unspool.look.lags import windows
from unspool.look.panels import Curve, Lines, Panel, Table
from unspool.look.record import by_time, place_name
from unspool.look.view import View, register_view
from unspool.look.watch import watch
from unspool.nn.part import eval_mode

TICKS = 32  # that are drawn
MEASURED = 64  # tokens a row, on which the loss with a gate held is measured
NOTE = (
    "By hand: the gate of this one unit is held from the middle tick on. Loss: all units of the gate held throughout."
)


@dataclass(frozen=True)
class Held:
    """A gate that is held open or shut by hand."""

    gate: str
    open: bool
    memory: list[float]  # of the unit, tick by tick
    cost: float | None  # the change of the loss, nats, where all units of the gate are held

    @property
    def name(self) -> str:
        """The gate, and how it is held."""
        return f"{self.gate} {'open' if self.open else 'shut'}"


@register_view("switches")
@dataclass(frozen=True)
class Switches(View):
    """The gates of one unit tick by tick, and its memory when each of them is held open or shut."""

    title: ClassVar[str] = "Gates as switches"
    rank: ClassVar[int] = 22
    most: ClassVar[int] = 6
    layer: str
    unit: int
    tokens: list[str]
    gates: dict[str, list[float]]  # how far each is open, from 0 to 1
    memory: list[float]
    held: list[Held] = field(default_factory=list)

    @classmethod
    def of(cls, look: Inspection, unit: int | None = None, path: str = "") -> "Switches":
        """Run the first tokens of the first row, as the model does and with each gate held.

        Args:
            look: the model while it reads.
            unit: which one; None: the one whose memory changes most.
            path: of the cell in the model, such as "core.layers.0.0"; "": the first with gates.

        Raises:
            DataError: the model has no gated cell with a memory of one number a unit.
        """
        path, gates, memory = cell_of(look, path)
        few = select_positions(look.batch, beginning(look.batch, 1, look.fitting(TICKS)))
        plain = run(look, few, path, {})
        chosen = int(plain[memory].std(dim=0, correction=0).argmax()) if unit is None else unit
        if not 0 <= chosen < plain[memory].shape[1]:
            raise DataError(f"there is no unit {chosen}", hint=f"one from 0 to {plain[memory].shape[1] - 1}")
        size, held = len(plain[memory]), []
        costs = held_losses(look, path, gates)
        for gate in gates:
            for is_open in (True, False):
                edit = from_tick(size // 2, float(is_open), chosen)
                trace = run(look, few, path, {f"{path}.{gate}": edit})
                held.append(Held(gate, is_open, numbers(trace[memory][:, chosen]), costs.get((gate, is_open))))
        shown = {gate: numbers(plain[gate][:, chosen]) for gate in gates}
        layer = place_name(f"{path}.{memory}").rpartition(" ")[0]
        return cls(layer, chosen, look.rows.tokens[0][:size], shown, numbers(plain[memory][:, chosen]), held)

    def summary(self) -> list[str]:
        """Which gate the loss needs most, and how often each is open for the unit."""
        costly = sorted((one for one in self.held if one.cost is not None), key=lambda one: -(one.cost or 0.0))
        found = [f"{self.layer} {one.name} by hand: the loss changes by {one.cost:+.3f} nats" for one in costly[:3]]
        for gate, values in self.gates.items():
            opened, shut = (sum(test) for test in zip(*((v > 0.9, v < 0.1) for v in values), strict=True))
            found.append(
                f"{self.layer} {gate}, unit {self.unit}: open at {opened} and shut at {shut} of {len(values)} ticks"
            )
        return found

    def data(self) -> dict[str, Any]:
        """The gates, the memory, and both again for each gate that is held."""
        held = [{"gate": h.gate, "open": h.open, "memory": h.memory, "loss_change": h.cost} for h in self.held]
        rest = {"tokens": self.tokens, "gates": self.gates, "memory": self.memory, "held": held}
        return {"layer": self.layer, "unit": self.unit, **rest}

    def plot(self) -> Picture:
        """Mouths for the gates over the tokens, and the memory above them: as it is, and by hand."""
        picture = Picture(max(6.0, 0.26 * len(self.tokens) + 2.4), 4.6, 2, 1, sharex=True, height_ratios=[1.6, 1])
        above, below = picture.axes
        above.plot(self.memory, color=INK, linewidth=2.2, label="as it is")
        for one, colour in zip(self.held, COLOURS, strict=False):
            above.plot(one.memory, color=colour, linewidth=1.1, linestyle="-" if one.open else "--", label=one.name)
        above.axvline(len(self.tokens) // 2 - 0.5, color=INK, linewidth=0.6, linestyle=":")
        above.set_ylabel("memory")
        above.set_title(f"{self.layer}, unit {self.unit}", fontsize=10, loc="left", color=INK)
        picture.legend(above, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
        for down, values in enumerate(self.gates.values()):
            draw_mouths(below, down, values)
        below.set_yticks(range(len(self.gates)), list(self.gates))
        below.set_ylim(len(self.gates) - 0.4, -0.6)
        token_axis(below, "x", self.tokens, "token that was read", size=8)
        below.spines[:].set_visible(False)
        return picture

    def panels(self) -> list[Panel]:
        """The memory with each gate held, and the loss."""
        ticks = list(range(len(self.memory)))
        curves = [Curve("as it is", ticks, self.memory), *(Curve(h.name, ticks, h.memory) for h in self.held)]
        gates = [Curve(name, ticks, values) for name, values in self.gates.items()]
        rows = [[one.name, "" if one.cost is None else f"{one.cost:+.3f}"] for one in self.held]
        return [
            Lines(gates, "tick", "how far the gate is open"),
            Lines(curves, "tick", f"memory of unit {self.unit}", note=NOTE),
            Table(["held by hand", "change of the loss (nats)"], rows, numbers=1),
        ]


def cell_of(look: Inspection, path: str) -> tuple[str, list[str], str]:
    """The path of a gated cell, the names of its gates and of its memory."""
    places = [look.units(place) for place in look.places(GATES)]
    for one in places:
        cell, _, _ = one.place.rpartition(".")
        known = {last_part(place) for place in look.record.values if place.rpartition(".")[0] == cell}
        memory = next((name for name in ("memory", "hidden") if name in known & STATES), "")
        gates = [last_part(gate.place) for gate in places if gate.place.rpartition(".")[0] == cell and gate.gate]
        sizes = {look.record.values[f"{cell}.{name}"].shape[-1] for name in (*gates, *filter(None, [memory]))}
        if memory and gates and len(sizes) == 1 and path in ("", cell):
            return cell, gates, memory
    raise DataError(
        f"{look.name} has no gated cell {path}".rstrip(), hint="ask for another view, as --what hidden,gradient"
    )


def run(look: Inspection, batch: Batch, path: str, edits: dict[str, Callable[[Tensor], Tensor]]) -> dict[str, Tensor]:
    """What the cell computes on one row, by name, (T, H)."""
    batch = batch.to(look.model.device)
    with torch.no_grad(), eval_mode(look.model), watch(look.model, keep=f"{path}.*", edits=edits) as trace:
        look.model.loss(batch)
    found = {last_part(place): by_time(look.model, place, values, batch) for place, values in trace.items()}
    return {name: values[0] for name, values in found.items() if values is not None}


def held_losses(look: Inspection, path: str, gates: list[str]) -> dict[tuple[str, bool], float]:
    """The change of the loss where all units of a gate are held; empty where nothing is predicted."""
    if not bool(look.batch.loss_mask.any()):
        return {}
    batch = windows(look.batch, look.fitting(MEASURED) - 1, rows=8).to(look.model.device)
    found = {}
    with torch.no_grad(), eval_mode(look.model):
        with watch(look.model, keep=False):
            whole = float(look.model.loss(batch)[0])
        for gate in gates:
            for is_open in (True, False):
                with watch(look.model, keep=False, edits={f"{path}.{gate}": fixed(float(is_open))}):
                    found[gate, is_open] = float(look.model.loss(batch)[0]) - whole
    return found


def from_tick(first: int, value: float, unit: int) -> Callable[[Tensor], Tensor]:
    """An edit that holds one unit from a tick on.

    >>> edit = from_tick(1, 1.0, unit=0)
    >>> [float(edit(torch.zeros(1, 2))[0, 0]) for tick in range(3)]
    [0.0, 1.0, 1.0]
    """
    tick, hold = -1, fixed(value, [unit])

    def edit(values: Tensor) -> Tensor:
        nonlocal tick
        if values.dim() == 3:  # all ticks at once, (B, T, H)
            return torch.cat([values[:, :first], hold(values[:, first:])], dim=1)
        tick += 1
        return hold(values) if tick >= first else values

    return edit


def numbers(values: Tensor) -> list[float]:
    """A vector as plain numbers."""
    return [round(value, 5) for value in values.float().tolist()]


def draw_mouths(axes: Any, down: int, values: list[float]) -> None:
    """A mouth for each tick: as far open as the gate, a line where it is shut."""
    for tick, value in enumerate(values):
        lips = [(tick + x / 10, (1 - (x / 4) ** 2) * 0.38 * value) for x in range(-4, 5)]
        xs = [x for x, _ in lips]
        axes.fill_between(xs, [down - y for _, y in lips], [down + y for _, y in lips], color=COLOURS[1], linewidth=0)
        axes.plot(xs, [down - y for _, y in lips], color=INK, linewidth=0.8)
        axes.plot(xs, [down + y for _, y in lips], color=INK, linewidth=0.8)
