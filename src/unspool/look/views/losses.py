"""The loss of a run over its training steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.errors import DataError
from unspool.look.canvas import CYCLE, Picture, focus, plain, short_name
from unspool.look.inspection import Inspection
from unspool.look.panels import Curve, Lines, Panel
from unspool.look.view import View, register_view

Points = list[tuple[int, float]]
"""(step, loss) of a curve."""
SHOWN = 600  # points of a curve on the page


@register_view("losses")
@dataclass(frozen=True)
class Losses(View):
    """The losses of one or several runs over their steps: records of metrics.jsonl, by run.

    >>> Losses({"a": [{"kind": "valid", "step": 9, "set": "all", "loss": 1.5}]}).summary()
    ['a: best validation loss 1.5000 at step 9']
    """

    title: ClassVar[str] = "Losses"
    rank: ClassVar[int] = 90
    records: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, look: Inspection) -> "Losses":
        """Read metrics.jsonl. Raises: DataError for a run without metrics."""
        records = look.history.metrics() if look.history is not None else []
        if not records:
            raise DataError(f"{look.name} has no metrics.jsonl, or an empty one", hint="leave losses out of --what")
        return cls({look.name: records})

    def curves(self) -> dict[str, tuple[Points, Points]]:
        """The curves of each run in training and on the first validation set."""
        curves = {}
        for name, records in self.records.items():
            training = [(r["step"], r["loss"]) for r in records if r["kind"] == "step"]
            validation = [r for r in records if r["kind"] == "valid"]
            first = [(r["step"], r["loss"]) for r in validation if r["set"] == validation[0]["set"]]
            curves[name] = training, first
        return curves

    def summary(self) -> list[str]:
        """The best validation loss of each run."""
        best = {name: min(points, key=lambda point: point[1]) for name, (_, points) in self.curves().items() if points}
        return [f"{name}: best validation loss {loss:.4f} at step {step:,}" for name, (step, loss) in best.items()]

    def data(self) -> dict[str, Any]:
        """Steps and losses by run."""
        return {name: {"training": some, "validation": others} for name, (some, others) in self.curves().items()}

    def plot(self) -> Picture:
        """Validation as a line with dots for every run, training faintly behind it."""
        picture = Picture(7.5, 4.2)
        axes = picture.axes[0]
        curves = self.curves()
        for (name, (training, validation)), colour in zip(curves.items(), CYCLE, strict=False):
            if training:
                axes.plot(*zip(*training, strict=True), color=colour, alpha=0.22, linewidth=0.8)
            if validation:
                label = f"{short_name(name)} (best {min(loss for _, loss in validation):.3f})"
                dots = {"marker": "o", "markersize": 3.5, "linewidth": 1.7}
                axes.plot(*zip(*validation, strict=True), color=colour, label=label, **dots)
        focus(axes, [loss for some in curves.values() for points in some for _, loss in points], 0.98)
        axes.set(xlabel="training step", ylabel="loss (nats per position)")
        plain(axes)
        if axes.get_legend_handles_labels()[0]:
            picture.legend(axes, fontsize=9)
        return picture

    def panels(self) -> list[Panel]:
        """Both curves of each run."""
        curves = []
        for training, validation in self.curves().values():
            few = training[:: max(1, len(training) // SHOWN)]
            curves += [
                Curve(name, [step for step, _ in points], [loss for _, loss in points])
                for name, points in (("validation", validation), ("training", few))
                if points
            ]
        return [Lines(curves, "training step", "loss (nats per position)")]

    @classmethod
    def compare(cls, views: Mapping[str, "Losses"]) -> Picture:
        """The curves of several runs."""
        return cls({name: records for view in views.values() for name, records in view.records.items()}).plot()
