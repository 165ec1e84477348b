"""Text regression."""

from functools import partial

from torch import Tensor

from unspool.batch import Batch
from unspool.data.labelled import Labelled
from unspool.data.preprocessors.text import ValuedText
from unspool.metrics.metric import EvalSet, Unit
from unspool.metrics.values import MeanAbsoluteError
from unspool.pipelines.regression import Regression
from unspool.tasks.sequence import RowTask, evaluation_pool, text_features_of
from unspool.tasks.task import tasks


@tasks.register("regress")
class Regress(RowTask):
    """Predict a number from a text: the label is a number, predicted at the end of the text.

    It is learned in standard deviations from the mean of the training numbers; the mean absolute error is in the
    numbers' own unit.

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits([{"text": "a fine film", "label": "4.5"}, {"text": "a dull film", "label": "1.5"}])
    >>> task = build.task({"task": {"kind": "regress"}}, data)
    >>> batch = task.train_batches()[0]
    >>> sorted(batch.targets[batch.loss_mask].flatten().tolist())
    [-1.0, 1.0]
    """

    dataset = Labelled
    preprocessing = ValuedText
    pipeline = Regression
    unit = Unit("value")
    causal = False
    preprocessor: ValuedText

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every row of the split once."""
        if split not in self.rows:
            return {}
        error = partial(MeanAbsoluteError, self.preprocessor.scale)
        return {"all": EvalSet(self.batches(split, evaluation_pool(self.pool)), [error])}

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far, and its number."""
        return text_features_of(batch, self.preprocessor.tokenizer) | {"the number": batch.targets[..., 0]}
