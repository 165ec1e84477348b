"""Text classification."""

from functools import partial
from shlex import quote

from torch import Tensor

from unspool.batch import Batch
from unspool.data.labelled import Labelled
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.preprocessors.text import LabelledText
from unspool.data.splits import Splits
from unspool.errors import DataError
from unspool.metrics.baselines import Baselines, majority_accuracy, text_baselines
from unspool.metrics.labels import ConfusionMatrix
from unspool.metrics.metric import EvalSet, Unit
from unspool.pipelines.classification import SequenceClassification
from unspool.schema import Count, Natural
from unspool.tasks.sequence import RowTask, evaluation_pool, label_features, text_features_of
from unspool.tasks.task import tasks


class LabelTask(RowTask):
    """One label for each record: accuracy, macro F1 and a confusion matrix on the set "all"."""

    pipeline = SequenceClassification
    unit = Unit("label")
    causal = False

    def __init__(
        self, splits: Splits, preprocessor: Preprocessor, seed: int = 0, batch_size: Count = 32, pool: Natural = 50
    ) -> None:
        if preprocessor.targets.size < 2:
            raise DataError("the training data has one label only", hint="check data.path and data.label")
        super().__init__(splits, preprocessor, seed, batch_size, pool)
        self.labels = preprocessor.target_labels(range(preprocessor.targets.size))

    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """Every row of the split once."""
        if split not in self.rows:
            return {}
        return {
            "all": EvalSet(self.batches(split, evaluation_pool(self.pool)), [partial(ConfusionMatrix, self.labels)])
        }

    def baselines(self, split: str) -> Baselines:
        """The accuracy of the label that is the most frequent one in training."""
        if split not in self.records:
            return Baselines()
        return Baselines({"all/majority_accuracy": majority_accuracy(self.labelled("train"), self.labelled(split))})

    def labelled(self, split: str) -> list[str]:
        """The labels of the records of a split."""
        return [str(record["label"]) for record in self.records[split]]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """Which label the whole sequence has."""
        return {**super().features(batch), **label_features(batch, self.labels)}


def refuse_word_labels(splits: Splits) -> None:
    """Raise a DataError where each label of the training data has as many words as its text: that is for tagging.

    >>> refuse_word_labels(Splits([{"text": "Ada wrote", "label": "B-PER O"}, {"text": "so it is", "label": "O O O"}]))
    Traceback (most recent call last):
    ...
    unspool.errors.DataError: the label of 'Ada wrote' is 'B-PER O': a label for each word, and a text has one here
    """
    pairs = [(record["text"], record["label"]) for record in splits.train[:SAMPLE]]
    sizes = [(len(text.split(" ")), len(label.split(" "))) for text, label in pairs]
    if all(words == labels for words, labels in sizes) and sum(words > 1 for words, _ in sizes) > 1:
        place = f" {quote(f'data.path={splits.files[0]}')}" if splits.files else ""
        raise DataError(
            f"the label of {pairs[0][0][:40]!r} is {pairs[0][1][:40]!r}: a label for each word, "
            "and a text has one here",
            hint=f"unspool train tag{place}",
        )


SAMPLE = 200
"""So many records are looked at."""


@tasks.register("classify")
class Classify(LabelTask):
    """Classify a text: one label, predicted at the end of the text.

    Texts of similar lengths make a batch: every `pool` batches' worth of rows are sorted by length (1: lengths are as
    they come). A core that reads both ways is fine here, and core "pooled" predicts from all positions. How texts are
    encoded is set in [preprocessor] (`unspool.data.preprocessors.text.LabelledText`).

    >>> from unspool import build
    >>> from unspool.data.splits import Splits
    >>> data = Splits([{"text": "a fine film", "label": "pos"}, {"text": "a dull film", "label": "neg"}])
    >>> task = build.task({"task": {"kind": "classify"}}, data)
    >>> batch = task.train_batches()[0]
    >>> batch.inputs.shape, task.labels, sorted(batch.targets[batch.loss_mask].tolist())
    (torch.Size([2, 3]), ['neg', 'pos'], [0, 1])
    """

    dataset = Labelled
    preprocessing = LabelledText
    preprocessor: LabelledText

    def __init__(
        self, splits: Splits, preprocessor: LabelledText, seed: int = 0, batch_size: Count = 32, pool: Natural = 50
    ) -> None:
        refuse_word_labels(splits)
        super().__init__(splits, preprocessor, seed, batch_size, pool)

    def baselines(self, split: str) -> Baselines:
        """The accuracy of the most frequent label, and of a linear model of words and pairs of words."""
        usual = super().baselines(split)
        if not usual.values:
            return usual
        train, texts = ([self.preprocessor.text(record) for record in self.records[s]] for s in ("train", split))
        linear = text_baselines(train, self.labelled("train"), texts, self.labelled(split))
        return Baselines({**usual.values, **linear.values}, linear.notes)

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far, and which label it has."""
        return {**text_features_of(batch, self.preprocessor.tokenizer), **super().features(batch)}
