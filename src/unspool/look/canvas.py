"""Figures: the only file that imports matplotlib."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from unspool.data.tokenizer import printable
from unspool.files import write_bytes

INK, FAINT = "#333333", "#9a9a9a"
RGB = 0.2, 0.2, 0.2
"""The ink."""
COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333"
"""Of Okabe & Ito 2008: distinguishable with any colour vision."""
CYCLE = COLOURS * 4
AROUND_ZERO = "RdBu_r"
"""Blue below, red above."""
FROM_ZERO = "viridis"
NAME = 40  # characters of a name in a legend
REMEDY = "choose another --out DIR"
PNG = {"compress_level": 2}
"""40 % faster than the default level, for files that are 5 to 20 % larger."""


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
        """Add a colour bar beside some panels."""
        bar = self.figure.colorbar(
            drawn, ax=axes, label=label, fraction=0.03, pad=0.01, aspect=25, shrink=0.6, anchor=(0.0, 1.0)
        )
        bar.outline.set_visible(False)

    def colours(self, name: str, low: int | float, high: int | float) -> Any:
        """A colour map between two values: `to_rgba(value)` gives colours, and a colour bar takes it."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        return ScalarMappable(Normalize(low, high), name)

    def boxes(self, axes: Any, boxes: Sequence[Sequence[int | float]], colours: Any, **options: Any) -> None:
        """Fill many rectangles (left, bottom, width, height) as one artist."""
        from matplotlib.collections import PolyCollection

        corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in boxes]
        some = PolyCollection(corners, facecolors=colours, linewidths=0, zorder=0, **options)
        axes.add_collection(some, autolim=False)

    def legend(self, axes: Any, **options: Any) -> None:
        """Add a legend whose names are plain text: a dollar sign begins no formula."""
        for text in axes.legend(frameon=False, **options).get_texts():
            text.set_parse_math(False)

    def save(self, path: str | Path) -> Path:
        """Write the file atomically, in the format of its extension. Returns: the path."""
        path = Path(path)
        write_bytes(path, self._bytes(path.suffix[1:] or "png"), REMEDY)
        return path

    def _repr_png_(self) -> bytes:
        return self._bytes("png")

    def lay_out(self) -> None:
        """Compute the layout once; otherwise matplotlib draws everything twice to save it."""
        engine = self.figure.get_layout_engine()
        if engine is not None:
            engine.execute(self.figure)
            self.figure.set_layout_engine(None)

    def _bytes(self, kind: str) -> bytes:
        file = BytesIO()
        with without_glyph_warnings():
            self.lay_out()
            options: dict[str, Any] = {"pil_kwargs": PNG} if kind == "png" else {}
            self.figure.savefig(file, format=kind, **options)
        return file.getvalue()


def labels(axes: Any, texts: Sequence[str], places: Sequence[Sequence[int | float]], **options: Any) -> Any:
    """Draw many short texts at (x, y) as one artist, which is many times faster than a matplotlib `Text` for each.

    Args:
        axes: where they are drawn.
        texts: plain text.
        places: (x, y) of each text, in the data coordinates of the axes, or in those of the option `transform`.
        options: `size` in points; `family` of the font; `align` "center", "left" or "right"; `valign` "center",
            or "top" for texts below their places; `turned` by 90 degrees; `offset` (x, y) in points; `sparse`: leave
            out what would overlap an earlier text; `in_layout`: make room for them outside of the axes.

    Returns:
        The artist: `texts` and `places` are what it was given, line breaks and the like spelled out, `shown`
        the texts for which there was room.
    """
    artist = _labels_class()([printable(text) for text in texts], places, **{"transform": axes.transData, **options})
    axes.add_artist(artist)
    return artist


def token_axis(axes: Any, side: str, tokens: Sequence[str], name: str, size: int | float = 7) -> None:
    """Label the positions 0, 1, ... of the x or y axis with tokens, and name the axis."""
    axis, line = (axes.xaxis, axes.get_xaxis_transform()) if side == "x" else (axes.yaxis, axes.get_yaxis_transform())
    longest = max(map(len, tokens), default=0)
    turned = side == "x" and longest > 2
    style = {"size": size, "transform": line, "turned": turned, "in_layout": True}
    if side == "x":
        align = "right" if turned else "center"
        places = [(at, 0.0) for at in range(len(tokens))]
        labels(axes, tokens, places, offset=(0, -3), valign="center" if turned else "top", align=align, **style)
    else:
        labels(axes, tokens, [(0.0, at) for at in range(len(tokens))], offset=(-3, 0), align="right", **style)
    axis.set_ticks([])
    axis.set_label_text(name)
    axis.labelpad = 6 + size * (1.2 if side == "x" and not turned else 0.62 * longest)


