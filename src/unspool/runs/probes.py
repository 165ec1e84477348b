"""What a run is inspected on: a given text, or the first rows of its data."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from unspool import build
from unspool.batch import Batch, UnalignedTokens
from unspool.data.preprocessors.generation import GeneratedText
from unspool.data.preprocessors.preprocessor import Preprocessor
from unspool.data.probe import Probe, name_batch
from unspool.data.tokenizer import Tokenizer, save_text
from unspool.errors import CheckpointError, ConfigError, DataError
from unspool.files import read_json
from unspool.pipelines.pipeline import Predictor, as_record
from unspool.runs.contents import About
from unspool.tasks.sequence import text_features_of

if TYPE_CHECKING:
    from unspool.look.inspection import Inspection, TrainingHistory
    from unspool.runs.run import Run

ROWS = 32
"""How many rows of its data a run is inspected on; a text is one long row."""
FEWEST = 3
"""The smallest number of tokens of a text to inspect."""


def look(run: "Run", text: str | None, split: str, length: int, progress: Any, target_text: str) -> "Inspection":
    """What `Run.look` gives."""
    from unspool.look.inspection import Inspection
    from unspool.runs.loading import refuse_diverged

    refuse_diverged(run.model, run.name)
    if text is None:
        if target_text:
            raise ConfigError("a target text needs a text", hint="--text TEXT --target-text TEXT")
        probe, names = probe_of_data(run, split, length)
    else:
        probe = probe_of_text(run, text, target_text)
        names = run.preprocessor.input_labels  # type: ignore[union-attr]
    return Inspection(run.model, probe, names, length, progress, run.name, history_of(run), run.preprocessor)


def look_at_weights(run: "Run") -> "Inspection":
    """A run that reads nothing, for views of its weights alone and of what they are given: no data is needed."""
    from unspool.look.inspection import Inspection
    from unspool.runs.loading import refuse_diverged

    refuse_diverged(run.model, run.name)
    nothing = torch.zeros(0, 0, dtype=torch.long)
    probe = Probe(Batch(nothing, nothing, nothing.bool()), [], [])
    return Inspection(run.model, probe, name=run.name, preprocessor=run.preprocessor)


def probe_of_data(run: "Run", split: str, length: int) -> tuple[Probe, Any]:
    """The first rows of a split of a run's data, and the names of its input ids."""
    from unspool.runs.run import load_task

    task = load_task(run)
    probe = task.probe(split, ROWS, length)
    if probe is None:
        raise CheckpointError(f"{run.name} has no {split} split", hint="--split train, or --text TEXT")
    return probe, task.input_labels


def probe_of_text(run: "Run", text: str, target_text: str = "") -> Probe:
    """A text as a run reads it: as one row of tokens, or as an input of its pipeline with the answer to it.

    Args:
        run: a trained model.
        text: a text, a source, or the path of an image or a sound.
        target_text: the answer to a source that is read; "" for the model's own.

    Raises:
        CheckpointError: for a run that reads no text.
        DataError: for a text that cannot be read.
    """
    preprocessor, task = run.preprocessor, build.task_class(run.recipe)
    if preprocessor is None or not (preprocessor.fields or task.pipeline):
        raise CheckpointError(f"{run.name} reads no text", hint="leave --text out: it reads its own data")
    if not issubclass(task.pipeline, Predictor):  # type: ignore[arg-type]
        refuse_target(run, target_text)
        return probe_of_tokens(text, preprocessor, next_tokens=True)
    if not isinstance(preprocessor, GeneratedText) and reads_text(preprocessor):
        refuse_target(run, target_text)
        return probe_of_tokens(text, preprocessor, next_tokens=False)
    record = dict(as_record(text, list(preprocessor.fields)))
    if isinstance(preprocessor, GeneratedText):
        record["target"] = target_text or run.predict(record).text
    else:
        refuse_target(run, target_text)
    batch = preprocessor.collate([preprocessor.encode(record)])
    return name_batch(batch, preprocessor, features_of(batch, preprocessor))


