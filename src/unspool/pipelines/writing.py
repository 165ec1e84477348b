"""Writers: models that go on with what they have read, token by token."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from unspool.data.predictions import Prediction
from unspool.data.preprocessors.preprocessor import Record
from unspool.errors import ConfigError
from unspool.generate.documents import LONGEST, DocumentFormat, generate_documents
from unspool.generate.sampling import Sampling
from unspool.metrics.metric import MetricFactory
from unspool.metrics.music import ChoraleShares, TuneShares
from unspool.pipelines.pipeline import Pipeline
from unspool.schema import Count, NotNegative


class Writer(Pipeline):
    """Goes on with what it has read.

    There are two ways to write: a stream of text, which `Run.stream` and `unspool sample` run, and whole documents,
    where the preprocessor says how one begins and ends (`unspool sample --to FOLDER`).
    """

    verb = "sample"
    streams: ClassVar[bool] = False
    """Whether what it writes is text that can be shown token by token."""
    metrics: ClassVar[tuple[MetricFactory, ...]] = ()
    """What is measured of its documents."""
    sampling = Sampling()
    """How documents are drawn in an evaluation."""

    def generate_documents(
        self,
        count: Count,
        max_length: Count = LONGEST,
        sampling: Sampling | None = None,
        seed: int | None = None,
        prompt: str = "",
    ) -> Iterator[Any]:
        """Generate whole documents.

        Args:
            count: how many.
            max_length: how many tokens each has at most, behind what it begins with.
            sampling: how to draw; None: as in an evaluation.
            seed: a document follows from the seed and its number alone; None: others in every call.
            prompt: what each begins with.

        Returns:
            The documents as the preprocessor decodes them, in the order in which they end.

        Raises:
            ConfigError: the model writes no whole documents, or cannot read the prompt.
        """
        format = self.preprocessor
        if not isinstance(format, DocumentFormat):
            raise ConfigError("this model writes no whole documents", hint="leave out --to")
        made = generate_documents(self.model, format, count, max_length, sampling or self.sampling, seed, prompt)
        return (self.preprocessor.decode(document, {}) for document in made)

    def predict(self, records: Iterable[Record], batch_size: Count = 1) -> Iterator[Prediction]:
        """The documents of these numbers, the same ones in every call, for an evaluation.

        Args:
            records: each with its `number`.
            batch_size: of no consequence: documents are generated side by side.
        """
        numbers = [record["number"] for record in records]
        found = {document.number: document for document in self.generate_documents(max(numbers) + 1, seed=0)}
        return (found[number] for number in numbers)


class TextWriter(Writer):
    """Goes on with a text."""

    streams = True


class TuneWriter(Writer):
    """Writes tunes in ABC notation, as a stream of text or whole.

    Args:
        temperature: at which the tunes of an evaluation are drawn.
    """

    streams = True
    metrics = (TuneShares,)

    def __init__(self, model: Any, preprocessor: Any, temperature: NotNegative = 0.7) -> None:
        super().__init__(model, preprocessor)
        self.sampling = Sampling(temperature)


class ChoraleWriter(Writer):
    """Writes whole chorales.

    Args:
        temperature: at which the chorales of an evaluation are drawn.
    """

    metrics = (ChoraleShares,)

    def __init__(self, model: Any, preprocessor: Any, temperature: NotNegative = 0.9) -> None:
        super().__init__(model, preprocessor)
        self.sampling = Sampling(temperature)
