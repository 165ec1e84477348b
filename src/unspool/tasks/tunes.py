"""Tunes in ABC notation: the next character."""

from math import log

from torch import Tensor

from unspool.batch import Batch
from unspool.data.music.tunes import TuneBook
from unspool.data.preprocessors.music import TuneText
from unspool.metrics.metric import perplexity
from unspool.pipelines.writing import TuneWriter
from unspool.tasks.documents import DocumentTask
from unspool.tasks.sequence import text_features_of
from unspool.tasks.task import tasks


@tasks.register("tunes")
class Tunes(DocumentTask):
    """Predict the next character of a tune in ABC notation, from X: to the empty line behind its last bar.

    Each tune is a row of its own and begins with an empty state, after a line break. At the end the model writes so
    many whole `documents` at a `temperature`, and the set "generated" has the shares of them that parse, whose inner
    bars are full (`full_bars`), and that keep their metre (by `unspool.data.music.abc_tune.Tune.metre_error`).

    >>> from unspool import build
    >>> recipe = {"task": {"kind": "tunes", "batch_size": 2}, "data": {"number": 20}}
    >>> task = build.task(recipe, build.dataset(recipe).read())
    >>> task.summary()
    'tunes: train 18, valid 2'
    """

    dataset = TuneBook
    preprocessing = TuneText
    preprocessor: TuneText
    pipeline = TuneWriter

    def derived(self, split: str, loss: float) -> dict[str, float]:
        """Bits per character of the tunes with the line break behind each, and the perplexity of a token."""
        characters = sum(len(tune) + 1 for tune in self.records[split])
        return {"bits_per_character": self.nats(split, loss) / log(2) / characters, "perplexity": perplexity(loss)}

    def summary(self) -> str:
        """How many tunes each split has."""
        return "tunes: " + ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items())

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What is true of the text so far."""
        return text_features_of(batch, self.preprocessor.tokenizer)
