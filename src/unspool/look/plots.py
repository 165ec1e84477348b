"""Plots of the losses of runs, of the drawings of an evaluation, and of pieces of music."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from textwrap import wrap
from typing import Any

from unspool import files
from unspool.look.canvas import COLOURS, FAINT, INK, Picture, focus
from unspool.metrics.drawings import Album, Captioned, Confusion, Drawing, Flights, Heatmap, Heatmaps, Outlook
from unspool.metrics.text import nearest

TRAIN = "#9fb8d0"
WRONG, RIGHT = "#b03a00", "#777777"
IMAGES_IN_A_ROW = 6
MANY_LABELS = 30  # more of them are not labelled each
FEW_CELLS = 40  # tables of as many cells have their values written in them


def draw_loss(records: Sequence[Mapping[str, Any]], path: Path, title: str = "", unit: str = "nats per token") -> None:
    """The losses of one run over its steps: every training step faintly, a smoothed curve, and each evaluation set."""
    picture = Picture(8.0, 4.5)
    axes = picture.axes[0]
    steps = [record for record in records if record["kind"] == "step"]
    x, y = [record["step"] for record in steps], [record["loss"] for record in steps]
    if steps:
        axes.plot(x, y, color=TRAIN, alpha=0.5, linewidth=0.7)
        curve = smooth(y)
        axes.plot(x, curve, color=INK, linewidth=1.6, label=f"training (now {curve[-1]:.3f})")
        axes.plot(x[-1], curve[-1], color=INK, marker="o", markersize=5)
    evaluated = [record for record in records if record["kind"] == "valid"]
    for name, colour in zip(dict.fromkeys(record["set"] for record in evaluated), COLOURS, strict=False):
        points = [(record["step"], record["loss"]) for record in evaluated if record["set"] == name]
        label = f"validation, {name} (best {min(p[1] for p in points):.3f})"
        axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, linewidth=1.6, label=label)
    focus(axes, y, 0.99)
    axes.set(xlabel="training step", ylabel=f"loss ({unit})", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    picture.save(path)


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """The losses of several runs over their steps in one picture, each with its lowest value.

    Args:
        curves: (step, loss) pairs by the name of the run.
        path: of the picture.
    """
    picture = Picture(8.0, 4.5)
    axes = picture.axes[0]
    for number, (name, points) in enumerate(curves.items()):
        x, y = zip(*points, strict=True)
        style = ("-", "--", ":", "-.")[number // len(COLOURS) % 4]
        label = f"{name} (best {min(y):.3f})" if len(curves) <= MANY_LABELS else None
        axes.plot(x, smooth(y), style, color=COLOURS[number % len(COLOURS)], linewidth=1.4, label=label)
    focus(axes, [loss for points in curves.values() for _, loss in points], 0.99)
    axes.set(xlabel="training step", ylabel="loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(curves) <= MANY_LABELS:
        axes.legend(frameon=False, fontsize=8 if len(curves) <= 10 else 6)
    picture.save(path)


def draw_gain(bits: Mapping[str, Sequence[float]], path: Path, title: str = "") -> None:
    """What each first state saves against an empty one ("zero"), in bits per token by the position in the text."""
    picture = Picture(8.0, 4.0)
    axes = picture.axes[0]
    axes.axhline(0.0, color=INK, linewidth=0.8)
    for (name, values), colour in zip(((n, v) for n, v in bits.items() if n != "zero"), COLOURS, strict=False):
        gain = [zero - value for zero, value in zip(bits["zero"], values, strict=True)]
        axes.plot(range(1, len(gain) + 1), gain, color=FAINT, alpha=0.5, linewidth=0.7)
        label = f"{name} (mean {sum(gain) / len(gain):.3f})"
        axes.plot(range(1, len(gain) + 1), smooth(gain), color=colour, linewidth=1.6, label=label)
    axes.set(xlabel="position from the beginning of a text (tokens)", ylabel="bits saved per token", title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    picture.save(path)


def smooth(values: Sequence[float]) -> list[float]:
    """The values without their noise: at each, a straight line through about a fiftieth of them all around it.

    Away from the ends that is the mean; at the ends the line neither lags behind nor follows the last value's noise.

    >>> smooth([1.0, 2.0, 6.0])
    [1.0, 2.0, 6.0]
    """
    reach, last = len(values) // 100, len(values) - 1
    sums, moments = [0.0, *accumulate(values)], [0.0, *accumulate(at * v for at, v in enumerate(values))]
    out = []
    for at in range(len(values)):
        low, high = max(0, at - reach), min(last, at + reach)
        count, middle = high - low + 1, (low + high) / 2
        mean = (sums[high + 1] - sums[low]) / count
        spread = count * (count * count - 1) / 12  # the sum of the squared distances from the middle
        slope = (moments[high + 1] - moments[low] - middle * count * mean) / spread if at != middle else 0.0
        out.append(mean + slope * (at - middle))
    return out


def save_drawings(drawings: Mapping[str, Drawing], folder: Path, title: str = "") -> list[Path]:
    """Write each drawing as NAME.png, and its numbers as NAME.json. Returns: the paths of the pictures."""
    for name, drawing in drawings.items():
        files.write_text(folder / f"{name}.json", json.dumps(asdict(drawing)))
        draw(drawing, folder / f"{name}.png", title)
    return [folder / f"{name}.png" for name in drawings]


def draw(drawing: Drawing, path: Path, title: str = "") -> None:
    """Plot a drawing of an evaluation according to its type."""
    if isinstance(drawing, Confusion):
        draw_confusion(drawing.matrix, drawing.labels, path, title)
    elif isinstance(drawing, Flights):
        draw_flights(drawing, path, title)
    elif isinstance(drawing, Heatmap):
        draw_heatmaps([drawing], path, title)
    elif isinstance(drawing, Heatmaps):
        draw_heatmaps(drawing.panels, path, title)
    elif isinstance(drawing, Album):
        draw_captions(drawing.images, path, title)
    else:
        draw_outlooks(drawing.outlooks, path, title)


def draw_confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str], path: Path, title: str = "") -> None:
    """A confusion matrix: labels in rows, predictions in columns; the darker, the larger the share of its row."""
    side = 2.4 + 0.42 * min(len(labels), MANY_LABELS)
    picture = Picture(side, side)
    axes = picture.axes[0]
    shares = [[number / max(1, sum(row)) for number in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)  # light to dark: readable in grey and with any colour vision
    if len(labels) <= MANY_LABELS:
        for down, row in enumerate(matrix):
            for across, number in enumerate(row):
                colour = "white" if shares[down][across] > 0.5 else INK
                if number:
                    axes.text(across, down, f"{number}", ha="center", va="center", color=colour, fontsize=7)
    places = range(0, len(labels), max(1, len(labels) // MANY_LABELS))
    named = [labels[place][:20] for place in places]
    axes.set_xticks(places, named, rotation=90)
    axes.set_yticks(places, named)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    axes.spines[:].set_visible(False)
    picture.save(path)


def draw_heatmaps(panels: Sequence[Heatmap], path: Path, title: str = "") -> None:
    """Tables of shares, two in a row: the darker, the nearer to 1; a small table has its values written in percent."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    wide, high = (
        max(len(names) for names in sides) for sides in zip(*((p.columns, p.rows) for p in panels), strict=True)
    )
    size = (columns * (1.6 + 0.42 * wide), rows * (1.5 + 0.36 * high) + 0.4)
    picture = Picture(max(4.5, size[0]), max(3.2, size[1]), rows, columns, title)
    for axes, panel in zip(picture.axes, panels, strict=False):
        axes.imshow(panel.values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        turned = {"rotation": 60, "ha": "right"} if max(map(len, panel.columns)) > 3 else {}
        axes.set_xticks(range(len(panel.columns)), panel.columns, parse_math=False, **turned)
        axes.set_yticks(range(len(panel.rows)), panel.rows, parse_math=False)
        axes.set(xlabel=panel.across, ylabel=panel.down)
        axes.set_title(panel.title, fontsize=10, parse_math=False)
        axes.spines[:].set_visible(False)
        if len(panel.rows) * len(panel.columns) <= FEW_CELLS:
            for row, values in enumerate(panel.values):
                for column, value in enumerate(values):
                    colour = "white" if value > 0.5 else INK
                    axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour, fontsize=9)
    for axes in picture.axes[len(panels) :]:
        axes.set_visible(False)
    picture.save(path)


