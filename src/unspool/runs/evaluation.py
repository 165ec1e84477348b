"""Evaluation of a run on a split: its task's evaluation sets, and the predictions of its own pipeline."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from unspool.data.predictions import Prediction
from unspool.metrics.baselines import Baselines, Compared
from unspool.metrics.drawings import Drawing
from unspool.metrics.metric import GenerationSet, Metric
from unspool.models.sequence import SequenceModel
from unspool.pipelines.pipeline import Pipeline
from unspool.tasks.task import Task
from unspool.training.evaluate import evaluate_set

Results = dict[str, float | None]
"""Values by `split/set[:group]/metric`: what results.json holds and [expect] claims."""

MakePipeline = Callable[..., Pipeline]
"""Options give the pipeline of the task around the model."""


def evaluate_run(
    model: SequenceModel, task: Task, split: str, device: str, pipeline: MakePipeline
) -> tuple[Results, dict[str, Drawing]]:
    """Every value of a model on a split, and what is to be drawn, by the name of its file.

    Args:
        model: the trained model.
        task: with its data.
        split: train, valid or test.
        device: where the model is.
        pipeline: makes the task's pipeline around the model.

    Returns:
        Nothing where the task has no such split.
    """
    results: Results = {}
    drawings: dict[str, Drawing] = {}
    for name, evaluated in task.eval_sets(split).items():
        values, metrics = evaluate_set(model, evaluated, device)
        results |= {f"{split}/{name}/{key}": value for key, value in values.items()}
        drawings |= drawings_of(metrics)
    for name, generated in task.generation_sets(split).items():
        predictor = pipeline(**generated.options)
        generation, pictures = evaluate_generation(predictor, generated)
        results |= {f"{split}/{name}{group}/{key}": value for (group, key), value in generation.items()}
        drawings |= pictures
    return results, drawings


def evaluate_beside_baselines(
    model: SequenceModel, task: Task, split: str, device: str, pipeline: MakePipeline
) -> tuple[Results, dict[str, Drawing]]:
    """Every value of a model on a split, those of the task's baselines (their notes are UserWarnings), and drawings.

    Args:
        model: the trained model.
        task: with its data.
        split: train, valid or test.
        device: where the model is.
        pipeline: makes the task's pipeline around the model.
    """
    results, drawings = evaluate_run(model, task, split, device, pipeline)
    baselines = task.baselines(split) if isinstance(task, Compared) else Baselines()
    for note in baselines.notes:
        warnings.warn(note, stacklevel=3)
    return results | {f"{split}/{key}": value for key, value in baselines.values.items()}, drawings


def evaluate_generation(
    pipeline: Any, generated: GenerationSet
) -> tuple[dict[tuple[str, str], float | None], dict[str, Drawing]]:
    """The values of a generation set by group (":name", or "" for all of it) and metric, and what is to be drawn."""
    predictions: list[Prediction] = list(pipeline.predict(generated.records, generated.batch_size))
    measured: dict[str, Sequence[Metric]] = {}
    for record, prediction in zip(generated.records, predictions, strict=True):
        for group in ("", *(f":{name}" for name in generated.groups(record))):
            if group not in measured:
                measured[group] = [make() for make in generated.metrics]
            for metric in measured[group]:
                metric.update(prediction, record)
    values = {
        (group, key): value
        for group, metrics in measured.items()
        for metric in metrics
        for key, value in metric.compute().items()
    }
    return values, drawings_of(measured.get("", ())) | dict(generated.drawing(predictions))


def drawings_of(metrics: Sequence[Metric]) -> dict[str, Drawing]:
    """What is to be drawn of some metrics."""
    found: dict[str, Drawing] = {}
    for metric in metrics:
        found |= metric.drawing()
    return found


def by_set(results: Mapping[str, float | None], split: str) -> dict[str, Results]:
    """The values of a split, by its sets.

    >>> by_set({"valid/all/loss": 1.5, "train/loss": 1.4}, "valid")
    {'all': {'loss': 1.5}}
    """
    found: dict[str, Results] = {}
    for key, value in results.items():
        first, _, rest = key.partition("/")
        name, _, metric = rest.rpartition("/")
        if first == split and name:
            found.setdefault(name, {})[metric] = value
    return found
