"""Examples of what a trained model generates on a split of its data, beside what is right, and how each is graded."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from typing import Any

from unspool.data.predictions import Prediction, Text
from unspool.errors import ConfigError
from unspool.metrics.metric import GenerationSet
from unspool.metrics.text import nearest
from unspool.pipelines.pipeline import Predictor
from unspool.runs.run import Run, load_task

ENOUGH = 1000
"""So many records of a split are generated and graded at most."""


@dataclass(frozen=True)
class Example:
    """One generated text.

    Args:
        name: of its record; "" where it has none.
        generated: the text.
        right: the right text that shares the most words with it.
        grade: how good it is, in words; "" where no metric of the task has grades.
    """

    name: str
    generated: str
    right: str
    grade: str


@dataclass(frozen=True)
class Examples:
    """Some generated texts, and how many of all have each grade.

    >>> found = Examples(9, {"no errors": 8, "unrelated": 1}, [Example("", "a ring", "a cross", "unrelated")])
    >>> found.summary()
    '9 texts, no errors 8, unrelated 1'
    >>> print("\\n".join(found.lines()))
    unrelated         a ring
                      right: a cross
    """

    number: int
    grades: Mapping[str, int]
    shown: Sequence[Example]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)

    def summary(self) -> str:
        """How many there are of each grade."""
        return ", ".join([f"{self.number:,} texts", *(f"{name} {count:,}" for name, count in self.grades.items())])

    def lines(self) -> list[str]:
        """The examples for people: grade, text and name, and under a text that is not right what would be."""
        found = []
        for one in self.shown:
            named = f"  [{one.name}]" if one.name else ""
            found.append(f"{one.grade:<18}" * bool(self.grades) + one.generated + named)
            if one.generated != one.right:
                found.append(" " * 18 * bool(self.grades) + f"right: {one.right}")
        return found


def examples_of(run: Run, split: str, count: int) -> dict[str, Examples]:
    """So many generated texts for each generation set of a split: of every grade as many, as far as there are any.

    Args:
        run: a trained model.
        split: train, valid or test.
        count: how many to show.

    Raises:
        ConfigError: where the task does not generate texts from records.
    """
    found = {}
    for name, generated in load_task(run).generation_sets(split).items():
        pipeline = run.pipeline(**generated.options)
        if isinstance(pipeline, Predictor) and generated.records and "number" not in generated.records[0]:
            found[name] = graded(pipeline, generated, count)
    if not found:
        raise ConfigError(f"{run.name} generates no texts on its {split} split", hint="leave --examples out")
    return found


def graded(pipeline: Predictor, generated: GenerationSet, count: int) -> Examples:
    """So many examples of a generation set, the best grade first, and how many texts have each grade."""
    records = generated.records[:ENOUGH]
    metric = next((one for one in (make() for make in generated.metrics) if one.grades), None)
    every: list[Example] = []
    for record, prediction in zip(records, pipeline.predict(records, generated.batch_size), strict=True):
        text = text_of(prediction)
        grade = metric.grade(prediction, record) if metric else ""
        every.append(Example(str(record.get("name", "")), text, nearest(text, right_texts(record)), grade))
    names = metric.grades if metric else ("",)
    by_grade = {name: [one for one in every if one.grade == name] for name in names}
    turns = chain.from_iterable(zip_longest(*by_grade.values()))  # one of each grade, then another of each, ...
    chosen = [one for one in turns if one is not None][:count]
    chosen.sort(key=lambda one: names.index(one.grade))
    return Examples(len(every), {name: len(ones) for name, ones in by_grade.items() if name}, chosen)


def text_of(prediction: Prediction) -> str:
    """A generated text; what went wrong where there is none."""
    return prediction.text if isinstance(prediction, Text) else str(getattr(prediction, "error", prediction))


def right_texts(record: Mapping[str, Any]) -> list[str]:
    """The right texts of a record.

    >>> right_texts({"captions": ["a ring", "one ring"]}), right_texts({"target": "25"})
    (['a ring', 'one ring'], ['25'])
    """
    found = record.get("captions") or record.get("target") or record.get("text") or ""
    return [found] if isinstance(found, str) else list(found)
