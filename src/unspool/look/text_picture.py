"""A text with a colour behind each token."""

from collections.abc import Iterator, Sequence
from itertools import islice

from unspool.look.canvas import AROUND_ZERO, Picture, labels

LINES, LETTERS = 30, 96  # of a text that is drawn
NARROWEST = 40  # letters that a line has room for
SOFT = 0.7  # of a colour is left, so that black letters on it can be read

Coloured = tuple[str, float | None]
"""A token and its value."""


def coloured_text(
    rows: Sequence[Sequence[str]], values: Sequence[Sequence[float | None]], label: str, from_zero: bool = False
) -> Picture:
    """The beginning of a text with a colour behind each token; a token without a value has none."""
    lines = list(islice(text_lines(rows, values), LINES))
    wide = max(NARROWEST, *(sum(len(token) for token, _ in line) for line in lines)) if lines else NARROWEST
    most = usual([abs(value) for line in lines for _, value in line if value is not None])
    picture = Picture(0.078 * wide + 1.2, 0.9 + 0.23 * len(lines))
    axes = picture.axes[0]
    colours = picture.colours("YlOrBr" if from_zero else AROUND_ZERO, 0 if from_zero else -most, most)
    bars, known, tokens, places = [], [], [], []
    for down, line in enumerate(lines):
        across = 0
        for token, value in line:
            if value is not None:
                bars.append((across, down - 0.47, len(token), 0.94))
                known.append(value)
            tokens.append(token)
            places.append((across + len(token) / 2, down))
            across += len(token)
    picture.boxes(axes, bars, 1 - SOFT * (1 - colours.to_rgba(known)[:, :3]) if known else [])
    labels(axes, tokens, places, family="monospace")
    axes.set(xlim=(0, wide), ylim=(len(lines) - 0.4, -0.6))
    axes.set_axis_off()
    picture.bar(colours, axes, label)
    return picture


def usual(sizes: Sequence[float]) -> float:
    """What all but a fiftieth stay below, so that a few huge values leave the others their colours.

    >>> usual([1.0] * 99 + [1000.0]), usual([]), usual([0.0])
    (1.0, 1.0, 1.0)
    """
    return (sorted(sizes)[int(0.98 * (len(sizes) - 1))] if sizes else 0.0) or max(sizes, default=0.0) or 1.0


def text_lines(rows: Sequence[Sequence[str]], values: Sequence[Sequence[float | None]]) -> Iterator[list[Coloured]]:
    """Tokens with their values, line by line: a line ends behind a line break, or where it is full."""
    for row, numbers in zip(rows, values, strict=True):
        line: list[Coloured] = []
        length = 0
        for token, value in zip(row, numbers, strict=False):
            if not token:
                continue
            if length + len(token) > LETTERS and line:
                yield line
                line, length = [], 0
            line.append((token, value))
            length += len(token)
            if token.rstrip().endswith("\\n"):
                yield line
                line, length = [], 0
        if line:
            yield line
