"""Paper to draw on: the only file that imports matplotlib."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from unspool.files import write_bytes

INK, FAINT = "#333333", "#9a9a9a"
COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"
"""Okabe & Ito 2008: told apart by every eye."""
AROUND_ZERO = "RdBu_r"
"""Blue below, red above."""
FROM_ZERO = "viridis"
REMEDY = "choose another --out DIR"


class Picture:
    """A figure with its panels: `save` it as .png or .svg; a notebook shows it by itself.

    >>> picture = Picture(3.0, 2.0)
    >>> len(picture.axes[0].plot([1, 2], [3, 4]))
    1
    """

    def __init__(
        self,
        width: float,  # inches
        height: float,
        rows: int = 1,
        columns: int = 1,
        title: str = "",
        **options: Any,
    ) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
        self.axes = self.figure.subplots(rows, columns, squeeze=False, **options).flatten()
        if title:
            self.figure.suptitle(title, fontsize=11, color=INK, parse_math=False)

    def bar(self, drawn: Any, axes: Any, label: str) -> None:
        """A legend for colours beside some panels."""
        bar = self.figure.colorbar(
            drawn, ax=axes, label=label, fraction=0.03, pad=0.01, aspect=25, shrink=0.6, anchor=(0.0, 1.0)
        )
        bar.outline.set_visible(False)

    def legend(self, axes: Any, **options: Any) -> None:
        """Names of lines, as they are: a dollar is a dollar."""
        for text in axes.legend(frameon=False, **options).get_texts():
            text.set_parse_math(False)

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all, of the kind that its ending says; the path comes back."""
        path = Path(path)
        write_bytes(path, self._bytes(path.suffix[1:] or "png"), REMEDY)
        return path

    def _repr_png_(self) -> bytes:
        return self._bytes("png")

    def _bytes(self, kind: str) -> bytes:
        drawn = BytesIO()
        with drawing():
            self.figure.savefig(drawn, format=kind)
        return drawn.getvalue()


def focus(axes: Any, values: Sequence[float], share: float) -> None:
    """Leave out the highest losses: the first steps are as high as chance and say little."""
    if values:
        low, high = min(values), sorted(values)[int(share * (len(values) - 1))]
        axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)


@contextmanager
def drawing() -> Iterator[None]:
    """Letters that the font lacks are boxes, and nobody is warned."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
