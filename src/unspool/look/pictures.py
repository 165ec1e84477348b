"""Draws what the views show: heat maps of units, coloured text, gradients by lag, attention, embeddings."""

from collections.abc import Mapping, Sequence
from itertools import islice
from math import cos, pi, sin
from typing import Any

from unspool.look.canvas import AROUND_ZERO, COLOURS, FAINT, FROM_ZERO, INK, Picture, drawing, focus

WIDE = 80  # tokens that are drawn across
TALL = 64  # units that are drawn down
LINES, LETTERS = 30, 96  # of a text that is drawn
HEADS = 16
NAME = 40  # letters


def units(
    values: Sequence[Sequence[float]],
    names: Sequence[int],
    tokens: Sequence[str],
    title: str,
    is_gate: bool,
    limit: float | None = None,
) -> Picture:
    """Units (down) by tokens (across): a gate from 0 to 1, a state around 0 as far as it goes, or as `limit` says.

    Of many units those are drawn that move most, of many tokens the first.
    """
    there = [t for t, token in enumerate(tokens) if token][:WIDE]
    moving = sorted(range(len(names)), key=lambda unit: -_spread([values[t][unit] for t in there]))[:TALL]
    chosen = sorted(moving)
    table = [[values[t][unit] for t in there] for unit in chosen]
    most = limit or _usual([abs(v) for row in table for v in row])
    picture = Picture(max(4.5, 1.6 + 0.165 * len(there)), max(2.2, 1.2 + 0.165 * len(chosen)))
    axes = picture.axes[0]
    colours: dict[str, Any] = (
        {"cmap": FROM_ZERO, "vmin": 0, "vmax": 1} if is_gate else {"cmap": AROUND_ZERO, "vmin": -most, "vmax": most}
    )
    drawn = axes.imshow(table, aspect="auto", interpolation="nearest", **colours)
    axes.set_xticks(range(len(there)), [tokens[t] for t in there], parse_math=False, fontsize=8, **_turned(tokens))
    axes.set_yticks(range(len(chosen)), [names[unit] for unit in chosen], fontsize=7)
    axes.set(xlabel="token that was read", ylabel="unit")
    axes.set_title(title, fontsize=10, loc="left", color=INK, parse_math=False)
    axes.spines[:].set_visible(False)
    picture.bar(drawn, axes, "how far it is open" if is_gate else "value")
    return picture


def _usual(sizes: Sequence[float]) -> float:
    """What all but a fiftieth stay below, so that a few that are huge leave the others their colours."""
    return (sorted(sizes)[int(0.98 * (len(sizes) - 1))] if sizes else 0.0) or max(sizes, default=0.0) or 1.0


def _spread(values: Sequence[float]) -> float:
    mean = sum(values) / max(1, len(values))
    return sum((v - mean) ** 2 for v in values)


def _turned(tokens: Sequence[str]) -> dict[str, Any]:
    return {"rotation": 90} if max(map(len, tokens), default=0) > 2 else {}


def text(
    rows: Sequence[Sequence[str]], values: Sequence[Sequence[float | None]], label: str, from_zero: bool = False
) -> Picture:
    """The beginning of a text with a colour behind each token; what has no value has none."""
    lines = list(islice(_lines(rows, values), LINES))
    known = [abs(v) for line in lines for _, v in line if v is not None]
    most = _usual(known)
    wide = max((sum(len(token) for token, _ in line) for line in lines), default=1)
    picture = Picture(max(5.0, 0.078 * max(wide, 40) + 1.2), 0.9 + 0.23 * len(lines))
    axes = picture.axes[0]
    from_to = (0, most) if from_zero else (-most, most)
    drawn = axes.scatter([], [], c=[], cmap="YlOrBr" if from_zero else AROUND_ZERO, vmin=from_to[0], vmax=from_to[1])
    for down, line in enumerate(lines):
        across, behind, colours = 0, [], []
        for token, value in line:
            if value is not None:
                behind.append((across, len(token)))
                colours.append(_softened(drawn.to_rgba(value)))
            letters = {"ha": "center", "va": "center", "family": "monospace", "fontsize": 8, "parse_math": False}
            axes.text(across + len(token) / 2, down, token, **letters)
            across += len(token)
        axes.broken_barh(behind, (down - 0.47, 0.94), facecolors=colours, zorder=0)
    axes.set(xlim=(0, max(wide, 40)), ylim=(len(lines) - 0.4, -0.6))
    axes.set_axis_off()
    picture.bar(drawn, axes, label)
    return picture


