"""Token classification: a label for each word."""

from functools import partial

from torch import Tensor

from unspool.batch import Batch
from unspool.data.labelled import Labelled
from unspool.data.preprocessors.text import TaggedText
from unspool.data.spans import parsed, scheme
from unspool.metrics.labels import Accuracy, SpanF1
from unspool.metrics.metric import EvalSet, Unit
from unspool.pipelines.tagging import TokenClassification
from unspool.tasks.sequence import RowTask, evaluation_pool, label_features, text_features_of
from unspool.tasks.task import tasks


@tasks.register("tag")
class Tag(RowTask):
    """Label each word of a text. A record's label holds as many labels as its text has words.

    The metrics are the accuracy over all words and, where labels mark spans, the F1 of whole spans. The scheme (IO,
    IOB1, IOB2, BIOES or BILOU) is detected from the labels of the training data.

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits([{"text": "Ada wrote", "label": "B-name O"}])
    >>> task = build.task({"task": {"kind": "tag"}}, data)
    >>> task.labels, task.train_batches()[0].targets.tolist()
    (['B-name', 'O'], [[0, 1]])
    """

    dataset = Labelled
    preprocessing = TaggedText
    pipeline = TokenClassification
    unit = Unit("label")
    causal = False
    preprocessor: TaggedText

    @property
    def labels(self) -> list[str]:
        """The names of the labels."""
        return self.preprocessor.target_labels(range(self.targets.size))

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every word of the split once."""
        if split not in self.rows:
            return {}
        batches = self.batches(split, evaluation_pool(self.pool))
        return {"all": EvalSet(batches, [Accuracy, partial(SpanF1, self.labels)])}

    def summary(self) -> str:
        """How many rows each split has, and how their labels tell spans."""
        found = scheme(record["label"].split() for record in self.records["train"])
        names = sorted({parsed(label)[1] for label in self.labels} - {""})
        spans = f"{found} spans" + (
            f" of {', '.join(names[:8])}" + (", ..." if len(names) > 8 else "") if names else ""
        )
        return f"{super().summary()}; labels: {spans if found else f'{len(self.labels)}, no spans'}"

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Features of the text so far, and the label of the current word."""
        return text_features_of(batch, self.preprocessor.tokenizer) | dict(label_features(batch, self.labels))
