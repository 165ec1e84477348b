"""Vectors of phrases: which ones lie together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from unspool.errors import DataError
from unspool.look.canvas import COLOURS, CYCLE, FAINT, Picture, labels, plain
from unspool.look.inspection import Inspection
from unspool.look.measures import principal_components
from unspool.look.panels import Panel, Scatter, Table
from unspool.look.phrases import (
    Phrase,
    Pooling,
    Precision,
    nearest,
    phrase_vectors,
    precision_at,
    read_phrases,
    tokenizer_of,
)
from unspool.look.view import View, register_view
from unspool.schema import Count

NAMED = 5  # phrases or words that a sentence names
LEGEND = len(COLOURS)  # groups that colours tell apart
LETTER = 0.011  # of the width of the picture
WIDEST = 40  # letters for which there is room
UNKNOWN = "<unk>"


@register_view("phrases")
@dataclass(frozen=True)
class Phrases(View):
    """Phrases in the plane of the first two principal components of their vectors, and their neighbours by cosine.

    A phrase's vector is the mean of an encoder's outputs, or the output of a language model after its last token;
    `pooling` has it otherwise (`unspool.look.phrases.phrase_vectors`).
    """

    title: ClassVar[str] = "Phrases"
    rank: ClassVar[int] = 86
    asked: ClassVar[bool] = True
    phrases: list[Phrase]
    vectors: str  # what they are, in words
    unknown: list[str]
    coordinates: list[list[float]]
    explained: list[float]  # share of the variance of each component
    neighbours: list[list[tuple[str, float]]]  # of each phrase, the nearest first, with their cosines
    precision: dict[str, Precision]  # by group, and in "all"

    @classmethod
    def of(
        cls,
        look: Inspection,
        phrases: Sequence[str] = (),
        file: str | Path = "",
        count: Count = 5,
        pooling: Pooling = "",
    ) -> "Phrases":
        """Read phrases.

        Args:
            look: an inspection.
            phrases: texts, or "group<TAB>text".
            file: of phrases, one a line.
            count: how many neighbours.
            pooling: "mean" or "final"; "": the mean of an encoder's outputs, the final output of a language model.

        Raises:
            DataError: without phrases, for a malformed file, and for a model that can read none.
        """
        given = [Phrase(text, group) for group, _, text in (one.rpartition("\t") for one in phrases)]
        given += read_phrases(file) if file else []
        if not given:
            raise DataError("there are no phrases to read", hint="--phrases FILE, one phrase a line")
        tokenizer = tokenizer_of(look.model, look.preprocessor)
        texts, groups = [one.text for one in given], [one.group for one in given]
        vectors = phrase_vectors(look.model, look.preprocessor, texts, pooling)
        plane = principal_components(vectors)
        near = [
            [(texts[at], round(cosine, 4)) for cosine, at in zip(*row, strict=True)]
            for row in zip(*(part.tolist() for part in nearest(vectors, count)), strict=True)
        ]
        prepare = getattr(look.preprocessor, "prepare", str)
        unknown = dict.fromkeys(word for text in texts for word in tokenizer.unknown(prepare(text)) if word != UNKNOWN)
        what = says(look, pooling)
        return cls(
            given,
            what,
            list(unknown),
            plane.coordinates.tolist(),
            plane.explained.tolist(),
            near,
            precision_at(vectors, groups, count),
        )

    def summary(self) -> list[str]:
        """Precision beside chance, what the vectors are, and words that the model does not know."""
        found = [f"phrases: {one}" for one in self.precision_sentences()]
        share = 100 * sum(self.explained)
        found.append(f"phrases: a vector is {self.vectors}; the plane has {share:.0f} % of their variance")
        if self.unknown:
            more = f" and {len(self.unknown) - NAMED} more" if len(self.unknown) > NAMED else ""
            found.append(f"phrases: the model does not know {', '.join(map(repr, self.unknown[:NAMED]))}{more}")
        return found

    def precision_sentences(self) -> list[str]:
        """The precision over all groups."""
        if "all" not in self.precision:
            return []
        one = self.precision["all"]
        most = f", at most {one.limit:.2f}" if one.limit < 1 else ""
        kinds, near = len(self.precision) - 1, f"{one.k} nearest phrases" if one.k > 1 else "nearest phrases"
        return [
            f"{one.value:.2f} of the {near} are of the same group "
            f"(by chance {one.chance:.2f}{most}; {one.phrases} phrases in {kinds} groups)"
        ]

    def data(self) -> dict[str, Any]:
        """Precision by group, coordinates and neighbours of each phrase."""
        every = zip(self.phrases, self.coordinates, self.neighbours, strict=True)
        return {
            "vectors": self.vectors,
            "unknown": self.unknown,
            "explained": self.explained,
            "precision": {group: asdict(one) for group, one in self.precision.items()},
            "phrases": [{**asdict(one), "coordinates": xy, "neighbours": near} for one, xy, near in every],
        }

    def plot(self) -> Picture:
        """Every phrase as a point with its name, as many as do not overlap, coloured by its group."""
        groups = list(dict.fromkeys(one.group for one in self.phrases if one.group))
        colours = dict(zip(groups, CYCLE * (1 + len(groups) // len(CYCLE)), strict=False))
        picture = Picture(8.0, 7.0)
        axes = picture.axes[0]
        for group in [*groups, ""]:
            some = [xy for one, xy in zip(self.phrases, self.coordinates, strict=True) if one.group == group]
            x, y = [point[0] for point in some], [point[1] for point in some]
            axes.scatter(x, y, s=16, color=colours.get(group, FAINT), linewidths=0, label=group or None)
        names = [one.text for one in self.phrases]
        labels(axes, names, self.coordinates, size=8, align="left", offset=(4, 0), sparse=True)
        axes.margins(0.1)
        low, high = axes.get_xlim()
        axes.set_xlim(low, high + LETTER * min(WIDEST, max(map(len, names))) * (high - low))  # room for the names
        shares = [f"{100 * share:.0f} %" for share in self.explained]
        axes.set(xlabel=f"first principal component ({shares[0]} of the variance)", ylabel=f"second ({shares[1]})")
        plain(axes)
        if 1 < len(groups) <= LEGEND:
            picture.legend(axes, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=6)
        return picture

    def panels(self) -> list[Panel]:
        """Precision by group, the plane, and the nearest neighbours."""
        found: list[Panel] = []
        if self.precision:
            rows = [
                [group, str(one.phrases), f"{one.value:.2f}", f"{one.chance:.2f}", f"{one.limit:.2f}"]
                for group, one in self.precision.items()
            ]
            k = self.precision["all"].k
            found.append(Table(["group", "phrases", f"precision at {k}", "chance", "at most"], rows, numbers=4))
        near = [
            [one.text, ", ".join(f"{text} {cosine:.2f}" for text, cosine in some)]
            for one, some in zip(self.phrases, self.neighbours, strict=True)
        ]
        names = [one.text for one in self.phrases]
        plane = Scatter(
            names,
            self.coordinates,
            "first principal component",
            "second",
            dict(zip(names, self.neighbours, strict=True)),
        )
        return [*found, plane, Table(["phrase", "nearest, with cosines"], near)]


def says(look: Inspection, pooling: Pooling) -> str:
    """What the vectors of phrases are."""
    if look.model.encoder is None:
        what = "the mean of the core's outputs" if pooling == "mean" else "the core's output after the last token"
        return f"{what}, read from an empty state"
    return "the encoder's final output" if pooling == "final" else "the mean of the encoder's outputs"