def _softened(colour: Sequence[float]) -> list[float]:
    """So light that black letters on it are read."""
    return [1 - 0.7 * (1 - c) for c in colour[:3]]


def _lines(rows: Sequence[Sequence[str]], values: Sequence[Sequence[float | None]]) -> Any:
    """Tokens with their values, line by line: a line ends behind a line break, or where it is full."""
    for row, numbers in zip(rows, values, strict=True):
        line: list[tuple[str, float | None]] = []
        for token, value in zip(row, numbers, strict=False):
            if not token:
                continue
            if sum(len(t) for t, _ in line) + len(token) > LETTERS:
                yield line
                line = []
            line.append((token, value))
            if token.rstrip().endswith("\\n"):
                yield line
                line = []
        if line:
            yield line


def trajectory(
    labels: Sequence[str],
    rows: Sequence[Sequence[str]],
    places: Sequence[Sequence[Sequence[float]]],
    explained: Sequence[float],
    title: str,
) -> Picture:
    """The ways of a state through a plane, one a row: from a dot to an arrow, what was read beside it."""
    picture = Picture(7.0, 6.0)
    axes = picture.axes[0]
    named = len(places) == 1 or sum(map(len, places)) <= 60
    for label, tokens, way, colour in zip(labels, rows, places, _cycled(), strict=False):
        across, up = [place[0] for place in way], [place[1] for place in way]
        axes.plot(across, up, color=colour, linewidth=1.2, alpha=0.8, label=label)
        axes.scatter(across[:1], up[:1], s=28, color=colour)
        if len(way) > 1:
            axes.annotate("", way[-1], way[-2], arrowprops={**_arrow(colour), "linewidth": 1.8})
        read = [token for token in tokens if token]
        for token, place in zip(read, way, strict=False) if named else ():
            axes.annotate(token, place, (3, 2), textcoords="offset points", fontsize=7, color=INK, parse_math=False)
    shares = [f"{100 * share:.0f} %" for share in explained]
    axes.set(xlabel=f"first principal component ({shares[0]} of the variance)", ylabel=f"second ({shares[1]})")
    axes.set_title(title, fontsize=10, loc="left", color=INK, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    if len(places) > 1:
        picture.legend(axes, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    return picture


def gradient(norms: Mapping[str, Sequence[float]], eigenvalues: Mapping[str, Sequence[complex]]) -> Picture:
    """Gradient norms by lag, logarithmic, each relative to lag 0; eigenvalues beside it, in the unit circle."""
    panels = 1 + bool(eigenvalues)
    picture = Picture(5.6 + 3.6 * (panels - 1), 3.8, columns=panels, width_ratios=[1.5, 1.0][:panels])
    axes = picture.axes[0]
    for (name, curve), colour in zip(norms.items(), _cycled(), strict=False):
        relative = [max(norm, 1e-30) / curve[0] if curve[0] else float("nan") for norm in curve]
        axes.plot(range(len(curve)), relative, color=colour, linewidth=1.7, label=_short(name))
    axes.set_yscale("log")
    low, _ = axes.get_ylim()
    axes.set_ylim(bottom=max(low, 1e-9))
    axes.set(xlabel="lag k (tokens)", ylabel="‖∂ loss$_t$ / ∂ value$_{t-k}$‖, relative to k = 0")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    picture.legend(axes, fontsize=9)
    if eigenvalues:
        circle(picture, eigenvalues)
    return picture


def circle(picture: Picture, eigenvalues: Mapping[str, Sequence[complex]]) -> None:
    """Eigenvalues in the complex plane: within the unit circle a memory fades, outside it grows."""
    axes, turn = picture.axes[1], [2 * pi * n / 200 for n in range(201)]
    axes.plot([cos(a) for a in turn], [sin(a) for a in turn], color=FAINT, linewidth=1)
    for (name, found), colour in zip(eigenvalues.items(), _cycled(), strict=False):
        axes.scatter([v.real for v in found], [v.imag for v in found], s=12, color=colour, label=name, alpha=0.8)
    axes.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    axes.set_title("eigenvalues of the recurrent matrix", fontsize=9, color=INK)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(eigenvalues) > 1:
        picture.legend(axes, fontsize=8)


def _short(name: str) -> str:
    """The end of a long name."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


def _cycled() -> list[str]:
    return [*COLOURS] * 4


Table = tuple[Sequence[Sequence[float]], Sequence[str], Sequence[str]]
"""Weights, with the names of what is down and of what is across."""


def attention(titles: Sequence[str], tables: Sequence[Table]) -> Picture:
    """A map for each head, tokens on both axes: the darker, the more is looked at. Of many the first are drawn."""
    heads = list(zip(titles, tables, strict=True))[:HEADS]
    if not heads:
        return _empty("no part of this model looks")
    high, wide = (max(len(table[side]) for _, table in heads) for side in (1, 2))
    across = min(len(heads), 4)
    down, cell = -(-len(heads) // across), 0.15 if max(wide, high) <= 20 else 0.11
    letters = max(max(map(len, title.splitlines())) for title, _ in heads)
    picture = Picture(
        max(0.075 * letters, 1.3 + cell * wide) * across, max(3.0, (1.3 + cell * high) * down), down, across
    )
    for axes, (title, (weights, read, seen)) in zip(picture.axes, heads, strict=False):
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(len(seen)), seen, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(read)), read, fontsize=7, parse_math=False)
        axes.set_title(title, fontsize=8, color=INK, parse_math=False)
        axes.set_xlabel("looked at", fontsize=8)
        axes.set_ylabel("token that is read", fontsize=8)
        axes.spines[:].set_visible(False)
    for axes in picture.axes[len(heads) :]:
        axes.set_visible(False)
    return picture


def _empty(why: str) -> Picture:
    picture = Picture(4.0, 1.0)
    picture.axes[0].set_axis_off()
    picture.axes[0].text(0.5, 0.5, why, ha="center", va="center", color=INK)
    return picture


def embeddings(tokens: Sequence[str], places: Sequence[Sequence[float]], explained: Sequence[float]) -> Picture:
    """Every token at its place; the most frequent are named, as far as no two names overlap."""
    picture = Picture(7.0, 6.0)
    axes = picture.axes[0]
    axes.scatter([x for x, _ in places], [y for _, y in places], s=7, color=COLOURS[0], alpha=0.6, linewidths=0)
    axes.margins(0.06)
    with drawing():
        picture.figure.draw_without_rendering()
    box, taken = axes.get_window_extent(), list[Sequence[float]]()
    for token, place in zip(tokens, places, strict=True):
        x, y = axes.transData.transform(place)
        wide, high = 5.6 * 1.3 * len(token) + 4, 15.0
        mine = (x + 3, y - high / 2, x + 3 + wide, y + high / 2)
        if mine[2] < box.x1 + 40 and not any(_overlap(mine, other) for other in taken):
            taken.append(mine)
            axes.annotate(
                token, place, (4, 0), textcoords="offset points", va="center", fontsize=8, color=INK, parse_math=False
            )
    shares = [f"{100 * share:.0f} %" for share in explained]
    axes.set(xlabel=f"first principal component ({shares[0]} of the variance)", ylabel=f"second ({shares[1]})")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    return picture


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def neurons(units: Sequence[tuple[str, Sequence[str], Sequence[float], Sequence[float]]]) -> Picture:
    """Each unit (title, tokens, values, feature) over some tokens among which its feature, a shade, comes and goes."""
    if not units:
        return _empty("nothing to ask a unit about varies in this passage")
    wide = min(WIDE, max(sum(map(bool, tokens)) for _, tokens, _, _ in units))
    picture = Picture(max(6.0, 1.5 + 0.125 * wide), 0.4 + 1.45 * len(units), len(units))
    for axes, (title, tokens, values, on) in zip(picture.axes, units, strict=False):
        there = _window([t for t, token in enumerate(tokens) if token], on)
        shade = [abs(on[t]) for t in there]
        most = max(shade) or 1.0
        behind = {"width": 1.0, "color": COLOURS[4], "alpha": 0.35, "transform": axes.get_xaxis_transform()}
        axes.bar(range(len(there)), [v / most for v in shade], **behind)
        axes.plot(range(len(there)), [values[t] for t in there], color=COLOURS[0], linewidth=1.2)
        axes.set_title(title, fontsize=8.5, loc="left", color=INK, parse_math=False)
        shown = [tokens[t] for t in there]
        axes.set_xticks(range(len(there)), shown, fontsize=7, parse_math=False, **_turned(shown))
        axes.tick_params(length=0, labelsize=7)
        axes.margins(x=0.005)
        axes.spines[["top", "right"]].set_visible(False)
    picture.figure.supylabel("value of the unit", fontsize=8)
    picture.figure.supxlabel("token that was read (shaded: where the feature is on, or how large it is)", fontsize=8)
    return picture


def _window(places: Sequence[int], on: Sequence[float]) -> Sequence[int]:
    """Of these places as many in a row as are drawn, from where what is asked for comes and goes most."""
    starts = range(0, max(1, len(places) - WIDE + 1), 8)
    shares = {start: [on[t] > 0 for t in places[start : start + WIDE]] for start in starts}
    best = max(starts, key=lambda start: min(sum(shares[start]), len(shares[start]) - sum(shares[start])))
    return places[best : best + WIDE]


Curve = Sequence[tuple[int, float]]


def losses(curves: Mapping[str, tuple[Curve, Curve]]) -> Picture:
    """Loss by step of several runs: validation as a line with dots, training faintly behind it."""
    picture = Picture(7.5, 4.2)
    axes = picture.axes[0]
    for (name, (trained, judged)), colour in zip(curves.items(), _cycled(), strict=False):
        if trained:
            axes.plot(*zip(*trained, strict=True), color=colour, alpha=0.22, linewidth=0.8)
        if judged:
            best = min(loss for _, loss in judged)
            label = f"{_short(name)} (best {best:.3f})"
            axes.plot(*zip(*judged, strict=True), color=colour, marker="o", markersize=3.5, linewidth=1.7, label=label)
    focus(axes, [loss for trained, judged in curves.values() for _, loss in (*trained, *judged)], 0.98)
    axes.set(xlabel="training step", ylabel="loss (nats per position)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        picture.legend(axes, fontsize=9)
    return picture


def unrolled(lengths: Sequence[int], carried: Sequence[bool]) -> Picture:
    """The unrolled graph of the first batches: a box for a tick, arrows for the state, a cut where gradients stop."""
    picture = Picture(10.5, 2.6)
    axes, across, read = picture.axes[0], 0.0, 0
    for number, (length, over) in enumerate(zip(lengths, carried, strict=True)):
        first, read = across, read if over else 0
        for tick in _ticks(length):
            if tick is None:
                axes.text(across + 0.4, 0.5, "…", ha="center", va="center", fontsize=13, color=INK)
                across += 0.8
                continue
            axes.broken_barh(
                [(across, 0.7)], (0.15, 0.7), facecolors=COLOURS[5], edgecolor=INK, linewidth=0.8, alpha=0.5
            )
            axes.text(across + 0.35, 0.5, "h", ha="center", va="center", fontsize=9, style="italic", color=INK)
            axes.annotate("", (across + 0.35, 0.15), (across + 0.35, -0.35), arrowprops=_arrow(INK))
            axes.annotate("", (across + 0.35, 1.35), (across + 0.35, 0.85), arrowprops=_arrow(INK))
            axes.text(across + 0.35, -0.5, f"x$_{{{read + tick}}}$", ha="center", va="top", fontsize=8, color=INK)
            if tick or (number and over):
                axes.annotate("", (across, 0.5), (across - 0.3, 0.5), arrowprops=_arrow(INK))
            across += 1.0
        read += length
        axes.annotate("", (first, 1.62), (across - 0.3, 1.62), arrowprops=_arrow(COLOURS[1]))
        axes.text(
            (first + across) / 2 - 0.15, 1.72, f"gradient: {length} ticks", ha="center", color=COLOURS[1], fontsize=8
        )
        if number + 1 < len(lengths):
            goes_on = carried[number + 1]
            axes.plot([across - 0.08, across + 0.18], [-0.1, 1.1], color=COLOURS[1], linewidth=2.2)
            said = "detach: the state goes on" if goes_on else "begins anew: an empty state"
            axes.text(across + 0.05, -0.95, said, ha="center", va="top", fontsize=7.5, color=COLOURS[1])
            across += 0.45
    axes.set(xlim=(-0.5, across + 0.3), ylim=(-1.35, 2.1))
    axes.set_axis_off()
    return picture


def _ticks(length: int) -> list[int | None]:
    """The ticks of a batch that are drawn; None stands for those between."""
    return [*range(length)] if length <= 4 else [0, 1, None, length - 1]


def _arrow(colour: str) -> dict[str, Any]:
    return {"arrowstyle": "->", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}


def switches(cases: Sequence[tuple[str, str, Mapping[str, Sequence[float]]]], change: int) -> Picture:
    """For each case what comes in, the memory and what is shown, over how far the three gates are open."""
    picture = Picture(2.75 * len(cases), 4.4, 2, len(cases), sharex=True, height_ratios=[2.4, 1])
    above, below = picture.axes[: len(cases)], picture.axes[len(cases) :]
    gates = ("input", "forget", "output")
    for axes, gated, (name, says, values) in zip(above, below, cases, strict=True):
        ticks = range(len(values["in"]))
        axes.plot(ticks, values["in"], color=FAINT, linewidth=1.2, linestyle="--", label="what comes in")
        axes.plot(ticks, values["memory"], color=COLOURS[1], linewidth=2, marker="o", markersize=3, label="memory c")
        axes.plot(ticks, values["hidden"], color=COLOURS[0], linewidth=1.6, marker="s", markersize=3, label="shown h")
        axes.axvspan(change - 0.5, len(ticks) - 0.5, color=COLOURS[4], alpha=0.14, linewidth=0)
        axes.set_title(name, fontsize=11, color=INK)
        axes.text(0.5, -0.06, says, transform=axes.transAxes, ha="center", va="top", fontsize=7.5, color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        gated.imshow([values[gate] for gate in gates], cmap="Blues", vmin=0, vmax=2, aspect="auto")
        gated.set_yticks(range(3), gates if axes is above[0] else ["", "", ""])
        gated.tick_params(length=0)
        for down, gate in enumerate(gates):
            for tick in (change // 2 - 1, change + change // 2 - 1):
                word = "open" if values[gate][tick] > 0.5 else "shut"
                gated.text(tick + 0.5, down, word, ha="center", va="center", fontsize=8, color=INK)
        gated.set_xlabel("tick")
        gated.spines[:].set_visible(False)
    for axes in above[1:]:
        axes.sharey(above[0])
        axes.tick_params(labelleft=False)
    picture.figure.legend(*above[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    return picture