class _Labels:
    """What `labels` draws; `_labels_class` makes a matplotlib artist of it."""

    set: Any
    get_transform: Any

    def __init__(
        self,
        texts: Sequence[str],
        places: Sequence[Sequence[int | float]],
        transform: Any,
        size: int | float = 8,
        family: str = "sans-serif",
        align: str = "center",
        valign: str = "center",
        turned: bool = False,
        offset: tuple[int | float, int | float] = (0, 0),
        sparse: bool = False,
        in_layout: bool = False,
    ) -> None:
        from matplotlib.font_manager import FontProperties

        super().__init__()
        self.texts, self.places, self.shown = list(texts), [tuple(place) for place in places], list[str]()
        self.font = FontProperties(family=family, size=size)
        self.share = {"left": 0.0, "center": 0.5, "right": 1.0}[align]
        self.valign, self.turned, self.offset, self.sparse = valign, turned, offset, sparse
        self.set(transform=transform, in_layout=in_layout, clip_on=False, zorder=3)

    def boxes(self, renderer: Any) -> Iterator[tuple[str, tuple[Any, ...], tuple[Any, Any]]]:
        """Each text with its box (left, bottom, right, top) and the start of its baseline, in pixels."""
        _, high, below = renderer.get_text_width_height_descent("lp", self.font, False)  # of every line
        width = cache(lambda text: renderer.get_text_width_height_descent(text, self.font, False)[0])
        dx, dy = map(renderer.points_to_pixels, self.offset)
        for text, (x, y) in zip(self.texts, self.get_transform().transform(self.places), strict=True):
            back, down = self.share * width(text), high if self.valign == "top" else high / 2
            if self.turned:
                left, bottom = x + dx - high / 2, y + dy - back
                box = left, bottom, left + high, bottom + width(text)
                yield text, box, (box[2] - below, bottom)
            else:
                left, bottom = x + dx - back, y + dy - down
                yield text, (left, bottom, left + width(text), bottom + high), (left, bottom + below)

    def get_tightbbox(self, renderer: Any = None) -> Any:
        """The box that the layout leaves room for."""
        from matplotlib.transforms import Bbox

        boxes = [box for _, box, _ in self.boxes(renderer)] if self.texts else []
        return Bbox.union([Bbox.from_extents(*box) for box in boxes]) if boxes else None

    def draw(self, renderer: Any) -> None:
        """Draw every distinct text once, as a marker at all of its places."""
        from matplotlib.path import Path as Outline
        from matplotlib.textpath import TextPath
        from matplotlib.transforms import Affine2D, IdentityTransform

        self.shown, taken, starts = [], list[tuple[Any, ...]](), dict[str, list[tuple[Any, Any]]]()
        for text, box, start in self.boxes(renderer) if self.texts else ():
            if self.sparse and any(_overlap(box, other) for other in taken):
                continue
            taken.append(box)
            self.shown.append(text)
            if text.strip():
                starts.setdefault(text, []).append(start)
        context = renderer.new_gc()
        context.set_linewidth(0)
        context.set_snap(False)  # an underscore is thinner than a pixel
        pixels = Affine2D().scale(renderer.points_to_pixels(1.0)).rotate_deg(90 if self.turned else 0)
        for text, some in starts.items():
            outline = TextPath((0, 0), text, prop=self.font)
            renderer.draw_markers(context, outline, pixels, Outline(some), IdentityTransform(), RGB)
        context.restore()


@cache
def _labels_class() -> Any:
    """The artist of `labels`, made when matplotlib is imported."""
    from matplotlib.artist import Artist

    return type("Labels", (_Labels, Artist), {})


def _overlap(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two boxes (left, bottom, right, top) have a point in common."""
    return bool(one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3])


def plain(axes: Any, title: str = "") -> None:
    """Style a plot of curves: a faint grid, no frame above and to the right, a title on the left."""
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if title:
        axes.set_title(title, fontsize=10, loc="left", color=INK, parse_math=False)


def focus(axes: Any, values: Sequence[int | float], share: float) -> None:
    """Scale the y axis to all but the highest values: the losses of the first steps are as high as chance."""
    if values:
        low, high = min(values), sorted(values)[int(share * (len(values) - 1))]
        axes.set_ylim(low - 0.05 * (high - low) - 1e-3, high + 0.05 * (high - low) + 1e-3)


def short_name(name: str) -> str:
    """A name, of which a long one is cut at the front to fit into a legend."""
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Draw characters that the font lacks as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
