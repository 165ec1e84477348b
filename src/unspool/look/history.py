"""How runs were trained: their loss curves, and the net unrolled along time with the cuts of its gradient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unspool.batch import Batches
from unspool.look import pictures
from unspool.look.canvas import Picture

LOOKED = 4  # batches that are unrolled


@dataclass(frozen=True)
class Losses:
    """The losses of one or several runs over their steps: records as metrics.jsonl has them, by run.

    >>> Losses({"a": [{"kind": "valid", "step": 9, "set": "all", "loss": 1.5}]}).summary()
    ['a: best validation loss 1.5000 at step 9']
    """

    records: Mapping[str, Sequence[Mapping[str, Any]]]

    def curves(self) -> dict[str, tuple[list[tuple[int, float]], list[tuple[int, float]]]]:
        """(step, loss) of each run, in training and in the first way of validation."""
        found = {}
        for name, records in self.records.items():
            trained = [(r["step"], r["loss"]) for r in records if r["kind"] == "step"]
            judged = [r for r in records if r["kind"] == "valid"]
            first = [(r["step"], r["loss"]) for r in judged if r["set"] == judged[0]["set"]]
            found[name] = trained, first
        return found

    def summary(self) -> list[str]:
        """The best of each run."""
        best = {name: min(judged, key=lambda one: one[1]) for name, (_, judged) in self.curves().items() if judged}
        return [f"{name}: best validation loss {loss:.4f} at step {step:,}" for name, (step, loss) in best.items()]

    def data(self) -> dict[str, Any]:
        """Steps and losses by run."""
        return {name: {"training": some, "validation": others} for name, (some, others) in self.curves().items()}

    def plot(self) -> Picture:
        """Validation of every run as a line, training behind it."""
        return pictures.losses(self.curves())


@dataclass(frozen=True)
class Unrolled:
    """How a run's first batches follow each other in time: how many positions each has, and what goes over to it."""

    lengths: list[int]
    carried: list[bool]  # the state comes from the batch before, the gradient stops there; else both begin anew
    rows: int

    @classmethod
    def of(cls, batches: Batches) -> "Unrolled":
        """What batches are like."""
        some = [batches[number] for number in range(LOOKED)]
        return cls([b.inputs.shape[1] for b in some], [b.carries_state for b in some], len(some[0].inputs))

    def summary(self) -> list[str]:
        """Truncated or not, in words."""
        if any(self.carried[1:]):
            return [
                f"training: the state is carried over in {self.rows} rows, the gradient is cut every "
                f"{self.lengths[0]} tokens (truncated back-propagation through time)"
            ]
        return [f"training: each of {self.rows} rows of {self.lengths[0]} positions begins with an empty state"]

    def data(self) -> dict[str, Any]:
        """As it is."""
        return {"lengths": self.lengths, "carried": self.carried, "rows": self.rows}

    def plot(self) -> Picture:
        """The same cell at every tick, state flowing right, gradient flowing back as far as the cuts."""
        return pictures.unrolled(self.lengths, self.carried)
