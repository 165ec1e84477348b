"""Metrics of captions of drawn scenes: which of their attributes are right."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from unspool.data.synthetic.scenes import COLOURS, SHAPES
from unspool.metrics.metric import Metric
from unspool.metrics.text import Reference, words_of

Grade = Literal["no errors", "minor errors", "somewhat related", "unrelated"]
GRADES: tuple[Grade, ...] = ("no errors", "minor errors", "somewhat related", "unrelated")
"""The grades that people gave the captions of Vinyals et al. 2015 (arXiv:1411.4555, figure 5), as in the lecture."""
FAMILIES: Mapping[str, Sequence[str]] = {
    "colours": tuple(COLOURS),
    "shapes": SHAPES,
    "sizes": ("small", "large"),
    "relations": ("left", "right", "above", "below"),
}
"""The words of a caption that can be right or wrong, by what they tell."""
CaptionAttributes = dict[str, list[str]]
"""What a caption says: a colour, a shape and a size for each thing, and a relation for each but the first."""


def parse_caption(caption: str) -> CaptionAttributes:
    """What a caption says, whatever else is in it: a thing ends with its shape.

    >>> parse_caption("a small red ring left of a large blue square")["sizes"]
    ['small', 'large']
    """
    found: CaptionAttributes = {family: [] for family in FAMILIES}
    now: dict[str, str] = {}
    for word in caption.split():
        family = next((name for name, words in FAMILIES.items() if word in words), "")
        if family:
            now[family] = word
        if family == "shapes":
            for name in ("colours", "shapes", "sizes"):
                found[name].append(now.get(name, ""))
            found["relations"] += [now.get("relations", "")] if len(found["shapes"]) > 1 else []
            now = {}
    return found


def attribute_counts(caption: str, right: Sequence[str]) -> dict[str, tuple[int, int]]:
    """How many attributes of each family are right, and of how many, beside the right caption that is nearest.

    A missing attribute is wrong, and so is an extra one.

    >>> attribute_counts("a red ring", ["a small red circle"])
    {'colours': (1, 1), 'shapes': (0, 1), 'sizes': (0, 1), 'relations': (0, 0)}
    """
    ours = parse_caption(caption)
    found = [
        {family: _alike(ours[family], theirs[family]) for family in FAMILIES} for theirs in map(parse_caption, right)
    ]
    return max(found, key=lambda counts: sum(good - of for good, of in counts.values()))


def _alike(ours: Sequence[str], theirs: Sequence[str]) -> tuple[int, int]:
    return sum(a == b for a, b in zip(ours, theirs, strict=False)), max(len(ours), len(theirs))


def grade(caption: str, right: Sequence[str]) -> Grade:
    """No errors where it is one of the right captions; minor, one wrong attribute; related, half of them are right.

    >>> grade("a red ring", ["a red circle"]), grade("a blue ring", ["a red circle"])
    ('minor errors', 'unrelated')
    """
    if caption in right:
        return "no errors"
    counts = attribute_counts(caption, right).values()
    good, every = (sum(column) for column in zip(*counts, strict=True))
    if every - good <= 1:
        return "minor errors"
    return "somewhat related" if 2 * good >= every else "unrelated"


def attributes(generated: Sequence[str], right: Sequence[Sequence[str]]) -> dict[str, float]:
    """The share of attributes that are right, in all and by family, and of captions with each grade.

    >>> attributes(["a large red ring"], [["a small red ring"]])["attributes"]
    0.6666666666666666
    """
    every = [attribute_counts(caption, wanted) for caption, wanted in zip(generated, right, strict=True)]
    found: dict[str, float] = {}
    good, total = 0, 0
    for family in FAMILIES:
        here, of = (sum(counts[family][index] for counts in every) for index in (0, 1))
        good, total = good + here, total + of
        if of:
            found[family] = here / of
    grades = [grade(caption, wanted) for caption, wanted in zip(generated, right, strict=True)]
    shares = {name.replace(" ", "_"): grades.count(name) / max(1, len(grades)) for name in GRADES}
    return {"attributes": good / max(1, total), **found, **shares}


class SceneAttributes(Metric):
    """The shares of colours, shapes, sizes and relations that are right in captions of drawn scenes, and of each grade.

    Args:
        references: the words of each right caption of a record.

    >>> from unspool.data.predictions import Text
    >>> metric = SceneAttributes(lambda record: [record["target"].split()])
    >>> metric.update(Text("a red ring", ["a", "red", "ring"], -1.0), {"target": "a red circle"})
    >>> metric.compute()["colours"], metric.compute()["shapes"]
    (1.0, 0.0)
    """

    grades = GRADES

    def __init__(self, references: Reference) -> None:
        self.references = references
        self.generated: list[str] = []
        self.right: list[list[str]] = []

    def update(self, output: Any, reference: Any) -> None:
        """Count one caption."""
        self.generated.append(" ".join(words_of(output)))
        self.right.append([" ".join(words) for words in self.references(reference)])

    def compute(self) -> dict[str, float]:
        """The shares, in all as `attributes`."""
        return attributes(self.generated, self.right)

    def grade(self, output: Any, reference: Any) -> Grade:
        """The grade of one caption."""
        return grade(" ".join(words_of(output)), [" ".join(words) for words in self.references(reference)])
