"""What can be drawn beside a run: plain data that `look.plots.draw` makes a picture of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Confusion:
    """How often each label (rows) was predicted as each (columns).

    >>> Confusion([[9, 1], [0, 10]], ["cat", "dog"]).matrix[0][1]
    1
    """

    matrix: list[list[int]]
    labels: list[str]


@dataclass(frozen=True)
class Flights:
    """Paths through a box of one by one, true and as a model went on by itself after it had seen some places.

    >>> Flights([[[0.1, 0.5], [0.2, 0.5]]], [[[0.21, 0.5]]]).true[0][1]
    [0.2, 0.5]
    """

    true: list[list[list[float]]]  # each path a list of (across, up)
    predicted: list[list[list[float]]]  # the last places of each, as the model predicts them


@dataclass(frozen=True)
class Outlook:
    """One series, and what a model that has seen it up to `start` says of what follows.

    >>> Outlook("tide", [1.0, 2.0, 1.0], 2, {"0.5": [1.2]}, "beaten").bands["0.5"]
    [1.2]
    """

    name: str
    values: list[float]  # true ones, before and after
    start: int  # how many of them are before
    bands: dict[str, list[float]]  # quantiles, by their level: "0.5" is the median
    summary: str = ""


@dataclass(frozen=True)
class Outlooks:
    """Forecasts of several series."""

    outlooks: list[Outlook]


@dataclass(frozen=True)
class Captioned:
    """An image, what was written under it, and what would have been right.

    >>> Captioned([[[255, 0, 0]]], "a red ring", ["a red circle"]).generated
    'a red ring'
    """

    image: list[list[list[int]]]  # rows of pixels: red, green and blue from 0 to 255
    generated: str
    right: list[str]
    aspect: float = 1.0  # width by height of the image before it was resized to a square


@dataclass(frozen=True)
class Album:
    """Some images with what was written of them."""

    images: list[Captioned]


@dataclass(frozen=True)
class Heatmap:
    """A table of shares, from 0 to 1, with a name for each row and each column.

    >>> Heatmap([[0.5]], ["a"], ["b"], "generated", "looked at").rows
    ['a']
    """

    values: list[list[float]]
    rows: list[str]
    columns: list[str]
    down: str  # what the rows are
    across: str  # what the columns are
    title: str = ""


def heatmap_lines(heatmap: Heatmap) -> list[str]:
    """A table of shares for a terminal, in percent.

    >>> print("\\n".join(heatmap_lines(Heatmap([[0.5, 1.0]], ["1"], ["1", "2"], "digits", "operations"))))
    digits \\ operations    1    2
                      1   50  100
    """
    corner = f"{heatmap.down} \\ {heatmap.across}"
    cell = max(5, 2 + max(map(len, heatmap.columns), default=0))
    wide = max(len(corner), *map(len, heatmap.rows))
    lines = [corner.rjust(wide) + "".join(name.rjust(cell) for name in heatmap.columns)]
    for name, values in zip(heatmap.rows, heatmap.values, strict=True):
        lines.append(name.rjust(wide) + "".join(f"{100 * value:.0f}".rjust(cell) for value in values))
    return lines


@dataclass(frozen=True)
class Heatmaps:
    """Several tables side by side."""

    panels: list[Heatmap]


Drawing = Album | Confusion | Flights | Heatmap | Heatmaps | Outlooks
"""What can be drawn beside a run."""
