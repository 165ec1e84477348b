"""Gates as switches: five things that an LSTM can do with its memory, shown by a real cell with forced gates."""

from dataclasses import dataclass
from typing import Any

import torch

from unspool.look.canvas import COLOURS, FAINT, INK, Picture
from unspool.look.watch import watch
from unspool.nn.cells.lstm import LSTM

TICKS, CHANGE = 12, 4
"""Until the change all cases are alike: the memory is written and shown."""
FORCED = 12.0
"""A bias of plus or minus this much: beyond 5 a gate is as good as open or shut."""


@dataclass(frozen=True)
class Switch:
    """What is forced from a tick on: 1 opens a gate, 0 shuts it."""

    name: str
    input: int
    forget: int
    output: int
    effect: str


SWITCHES = (
    Switch("output off", 1, 1, 0, "the memory is updated, the output is 0"),
    Switch("output on", 1, 1, 1, "the memory is updated and output"),
    Switch("reset", 0, 0, 1, "the memory is emptied"),
    Switch("keep", 0, 1, 1, "the memory stays, whatever the input"),
    Switch("write", 1, 0, 1, "the memory becomes the input"),
)


def forced(switch: Switch, hidden_size: int = 1) -> LSTM:
    """A cell whose gates are forced by their biases alone, and whose candidate is tanh of the input."""
    cell = LSTM(1, hidden_size, 0.0)
    with torch.no_grad():
        cell.input.weight.zero_()
        cell.recurrent.weight.zero_()
        for number, gate in ((0, switch.input), (1, switch.forget), (3, switch.output)):
            cell.input.bias[number * hidden_size : (number + 1) * hidden_size] = FORCED if gate else -FORCED
        cell.input.weight[2 * hidden_size : 3 * hidden_size] = 1.0
    return cell


def shown(switch: Switch) -> dict[str, list[float]]:
    """What a cell does for `TICKS` ticks of which the last are forced: "in" and every tapped value, tick by tick.

    >>> values = shown(SWITCHES[3])
    >>> values["memory"][CHANGE - 1] - values["memory"][-1] < 1e-3
    True
    """
    before, after = forced(SWITCHES[1]), forced(switch)
    x = torch.sin(0.9 * torch.arange(TICKS) + 0.6).view(1, TICKS, 1) * 0.6
    found: dict[str, list[float]] = {"in": x.flatten().tolist()}
    with torch.no_grad():
        state = before.start(x[:, 0])
        for tick in range(TICKS):
            cell = before if tick < CHANGE else after
            with watch(cell) as trace:
                state = cell.tick(cell.read(x[:, tick]), state)
            for name, values in trace.items():
                found.setdefault(name, []).append(float(values[0]))
    return found


def picture() -> Picture:
    """The five cases side by side: input, memory and output over how far the three gates are open."""
    cases = [(one, shown(one)) for one in SWITCHES]
    picture = Picture(2.75 * len(cases), 4.4, 2, len(cases), sharex=True, height_ratios=[2.4, 1])
    above, below = picture.axes[: len(cases)], picture.axes[len(cases) :]
    for axes, gated, (one, values) in zip(above, below, cases, strict=True):
        draw_values(axes, one, values)
        draw_gates(gated, values, named=axes is above[0])
    for axes in above[1:]:
        axes.sharey(above[0])
        axes.tick_params(labelleft=False)
    picture.figure.legend(*above[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return picture


def draw_values(axes: Any, switch: Switch, values: dict[str, list[float]]) -> None:
    """The input, the memory and the output over time; the forced steps are shaded."""
    ticks = range(TICKS)
    axes.plot(ticks, values["in"], color=FAINT, linewidth=1.2, linestyle="--", label="input")
    axes.plot(ticks, values["memory"], color=COLOURS[1], linewidth=2, marker="o", markersize=3, label="memory c")
    axes.plot(ticks, values["hidden"], color=COLOURS[0], linewidth=1.6, marker="s", markersize=3, label="output h")
    axes.axvspan(CHANGE - 0.5, TICKS - 0.5, color=COLOURS[4], alpha=0.14, linewidth=0)
    axes.set_title(switch.name, fontsize=11, color=INK)
    axes.text(0.5, -0.06, switch.effect, transform=axes.transAxes, ha="center", va="top", fontsize=7.5, color=INK)
    axes.spines[["top", "right"]].set_visible(False)


def draw_gates(axes: Any, values: dict[str, list[float]], named: bool) -> None:
    """The three gates over time, before and after the change."""
    gates = ("input", "forget", "output")
    axes.imshow([values[gate] for gate in gates], cmap="Blues", vmin=0, vmax=2, aspect="auto")
    axes.set_yticks(range(3), gates if named else ["", "", ""])
    axes.tick_params(length=0)
    for down, gate in enumerate(gates):
        for tick in (CHANGE // 2 - 1, CHANGE + CHANGE // 2 - 1):
            word = "open" if values[gate][tick] > 0.5 else "shut"
            axes.text(tick + 0.5, down, word, ha="center", va="center", fontsize=8, color=INK)
    axes.set_xlabel("tick")
    axes.spines[:].set_visible(False)