def draw_flights(flights: Flights, path: Path, title: str = "") -> None:
    """A panel for each flight: the part that was given, the true rest, and what the model predicted."""
    columns = min(3, len(flights.true))
    rows = -(-len(flights.true) // columns)
    picture = Picture(3.0 * columns, 2.85 * rows + 0.7, rows, columns, title)
    boxes = picture.axes
    for axes, true, predicted in zip(boxes, flights.true, flights.predicted, strict=False):
        seen = len(true) - len(predicted)
        broad = {"color": TRAIN, "linewidth": 5, "alpha": 0.55, "solid_capstyle": "round"}
        axes.plot(*zip(*true[seen - 1 :], strict=True), **broad, label="where it flew")
        axes.plot(*zip(*true[:seen], strict=True), color=INK, linewidth=1, marker="o", markersize=3.2, label="seen")
        own = [true[seen - 1], *predicted]
        axes.plot(*zip(*own, strict=True), color=COLOURS[1], linewidth=1, alpha=0.6)
        late = [0.35 + 0.65 * n / max(1, len(predicted) - 1) for n in range(len(predicted))]
        axes.scatter(*zip(*predicted, strict=True), s=9, color=COLOURS[1], alpha=late, linewidths=0, zorder=3)
        axes.plot(*true[-1], marker="o", markersize=9, markerfacecolor="none", markeredgecolor=COLOURS[0])
        end = {"marker": "o", "color": COLOURS[1], "zorder": 4}
        axes.plot(*predicted[-1], **end, markersize=4.5, linewidth=1, label="predicted, from its own predictions")
        axes.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal", xticks=[], yticks=[])
        axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color=INK, linewidth=1.2, zorder=0)
        axes.spines[:].set_visible(False)
    for axes in boxes[len(flights.true) :]:
        axes.set_visible(False)
    handles, labels = boxes[0].get_legend_handles_labels()
    picture.figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    picture.save(path)


