"""The view of gates as switches: what is held by hand does to the memory what the equations say."""

import pytest
import torch

from helpers.models import small
from unspool.batch import Batch
from unspool.data.probe import Probe
from unspool.errors import DataError
from unspool.look.inspection import Inspection

TOKENS = [1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5]


def look_at(**options):
    ids = torch.tensor([[*TOKENS, 0]])
    batch = Batch(ids[:, :-1], ids[:, 1:], torch.ones(1, len(TOKENS), dtype=torch.bool))
    names = [str(token) for token in TOKENS]
    return Inspection(small(**options), Probe(batch, [names], [names]), name="run")


def test_the_memory_follows_the_equation_with_the_gates_that_are_held():
    look = look_at(cell="lstm")
    view = look.view("switches", unit=3)
    assert view.unit == 3 and list(view.gates) == ["input", "forget", "output"] and view.layer == "layer 1"
    half = len(TOKENS) // 2
    held = {one.name: one for one in view.held}
    assert len(held) == 6 and all(one.memory[:half] == view.memory[:half] for one in view.held)
    candidates = look.record.values["core.layers.0.0.candidate"][0, :, 3].tolist()
    shut, kept = held["input shut"].memory, held["forget open"].memory
    forget, write = view.gates["forget"], view.gates["input"]
    assert shut[half] == pytest.approx(forget[half] * view.memory[half - 1], abs=1e-4)
    assert kept[half] == pytest.approx(view.memory[half - 1] + write[half] * candidates[half], abs=1e-4)
    assert held["forget shut"].memory[half] == pytest.approx(write[half] * candidates[half], abs=1e-4)


def test_the_loss_is_that_with_all_units_held():
    view = look_at(cell="lstm").view("switches")
    shut = next(one for one in view.held if one.name == "output shut")
    assert shut.cost is not None and any("by hand: the loss changes by" in line for line in view.summary())
    assert view.data()["held"][0]["gate"] == "input" and len(view.panels()) == 3
    assert view.plot().axes[0].get_ylabel() == "memory"


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru", "peephole"])
def test_every_gated_cell_has_mouths(cell):
    view = look_at(cell=cell).view("switches")
    assert view.gates and all(0 <= value <= 1 for values in view.gates.values() for value in values)


def test_what_has_no_gates_or_no_such_unit_is_refused():
    with pytest.raises(DataError, match="has no gated cell"):
        look_at(cell="elman").view("switches")
    with pytest.raises(DataError, match="there is no unit 99") as refused:
        look_at(cell="lstm").view("switches", unit=99)
    assert "0 to 7" in refused.value.hint
