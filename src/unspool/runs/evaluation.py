"""What a trained model is worth: its task's exams, and what it does by itself."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from unspool.batch import Batch, Batches
from unspool.generate.beam import answers
from unspool.generate.rollout import Roller
from unspool.generate.sampling import Sampling
from unspool.generate.whole import whole
from unspool.look.attention import looks
from unspool.models.sequence import SequenceModel
from unspool.tasks.drawings import Drawing
from unspool.tasks.task import Figures, Form, Marks, Task, Writer
from unspool.train.evaluate import evaluate

LONGEST = 2000
"""How many tokens a whole piece may have, where nobody says."""


class Examinee:
    """A trained model in an examination: a `tasks.task.Trained`."""

    def __init__(self, model: SequenceModel, device: str = "cpu") -> None:
        self.model, self.device = model, device
        self.write: Writer = partial(answers, model)
        self.roll = Roller(model)

    def score(self, batches: Batches, mark: Callable[[Tensor, Batch], Marks]) -> dict[str, float]:
        """The means of all marks over one epoch of batches."""
        return evaluate(self.model, batches, self.device, mark=mark).marks

    def compose(self, form: Form, count: int, temperature: float) -> list[list[int]]:
        """The ids of so many whole pieces, the same ones each time."""
        made = whole(self.model, form, count, LONGEST, Sampling(temperature=temperature), seed=0)
        return [piece.ids for piece in made]

    def looks(self, batch: Batch) -> list[Tensor]:
        """Where each look at the source went, one (B, K, T, S) for each part that looks: rows sum to 1."""
        return looks(self.model, batch.to(self.device))


def judged(model: SequenceModel, task: Task, split: str, device: str) -> tuple[dict[str, Figures], dict[str, Drawing]]:
    """What a model is worth on a split by the way of judging, and what is to be drawn by the name of its file."""
    found: dict[str, Figures] = {}
    drawn: dict[str, Drawing] = {}
    for way, batches in task.exams(split).items():
        score = evaluate(model, batches, device, mark=task.mark)
        found[way] = {**task.figures(split, score.loss, score.marks)}
        drawn |= task.confusions(score.marks)
    figures, seen = task.finals(split, Examinee(model, device))
    return found | figures, drawn | seen


def by_name(split: str, found: Mapping[str, Figures]) -> dict[str, float]:
    """What `judged` found on a split, as results.json and [expect] call it; words are left out.

    >>> by_name("test", {"all": {"accuracy": 0.5, "how": "smoothed"}})
    {'test_all_accuracy': 0.5}
    """
    figures = {f"{split}_{way}_{name}": value for way, named in found.items() for name, value in named.items()}
    return {name: value for name, value in figures.items() if not isinstance(value, str)}