def draw_outlooks(outlooks: Sequence[Outlook], path: Path, title: str = "") -> None:
    """A panel for each series: its history, the true values, and the median and the bands of the forecast."""
    picture = Picture(9.0, 2.1 * len(outlooks) + 0.9, len(outlooks))
    panels = picture.axes
    for axes, one in zip(panels, outlooks, strict=True):
        ahead = range(one.start, one.start + len(one.bands["0.5"]))
        for (low, high), alpha in zip(
            (("0.05", "0.95"), ("0.1", "0.9"), ("0.25", "0.75")), (0.16, 0.22, 0.3), strict=True
        ):
            if low in one.bands:
                share = f"{100 * (float(high) - float(low)):.0f} %"
                axes.fill_between(
                    ahead, one.bands[low], one.bands[high], color=COLOURS[0], alpha=alpha, linewidth=0, label=share
                )
        axes.plot(range(one.start), one.values[: one.start], color=INK, linewidth=1.2, label="history")
        later = range(one.start - 1, len(one.values))
        axes.plot(later, one.values[one.start - 1 :], color=COLOURS[1], linewidth=1.4, label="truth")
        axes.plot(ahead, one.bands["0.5"], color=COLOURS[0], linewidth=1.8, label="forecast")
        axes.axvline(one.start - 0.5, color=INK, linewidth=0.7, linestyle=(0, (2, 3)))
        axes.set_title(one.name, loc="left", fontsize=10, fontweight="bold", color=INK)
        axes.set_title(one.summary, loc="right", fontsize=8.5, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.margins(x=0.01)
        axes.tick_params(labelsize=8)
    panels[-1].set_xlabel("time step", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure = picture.figure
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False, fontsize=8.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    picture.save(path)


def draw_notes(pieces: Mapping[str, Sequence[tuple[float, float, int]]], path: Path) -> None:
    """Piano rolls, one below the other, by their titles: notes as (start, length, pitch) in quarter beats and keys."""
    picture = Picture(10.0, 0.6 + 1.9 * max(1, len(pieces)), max(1, len(pieces)))
    panels = picture.axes
    for axes, (title, notes) in zip(panels, pieces.items(), strict=False):
        starts, lengths, pitches = zip(*notes, strict=True) if notes else ((), (), ())
        gaps = [0.92 * length for length in lengths]  # so that repeated notes stay apart
        axes.barh(pitches, gaps, left=starts, height=0.85, color=COLOURS[0])
        octaves = range(12 * (min(pitches, default=60) // 12), max(pitches, default=71) + 13, 12)
        axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
        axes.set_ylim(min(pitches, default=60) - 1.5, max(pitches, default=71) + 1.5)
        axes.set_xlim(0, max((s + n for s, n in zip(starts, lengths, strict=True)), default=1.0))
        axes.set_title(title, loc="left", fontsize=9, parse_math=False)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    panels[-1].set_xlabel("quarter beats, repeats played out")
    picture.save(path)


def draw_captions(shown: Sequence[Captioned], path: Path, title: str = "") -> None:
    """Images (height, width, 3) with their generated captions, and below a wrong one the reference.

    Of several references the one that shares the most words is shown.
    """
    columns = min(len(shown), IMAGES_IN_A_ROW)
    rows = -(-len(shown) // columns)
    picture = Picture(2.1 * columns, 3.0 * rows + 0.4, rows, columns, title)
    for place, axes in enumerate(picture.axes):
        axes.set_axis_off()
        if place >= len(shown):
            continue
        image, generated, right = shown[place].image, shown[place].generated, shown[place].right
        height = len(image)
        width = shown[place].aspect * height
        axes.imshow(image, interpolation="nearest", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
        axes.set_ylim(1.5 * height, -0.5)  # room for words under the image
        below = [(generated, INK)] if generated in right else [(generated, WRONG), (nearest(generated, right), RIGHT)]
        for part, (text, colour) in enumerate(below):
            lines = "\n".join(wrap(text or "(nothing)", 27)[:3])
            down = (1.04 + 0.24 * part) * height
            axes.text(width / 2, down, lines, ha="center", va="top", color=colour, fontsize=7)
    picture.save(path)
