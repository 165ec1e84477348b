"""Gates as switches: five things that an LSTM can do with its memory, shown by a real cell with forced gates."""

from dataclasses import dataclass

import torch

from unspool.look import pictures
from unspool.look.canvas import Picture
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
    says: str


SWITCHES = (
    Switch("output off", 1, 1, 0, "the memory goes on, and nothing is shown"),
    Switch("output on", 1, 1, 1, "the memory goes on, and is shown"),
    Switch("reset", 0, 0, 1, "the memory is emptied"),
    Switch("keep", 0, 1, 1, "the memory stays as it is, whatever comes in"),
    Switch("write", 1, 0, 1, "the memory becomes what comes in"),
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
    """The five cases side by side."""
    return pictures.switches([(one.name, one.says, shown(one)) for one in SWITCHES], CHANGE)
