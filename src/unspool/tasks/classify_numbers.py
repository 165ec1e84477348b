"""Classification of a few numbers, as with logistic regression."""

from unspool.data.features import Features
from unspool.data.preprocessors.numbers import LabelledNumbers
from unspool.data.splits import Splits
from unspool.schema import Count
from unspool.tasks.classify import LabelTask
from unspool.tasks.task import tasks


@tasks.register("classify-numbers")
class ClassifyNumbers(LabelTask):
    """Classify a few numbers. One to one: each example is a sequence of length one.

    The numbers are standardized by the training records. There is no time axis to learn from,
    so core "window-mlp" with a window of 1, a feed-forward network, suffices; any other core works too.

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits([{"features": {"size": 1.0}, "label": "no"}, {"features": {"size": 3.0}, "label": "yes"}])
    >>> task = build.task({"task": {"kind": "classify-numbers"}}, data)
    >>> task.train_batches()[0].inputs.shape
    torch.Size([2, 1, 1])
    """

    dataset = Features
    preprocessing = LabelledNumbers
    preprocessor: LabelledNumbers

    def __init__(self, splits: Splits, preprocessor: LabelledNumbers, seed: int = 0, batch_size: Count = 32) -> None:
        super().__init__(splits, preprocessor, seed, batch_size, pool=1)
