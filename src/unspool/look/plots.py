"""Draws what was measured: the only file that imports matplotlib."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from statistics import mean
from textwrap import wrap
from typing import Any

from unspool.checkpoint import writing

INK, TRAIN = "#333333", "#9fb8d0"
WRONG, RIGHT = "#b03a00", "#777777"
ABREAST = 6  # images
MANY = 30  # labels of which each can be read
WAYS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"  # Okabe & Ito: safe for the colour-blind


def draw_loss(records: Sequence[Mapping[str, Any]], path: Path, title: str = "", unit: str = "nats per token") -> None:
    """The losses of one run over its steps: every training step faintly, their mean, and each way of validating."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.subplots()
    steps = [record for record in records if record["kind"] == "step"]
    x, y = [record["step"] for record in steps], [record["loss"] for record in steps]
    if steps:
        axes.plot(x, y, color=TRAIN, alpha=0.5, linewidth=0.7)
        now = mean(y[-max(1, len(y) // 50) :])
        axes.plot(x, smooth(y), color=INK, linewidth=1.6, label=f"training (now {now:.3f})")
    judged = [record for record in records if record["kind"] == "valid"]
    for way, colour in zip(dict.fromkeys(record["way"] for record in judged), WAYS, strict=False):
        points = [(record["step"], record["loss"]) for record in judged if record["way"] == way]
        label = f"validation, {way} (best {min(p[1] for p in points):.3f})"
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, linewidth=1.6, label=label)
    if steps:  # the first steps are as high as chance and say little
        low, high = min(y), sorted(y)[int(0.99 * (len(y) - 1))]
        axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)
    axes.set(xlabel="training step", ylabel=f"loss ({unit})", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    with writing(path):
        figure.savefig(path)


def smooth(values: Sequence[float]) -> list[float]:
    """The mean around each value, over about a fiftieth of them all; narrower towards the ends, so that it never lags.

    >>> smooth([1.0, 2.0, 6.0])
    [1.0, 2.0, 6.0]
    """
    reach, sums = len(values) // 100, [0.0, *accumulate(values)]
    out = []
    for index in range(len(values)):
        near = min(reach, index, len(values) - 1 - index)
        out.append((sums[index + near + 1] - sums[index - near]) / (2 * near + 1))
    return out


def draw_confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], path: Path, title: str = "") -> None:
    """How many of each label (rows) were taken for each (columns); the darker, the larger the share of its row."""
    from matplotlib.figure import Figure

    side = 2.4 + 0.42 * min(len(labels), MANY)
    figure = Figure(figsize=(side, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    shares = [[number / max(1, sum(row)) for number in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)  # light to dark, for every eye and every printer
    if len(labels) <= MANY:
        for down, row in enumerate(matrix):
            for across, number in enumerate(row):
                colour = "white" if shares[down][across] > 0.5 else INK
                if number:
                    axes.text(across, down, f"{number}", ha="center", va="center", color=colour, fontsize=7)
    places = range(0, len(labels), max(1, len(labels) // MANY))
    named = [labels[place][:20] for place in places]
    axes.set_xticks(places, named, rotation=90)
    axes.set_yticks(places, named)
    axes.set(xlabel="taken for", ylabel="label", title=title)
    axes.spines[:].set_visible(False)
    with writing(path):
        figure.savefig(path)


def draw_captions(shown: Sequence[tuple[Any, str, Sequence[str]]], path: Path, title: str = "") -> None:
    """Images (height, width, 3) with what was written of them; under it, where that is not right, what would have been.

    Of several right captions the one that shares the most words is told.
    """
    from matplotlib.figure import Figure

    columns = min(len(shown), ABREAST)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.1 * columns, 3.0 * rows + 0.4), dpi=120, layout="constrained")
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if place >= len(shown):
            continue
        image, said, right = shown[place]
        height, width = image.shape[:2]
        axes.imshow(image, interpolation="nearest")
        axes.set_ylim(1.5 * height, -0.5)  # room for words under the image
        below = [(said, INK)] if said in right else [(said, WRONG), (nearest(said, right), RIGHT)]
        for part, (text, colour) in enumerate(below):
            lines = "\n".join(wrap(text or "(nothing)", 27)[:3])
            down = (1.04 + 0.24 * part) * height
            axes.text(width / 2, down, lines, ha="center", va="top", color=colour, fontsize=7)
    figure.suptitle(title, color=INK)
    with writing(path):
        figure.savefig(path)


def nearest(said: str, right: Sequence[str]) -> str:
    """The right caption that shares the most words with what was said.

    >>> nearest("a red ring", ["a blue circle", "a red circle"])
    'a red circle'
    """
    return max(right, key=lambda caption: len(set(caption.split()) & set(said.split())))
