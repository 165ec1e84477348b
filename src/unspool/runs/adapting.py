"""Trained runs that adapt to what they read: evaluated on a split or a text, or used after reading one."""

import copy
from collections.abc import Callable, Iterable
from typing import cast

import torch
from jaxtyping import Int64
from torch import Tensor

from unspool import build
from unspool.data.preprocessors.language import LanguageText
from unspool.data.splits import Splits
from unspool.errors import CheckpointError, ConfigError, DataError
from unspool.generate.text import warn_of_unknown
from unspool.nn.neural_cache import CachedHead
from unspool.runs.evaluation import Results
from unspool.runs.run import Run, load_task
from unspool.tasks.language import Language
from unspool.training.adapting import Adapting, ChunkScore, gradient_sizes, read_adaptively

Progress = Callable[[int, int], None]
"""Called with the number of tokens that were read, and that of all tokens."""
STATIC = "static"
"""The name of the scores of a model that does not adapt."""


def evaluate_adapting(
    run: Run, adapting: Adapting, split: str = "valid", text: str | None = None, progress: Progress | None = None
) -> Results:
    """The loss of a run on a text that it reads once from beginning to end, adapting and not.

    Both are read as one row in the same chunks, so they differ in nothing else. The run stays as it is.

    Args:
        run: a trained language model.
        adapting: how it adapts.
        split: of its data; the name of the values where there is a text.
        text: a text of yours, in place of the split.
        progress: called with the number of tokens that were read, and that of all tokens.

    Returns:
        Values by `split/static/metric`, and by `split/WAY/metric` where WAY is `adapting.way`; empty where there is
        no such split.

    Raises:
        ConfigError: the run is no language model that reads one way.
        DataError: the text has characters that the tokenizer does not know.
        TrainingError: adapting has diverged.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> run = Run(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8)), tokenizers.build("t", "byte"))
    >>> found = evaluate_adapting(run, Adapting(rule="sgd"), "mine", "to be or not to be " * 50)
    >>> found["mine/dynamic/bits_per_character"] < found["mine/static/bits_per_character"]
    True
    """
    task, part = language_task(run, text), split if text is None else "train"
    if part not in task.ids:
        return {}
    ids = task.ids[part]
    results: Results = {}
    readings = {
        STATIC: lambda: read_adaptively(run.model, ids, chunk=adapting.chunk),
        adapting.way: lambda: Reading(run, ids, adapting).chunks,
    }
    for name, read in readings.items():
        loss = mean_loss(read(), len(ids), progress)
        values = {"loss": loss, **task.derived(part, loss)}
        results |= {f"{split}/{name}/{key}": value for key, value in values.items()}
    return results


def adapt_run(run: Run, text: str, adapting: Adapting, progress: Progress | None = None) -> Run:
    """A copy of a run that has adapted to a text: its weights have moved, or its cache is full of it, or both.

    It is used as any other run, and reads and generates without learning any more. States of the one are refused by the
    other, as their weights differ. It is not saved: the run in its folder stays as it is.

    Args:
        run: a trained language model; it stays as it is.
        text: what it reads.
        adapting: how it adapts.
        progress: called with the number of tokens that were read, and that of all tokens.

    Raises:
        ConfigError: the run is no language model that reads one way, or the text is shorter than two tokens.
        DataError: the text has characters that the tokenizer does not know.
        TrainingError: adapting has diverged.

    >>> from unspool import SequenceModel, Tokens, cores, embedding, head, tokenizers
    >>> core = cores.build("core", {"kind": "recurrent", "width": 8})
    >>> run = Run(SequenceModel(embedding(Tokens(256), 8), core, head(Tokens(256), 8)), tokenizers.build("t", "byte"))
    >>> adapted = adapt_run(run, "to be or not to be " * 50, Adapting("cache", cache_lambda=0.9))
    >>> before, after = (one.read("to be or n").logits.softmax(dim=-1)[0, ord("o")] for one in (run, adapted))
    >>> bool(after > 10 * before)
    True
    """
    refuse_other_tasks(run)
    preprocessor = cast(LanguageText, run.preprocessor)
    warn_of_unknown(preprocessor.tokenizer, text)
    ids = preprocessor.encode(text).input
    if len(ids) < 2:
        raise ConfigError(
            f"there is nothing to adapt to in a text of {len(ids)} token{'s' * (len(ids) != 1)}",
            hint="--prompt TEXT, or --adapt-to FILE",
        )
    reading = Reading(run, ids, adapting)
    mean_loss(reading.chunks, len(ids), progress)
    if reading.cache is not None:
        reading.model.head = CachedHead(reading.model.head, reading.cache)
    return Run(reading.model.eval(), preprocessor, run.recipe, run.checkpoint, run.name)


class Reading:
    """A text that a copy of a run's model is about to read.

    Args:
        run: it stays as it is.
        ids: the text.
        adapting: how the copy adapts.
    """

    def __init__(self, run: Run, ids: Int64[Tensor, " N"], adapting: Adapting) -> None:
        self.model, self.cache = copy.deepcopy(run.model), adapting.cache()
        sizes = gradients_of(run, adapting) if adapting.learns and adapting.rule == "rms" else None
        self.chunks = read_adaptively(self.model, ids, adapting, sizes, self.cache)


def gradients_of(run: Run, adapting: Adapting) -> list[Tensor]:
    """The sizes of the gradients on the training text of a run.

    Raises:
        ConfigError: the training text is not there any more.
    """
    try:
        ids = language_task(run).ids["train"]
    except (CheckpointError, DataError) as error:
        raise ConfigError(
            f"the rule rms measures gradients on the training text: {error}", hint="--adapt-rule sgd needs no text"
        ) from error
    return gradient_sizes(run.model, ids, adapting.chunk)


def mean_loss(chunks: Iterable[ChunkScore], tokens: int, progress: Progress | None = None) -> float:
    """The mean loss of a whole text in nats."""
    total = torch.zeros((), dtype=torch.float64)
    for chunk in chunks:
        total -= chunk.log_probability.double().sum().cpu()
        if progress is not None:
            progress(chunk.start + len(chunk.log_probability), tokens)
    return float(total) / (tokens - 1)


def language_task(run: Run, text: str | None = None) -> Language:
    """The task of a language model with the data of the run, or with one text in its place."""
    refuse_other_tasks(run)
    task = load_task(run) if text is None else build.task(run.recipe, Splits(text), run.preprocessor)
    return cast(Language, task)


def refuse_other_tasks(run: Run, why: str = "adapting reads one long text") -> None:
    """Raise a ConfigError for a run that does not read one long text forwards; `why` says what needs one."""
    if not issubclass(build.task_class(run.recipe), Language):
        raise ConfigError(
            f"{why}, and {run.name} is a model of the task {run.recipe['task']['kind']!r}",
            hint="use a run of the task language: `unspool train char-lm`",
        )
    if not run.model.core.causal:
        raise ConfigError(
            f"{why} forwards, and {run.name} reads both ways",
            hint="use a run whose core reads one way: core.kind=recurrent",
        )
