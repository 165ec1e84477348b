"""The embeddings of tokens: which ones are alike."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from unspool.data.probe import everywhere
from unspool.errors import DataError
from unspool.look.canvas import COLOURS, Picture, labels, plain
from unspool.look.inspection import Inspection
from unspool.look.measures import neighbours, principal_components
from unspool.look.panels import Panel, Scatter
from unspool.look.view import View, register_view

NAMED = 400  # tokens
PAIRS = 3  # that are named in sentences


@register_view("embeddings")
@dataclass(frozen=True)
class Embeddings(View):
    """Tokens in the plane of the first two principal components of their embeddings, and their neighbours."""

    title: ClassVar[str] = "Embeddings"
    rank: ClassVar[int] = 80
    tokens: list[str]
    coordinates: list[list[float]]
    explained: list[float]  # share of the variance of each component
    neighbours: list[list[tuple[str, float]]]  # of each token, the nearest first, with their cosines

    @classmethod
    def of(cls, look: Inspection) -> "Embeddings":
        """The embeddings of the tokens that were read, the most frequent first.

        Raises:
            DataError: for a model that does not read tokens.
        """
        table = getattr(look.model.embedding, "weight", None)
        if table is None or look.vocabulary is None or not isinstance(look.model.embedding, nn.Embedding):
            raise DataError("this model does not read tokens with embeddings", hint="--what hidden,gradient")
        ids, counts = look.batch.inputs[everywhere(look.batch.inputs, look.batch.mask)].unique(return_counts=True)
        chosen = ids[counts.argsort(descending=True, stable=True)][:NAMED]
        points, names = table.detach().float().cpu(), look.vocabulary(range(len(table)))
        projection = principal_components(points[chosen])
        near = [[(names[id], round(cosine, 4)) for id, cosine in some] for some in neighbours(points, chosen)]
        tokens = [names[id] for id in chosen.tolist()]
        return cls(tokens, projection.coordinates.tolist(), projection.explained.tolist(), near)

    def summary(self) -> list[str]:
        """The closest pairs, and the share of the variance in the plane."""
        pairs: dict[frozenset[str], str] = {}
        every = zip(self.tokens, self.neighbours, strict=True)
        for cosine, one, other in sorted(
            ((near[0][1], token, near[0][0]) for token, near in every if near), reverse=True
        ):
            pairs.setdefault(
                frozenset((one, other)), f"embeddings: '{one}' is closest to '{other}' (cosine {cosine:.2f})"
            )
        share = 100 * sum(self.explained)
        plane = f"embeddings: the first two principal components explain {share:.0f} % of the variance"
        return [*list(pairs.values())[:PAIRS], plane]

    def data(self) -> dict[str, Any]:
        """Coordinates, shares of the variance and neighbours."""
        return vars(self)

    def axis_names(self) -> tuple[str, str]:
        """The components with their shares of the variance."""
        shares = [f"{100 * share:.0f} %" for share in self.explained]
        return f"first principal component ({shares[0]} of the variance)", f"second ({shares[1]})"

    def plot(self) -> Picture:
        """Every token as a point; the most frequent have names, as many as do not overlap."""
        picture = Picture(7.0, 6.0)
        axes = picture.axes[0]
        x, y = ([point[side] for point in self.coordinates] for side in range(2))
        axes.scatter(x, y, s=7, color=COLOURS[0], alpha=0.6, linewidths=0)
        axes.margins(0.06)
        labels(axes, self.tokens, self.coordinates, align="left", offset=(4, 0), sparse=True)
        names = self.axis_names()
        axes.set(xlabel=names[0], ylabel=names[1])
        plain(axes)
        return picture

    def panels(self) -> list[Panel]:
        """The plane."""
        near = dict(zip(self.tokens, self.neighbours, strict=True))
        return [Scatter(self.tokens, self.coordinates, *self.axis_names(), near)]