def refuse_target(run: "Run", target_text: str) -> None:
    """Raise a ConfigError where an answer is given to a model that answers nothing."""
    if target_text:
        raise ConfigError(f"{run.name} answers no source", hint="leave --target-text out")


def probe_of_tokens(text: str, preprocessor: Preprocessor, next_tokens: bool) -> Probe:
    """A text as one row in which each token is read and, where `next_tokens`, the next one predicted.

    Raises:
        DataError: for a text of fewer than three tokens, and for characters that the model does not know.
    """
    tokenizer: Tokenizer = preprocessor.tokenizer  # type: ignore[attr-defined]
    ids = torch.from_numpy(tokenizer.encode(text)).long()
    if len(ids) < FEWEST:
        raise DataError(
            f"a text of {len(ids)} token{'s' * (len(ids) != 1)} is too short to look at",
            hint="give at least three, better 500",
        )
    inputs, targets = ids[:-1].unsqueeze(0), ids[1:].unsqueeze(0)
    batch = Batch(inputs, targets, torch.full_like(inputs, next_tokens, dtype=torch.bool))
    labels = TokenLabels(preprocessor)
    return name_batch(batch, labels, text_features_of(batch, tokenizer))


class TokenLabels:
    """The names of a text's tokens, read and predicted alike."""

    def __init__(self, preprocessor: Preprocessor) -> None:
        self.input_labels = self.target_labels = self.source_labels = preprocessor.input_labels


def features_of(batch: Batch, preprocessor: Preprocessor) -> Mapping[str, torch.Tensor]:
    """What is true of the text that is read, where it is a text."""
    return text_features_of(batch, preprocessor.tokenizer) if reads_text(preprocessor) else {}  # type: ignore[attr-defined]


def reads_text(preprocessor: Preprocessor) -> bool:
    """Whether what the model reads, or the text that it writes, are tokens: not a sound whose text is made of them."""
    unaligned = isinstance(preprocessor.targets, UnalignedTokens)
    return isinstance(getattr(preprocessor, "tokenizer", None), Tokenizer) and not unaligned


def look_beside(run: "Run", other: "Run", first: "Inspection", progress: Any = None) -> "Inspection":
    """Another run while it reads what the first one read: the same text, in its own tokens.

    Raises:
        ConfigError: for two runs that read different things.
    """
    from unspool.look.inspection import Inspection
    from unspool.runs.loading import refuse_diverged

    refuse_diverged(run.model, run.name)
    if reads(run) == reads(other):
        own = progress, run.name, history_of(run), run.preprocessor
        return Inspection(run.model, first.probe, first.vocabulary, first.shown, *own)
    speak = all(not issubclass(build.task_class(one.recipe).pipeline or Predictor, Predictor) for one in (run, other))
    if speak and len(first.batch.inputs) == 1:
        ids = [*first.batch.inputs[0].tolist(), *first.batch.targets[0, -1:].tolist()]
        return run.look(other.tokenizer.decode(ids), "", first.shown, progress)
    raise ConfigError(
        f"{run.name} and {other.name} read different things", hint="look at two runs of the same task and data"
    )


def reads(run: "Run") -> tuple[Any, ...]:
    """What a saved run reads and predicts: two runs with the same can be shown the same ids."""
    about = read_json(run.checkpoint.run / "about.json", About) if run.checkpoint else None
    names = run.preprocessor.tokenizers if run.preprocessor else ()
    texts = [save_text(getattr(run.preprocessor, name)) for name in names]
    return (*(getattr(about, name, None) for name in ("inputs", "targets", "source")), *texts)


def history_of(run: "Run") -> "TrainingHistory":
    """How a run was trained, read where a view asks for it."""
    from unspool.look.inspection import TrainingHistory
    from unspool.runs.run import load_task
    from unspool.training.log import records

    return TrainingHistory(
        lambda: records(run.checkpoint.run) if run.checkpoint else [], lambda: load_task(run).train_batches()
    )
