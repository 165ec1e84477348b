"""The attention of each head: its weights, its pattern, and the loss without it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from unspool.data.probe import beginning, select_positions
from unspool.errors import DataError
from unspool.look.attention import AttentionMap, attention_maps, loss_without_heads
from unspool.look.canvas import INK, Picture, token_axis
from unspool.look.inspection import Inspection
from unspool.look.lags import windows
from unspool.look.measures import HeadPattern, head_pattern
from unspool.look.panels import Heads, Panel
from unspool.look.record import place_name
from unspool.look.view import View, register_view
from unspool.metrics.alignment import diagonal

SHOWN = 48  # tokens whose attention is shown
ABLATED = 128  # tokens a row, on which the loss without each head is measured
DIAGONAL = 0.7  # a correlation from which on a head counts as monotonic
DRAWN, ABREAST = 16, 4  # heads


@dataclass(frozen=True)
class Layer:
    """The weights (K, T, S) of the heads of one layer: T tokens attend to S tokens."""

    place: str
    name: str
    weights: Tensor
    rows: list[str]  # tokens that attend
    columns: list[str]  # tokens that are attended to
    patterns: list[HeadPattern] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)  # the change of the loss without each head, nats
    diagonality: list[float] = field(default_factory=list)  # of each head that attends to a source

    def notes(self, head: int, cost: bool = True) -> list[str]:
        """What there is to say of a head."""
        pattern = self.patterns[head].summary() if self.patterns else ""
        along = self.diagonality[head] if self.diagonality else 0.0
        monotonic = f"follows the source monotonically (r {along:.2f})" if along >= DIAGONAL else ""
        change = f"without it the loss changes by {self.costs[head]:+.3f} nats" if self.costs and cost else ""
        return [*filter(None, (pattern, monotonic, change))]

    def title(self, head: int) -> str:
        """The name of a head."""
        return f"{self.name}, head {head + 1}"


@register_view("attention")
@dataclass(frozen=True)
class Attention(View):
    """Every head of every attention layer, on the first tokens of the first row."""

    title: ClassVar[str] = "Attention"
    rank: ClassVar[int] = 15
    layers: list[Layer]
    loss: float | None = None  # nats a token of what the ablations are measured on

    @classmethod
    def of(cls, look: Inspection) -> "Attention":
        """Read the weights and ablate each head. Raises: DataError for a model without attention."""
        few = select_positions(look.batch, beginning(look.batch, 1, look.fitting(SHOWN)))
        maps, loss, costs = attention_maps(look.model, few), None, dict[str, list[float]]()
        if not maps:
            raise DataError(f"{look.name} has no attention", hint="ask for another view, as --what hidden,gradient")
        if bool(look.batch.loss_mask.any()):
            many = windows(look.batch, look.fitting(ABLATED) - 1, rows=8)
            loss, costs = loss_without_heads(look.model, many, look.progress)
        read = look.rows.tokens[0][: few.inputs.shape[1]]
        source = [] if few.source is None else look.rows.source[0][: few.source.shape[1]]
        ids = few.inputs[0] if look.model.core.causal and few.inputs.dim() == 2 else None
        return cls([layer(one, read, source, ids, costs.get(one.place, [])) for one in maps], loss)

    def summary(self) -> list[str]:
        """The heads, those without which the loss rises most first."""
        heads = [(one.costs[k] if one.costs else 0.0, one, k) for one in self.layers for k in range(len(one.weights))]
        heads.sort(key=lambda head: -head[0])
        return [f"{one.title(k)}: {', '.join(notes)}" for _, one, k in heads if (notes := one.notes(k))]

    def data(self) -> list[dict[str, Any]]:
        """The weights of every head, and its statistics."""
        return [
            {
                "place": one.place,
                "rows": one.rows,
                "columns": one.columns,
                "weights": [[[round(w, 4) for w in row] for row in head] for head in one.weights.tolist()],
                "patterns": [vars(pattern) for pattern in one.patterns],
                "diagonality": one.diagonality,
                "loss_without": one.costs,
            }
            for one in self.layers
        ]

    def plot(self) -> Picture:
        """A heat map for each of the first heads, tokens on both axes: the darker, the more weight."""
        return plot_heads([(one, head) for one in self.layers for head in range(len(one.weights))][:DRAWN])

    def panels(self) -> list[Panel]:
        """The heads of each layer."""
        return [
            Heads(
                one.name,
                one.rows,
                one.columns,
                one.weights,
                [", ".join(one.notes(head, cost=False)) for head in range(len(one.weights))],
                one.costs,
                self.loss,
            )
            for one in self.layers
        ]


def layer(one: AttentionMap, read: list[str], source: list[str], ids: Tensor | None, costs: list[float]) -> Layer:
    """The heads of one layer, with the names of the tokens, and the patterns of those that read causally."""
    rows = source if one.in_encoder else read
    columns = source if one.attends_to_source or one.in_encoder else read
    weights = one.weights[0].float().cpu()
    own = ids is not None and not (one.in_encoder or one.attends_to_source)
    patterns = [head_pattern(head, ids) for head in weights] if ids is not None and own else []
    along = [diagonal(head) for head in weights] if one.attends_to_source else []
    return Layer(f"{one.place}.weights", place_name(one.place), weights, rows, columns, patterns, costs, along)


def plot_heads(heads: list[tuple[Layer, int]]) -> Picture:
    """A heat map for each head."""
    titles = ["\n".join((one.title(head), *one.notes(head))) for one, head in heads]
    high, wide = (max(len(getattr(one, side)) for one, _ in heads) for side in ("rows", "columns"))
    across = min(len(heads), ABREAST)
    down, cell = -(-len(heads) // across), 0.15 if max(wide, high) <= 20 else 0.11
    letters = max(len(line) for title in titles for line in title.splitlines())
    size = max(0.075 * letters, 1.3 + cell * wide) * across, max(3.0, (1.3 + cell * high) * down)
    picture = Picture(*size, down, across)
    for axes, title, (one, head) in zip(picture.axes, titles, heads, strict=False):
        axes.imshow(one.weights[head].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        token_axis(axes, "x", one.columns, "attended to")
        token_axis(axes, "y", one.rows, "token that attends")
        axes.set_title(title, fontsize=8, color=INK, parse_math=False)
        axes.spines[:].set_visible(False)
    for axes in picture.axes[len(heads) :]:
        axes.set_visible(False)
    return picture
