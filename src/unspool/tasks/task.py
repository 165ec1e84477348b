"""The interface of a task: what the problem is, apart from any model."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from unspool.batch import Batch, Batches, Domain
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.probe import Probe, beginning, name_batch, select_positions
from unspool.data.source import Source
from unspool.metrics.metric import EvalSet, GenerationSet, Unit
from unspool.models.sequence import SequenceModel
from unspool.nn.part import CoreState
from unspool.pipelines.pipeline import Pipeline
from unspool.registry import Registry


class Task(ABC):
    """A problem: what a model reads and predicts, the batches of each split, and the metrics.

    The constructor takes the recipe's [task] section. Where the task reads data it also takes `splits`, what `dataset`
    read, and a fitted `preprocessor`; a task that makes its own data takes neither.

    >>> task = tasks.build("task", "parity", length=5)
    >>> task.train_batches()[0].inputs.shape, list(task.eval_sets("valid"))
    (torch.Size([32, 5]), ['fresh'])
    """

    dataset: ClassVar[Callable[..., Any]] = Source
    """What reads the [data] section: the constructor of something with `read()`."""
    preprocessing: ClassVar[type[Preprocessor] | None] = None
    """What turns its records into rows; None for a task that makes its own batches."""
    pipeline: ClassVar[type[Pipeline] | None] = None
    """How a trained model is used; None for a task that generates its own data, such as parity."""
    unit: ClassVar[Unit] = Unit("token", is_token=True)
    """What a position of the loss is."""
    causal: bool = True
    """Whether predictions may depend on earlier positions alone, so that a bidirectional core is refused."""

    inputs: Domain
    targets: Domain
    source: Domain | None = None
    preprocessor: Preprocessor | None = None

    @abstractmethod
    def train_batches(self) -> Batches:
        """What to train on."""

    @abstractmethod
    def eval_sets(self, split: str) -> dict[str, EvalSet]:
        """What a model is evaluated on, by name; empty without that split. The first selects the best model."""

    def generation_sets(self, split: str) -> dict[str, GenerationSet]:
        """What the task's own pipeline is evaluated on, by name."""
        return {}

    def training_loss(
        self, model: SequenceModel, batch: Batch, state: CoreState | None = None
    ) -> tuple[Tensor, CoreState]:
        """The loss that training minimizes, and the next state; the model's own by default."""
        return model.loss(batch, state)

    def summary(self) -> str:
        """One line about the size of the data; empty where the task generates it."""
        return ""

    def input_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of input ids, as a picture shows them."""
        return self.preprocessor.input_labels(ids) if self.preprocessor else [str(id) for id in ids]

    def target_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of target ids."""
        return self.preprocessor.target_labels(ids) if self.preprocessor else self.input_labels(ids)

    def source_labels(self, ids: Sequence[int]) -> list[str]:
        """The names of the ids of a source."""
        return self.preprocessor.source_labels(ids) if self.preprocessor else [str(id) for id in ids]

    def features(self, batch: Batch) -> dict[str, Tensor]:
        """What a unit may be compared with, once it has read so far: (B, T) bool by name, or float for a count.

        NaN stands where a feature is not defined.
        """
        return {}

    def first(self, split: str, rows: int, length: int) -> Batch | None:
        """The beginning of a split, before it is cut to so many rows and positions; None without that split."""
        found = next(iter(self.eval_sets(split).values()), None)
        return None if found is None else found.batches[0]

    def probe(self, split: str, rows: int, length: int) -> Probe | None:
        """The first rows of a split, at most `length` positions of each, to look at a model with; None without it."""
        batch = self.first(split, rows, length)
        if batch is None:
            return None
        places = beginning(batch, rows, length)
        features = {name: values[places] for name, values in self.features(batch).items()}  # true to what is cut off
        return self.probe_of(select_positions(batch, places), features)

    def probe_of(self, batch: Batch, features: Mapping[str, Tensor] | None = None) -> Probe:
        """A batch with the names of everything in it, and those features that vary.

        Args:
            batch: any batch of this task.
            features: its features; worked out here where none are given.
        """
        return name_batch(batch, self, self.features(batch) if features is None else features)


tasks: Registry[Task] = Registry("task", "unspool.tasks")
"""Every kind of task that a recipe can name."""
