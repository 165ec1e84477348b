"""Which number belongs to a text?"""

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
    """Which number belongs to a text? The label is a number, and is predicted at the end of the text.

    It is learned in standard deviations from the mean of the training numbers; the mean absolute error is in the
    numbers' own unit.
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
