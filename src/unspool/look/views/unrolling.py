"""How the training batches of a run follow one another in time, and where their gradients are cut."""

from dataclasses import dataclass
from typing import Any, ClassVar

from unspool.batch import Batches
from unspool.errors import DataError
from unspool.look.canvas import COLOURS, INK, Picture
from unspool.look.inspection import Inspection
from unspool.look.view import View, register_view

BATCHES = 4  # that are drawn


@register_view("unrolling")
@dataclass(frozen=True)
class Unrolling(View):
    """The lengths of the first batches, and whether each begins with the state of the one before it."""

    title: ClassVar[str] = "Unrolling in training"
    rank: ClassVar[int] = 95
    lengths: list[int]
    carried: list[bool]  # the state comes from the batch before, detached; else it begins empty
    rows: int

    @classmethod
    def of(cls, look: Inspection) -> "Unrolling":
        """Read off the first training batches. Raises: DataError for a model without a history."""
        if look.history is None:
            raise DataError(f"{look.name} has no training batches", hint="leave unrolling out of --what")
        return cls.of_batches(look.history.batches())

    @classmethod
    def of_batches(cls, batches: Batches) -> "Unrolling":
        """The first batches."""
        some = [batches[number] for number in range(BATCHES)]
        return cls([b.inputs.shape[1] for b in some], [b.carries_state for b in some], len(some[0].inputs))

    def summary(self) -> list[str]:
        """Whether back-propagation is truncated."""
        if any(self.carried[1:]):
            return [
                f"training: {self.rows} rows carry their state from batch to batch, the gradient is cut every "
                f"{self.lengths[0]} tokens (truncated back-propagation through time)"
            ]
        return [f"training: each of {self.rows} rows of {self.lengths[0]} positions begins with an empty state"]

    def data(self) -> dict[str, Any]:
        """Lengths, and where the state is carried."""
        return {"lengths": self.lengths, "carried": self.carried, "rows": self.rows}

    def plot(self) -> Picture:
        """A box for each time step, arrows for the state, and a cut wherever the gradient stops."""
        picture = Picture(10.5, 2.6)
        axes, x, read = picture.axes[0], 0.0, 0
        for number, (length, carried) in enumerate(zip(self.lengths, self.carried, strict=True)):
            start, read = x, read if carried else 0
            for step in shown_steps(length):
                if step is None:
                    axes.text(x + 0.4, 0.5, "…", ha="center", va="center", fontsize=13, color=INK)
                    x += 0.8
                    continue
                draw_step(axes, x, read + step, arrow=bool(step or (number and carried)))
                x += 1.0
            read += length
            axes.annotate("", (start, 1.62), (x - 0.3, 1.62), arrowprops=arrow_style(COLOURS[1]))
            middle = {"ha": "center", "color": COLOURS[1]}
            axes.text((start + x) / 2 - 0.15, 1.72, f"gradient: {length} steps", fontsize=8, **middle)
            if number + 1 < len(self.lengths):
                axes.plot([x - 0.08, x + 0.18], [-0.1, 1.1], color=COLOURS[1], linewidth=2.2)
                note = "detach: state carried on" if self.carried[number + 1] else "empty state"
                axes.text(x + 0.05, -0.95, note, va="top", fontsize=7.5, **middle)
                x += 0.45
        axes.set(xlim=(-0.5, x + 0.3), ylim=(-1.35, 2.1))
        axes.set_axis_off()
        return picture


def draw_step(axes: Any, x: float, position: int, arrow: bool) -> None:
    """The box of one time step with its input and output; an arrow from the step before, where there is one."""
    axes.broken_barh([(x, 0.7)], (0.15, 0.7), facecolors=COLOURS[5], edgecolor=INK, linewidth=0.8, alpha=0.5)
    axes.text(x + 0.35, 0.5, "h", ha="center", va="center", fontsize=9, style="italic", color=INK)
    axes.annotate("", (x + 0.35, 0.15), (x + 0.35, -0.35), arrowprops=arrow_style(INK))
    axes.annotate("", (x + 0.35, 1.35), (x + 0.35, 0.85), arrowprops=arrow_style(INK))
    axes.text(x + 0.35, -0.5, f"x$_{{{position}}}$", ha="center", va="top", fontsize=8, color=INK)
    if arrow:
        axes.annotate("", (x, 0.5), (x - 0.3, 0.5), arrowprops=arrow_style(INK))


def shown_steps(length: int) -> list[int | None]:
    """The time steps of a batch that are drawn; None stands for those between.

    >>> shown_steps(3), shown_steps(64)
    ([0, 1, 2], [0, 1, None, 63])
    """
    return [*range(length)] if length <= 4 else [0, 1, None, length - 1]


def arrow_style(colour: str) -> dict[str, Any]:
    """A thin arrow."""
    return {"arrowstyle": "->", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
