"""Train, sample, predict with, inspect and compare sequence models, from a character RNN to a transformer.

    import unspool

    run = unspool.train("char-lm")
    print("".join(run.stream("The ", length=200)))

Every name here is imported when it is first used, so that `import unspool` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.batch import Batch, Batches, Domain, Tokens, Vectors
    from unspool.data.predictions import Failure, Fills, Label, Prediction, Series, Tags, Text, Value
    from unspool.data.preprocessors.preprocessor import Preprocessor, Row, preprocessors
    from unspool.data.source import Source
    from unspool.data.splits import Splits
    from unspool.data.tokenizer import Tokenizer, tokenizers
    from unspool.errors import CheckpointError, ConfigError, DataError, TrainingError, UnspoolError
    from unspool.experiment.claims import verify
    from unspool.experiment.experiment import Experiment
    from unspool.experiment.sweep import Sweep, sweep
    from unspool.experiment.training import resume, train
    from unspool.generate.choices import Choice, choice_scores
    from unspool.generate.constraints import Constraint
    from unspool.generate.engine import Engine
    from unspool.generate.sampling import Sampling, sample_tokens
    from unspool.generate.scoring import TokenScore, token_scores
    from unspool.generate.session import Session
    from unspool.generate.state import State
    from unspool.generate.stream import Stream
    from unspool.generate.suggest import suggest
    from unspool.look.inspection import Inspection
    from unspool.look.watch import watch
    from unspool.metrics.metric import EvalSet, GenerationSet, Metric, Unit
    from unspool.models.sequence import SequenceModel
    from unspool.nn.cell import Cell, cells
    from unspool.nn.core import Core, cores
    from unspool.nn.embeddings import embedding
    from unspool.nn.heads import Head, head
    from unspool.nn.part import CoreState, Part, detach, fork, move, select
    from unspool.pipelines.pipeline import Pipeline, Predictor
    from unspool.recipe import load_recipe, recipe_names
    from unspool.registry import Registry
    from unspool.runs.adapting import adapt_run, evaluate_adapting
    from unspool.runs.run import Run, load
    from unspool.runs.state_tuning import StateTuning
    from unspool.tasks.task import Task
    from unspool.training.adapting import Adapting
    from unspool.training.evaluate import EvalResult, evaluate
    from unspool.training.trainer import Trainer, TrainingStep

_HOME = {
    "batch": (
        "Batch",
        "Batches",
        "Domain",
        "Tokens",
        "Vectors",
    ),
    "data.predictions": (
        "Failure",
        "Fills",
        "Label",
        "Prediction",
        "Series",
        "Tags",
        "Text",
        "Value",
    ),
    "data.preprocessors.preprocessor": (
        "Preprocessor",
        "Row",
        "preprocessors",
    ),
    "data.source": ("Source",),
    "data.splits": ("Splits",),
    "data.tokenizer": (
        "Tokenizer",
        "tokenizers",
    ),
    "errors": (
        "CheckpointError",
        "ConfigError",
        "DataError",
        "TrainingError",
        "UnspoolError",
    ),
    "experiment.claims": ("verify",),
    "experiment.experiment": ("Experiment",),
    "experiment.sweep": ("Sweep", "sweep"),
    "experiment.training": (
        "resume",
        "train",
    ),
    "generate.choices": ("Choice", "choice_scores"),
    "generate.constraints": ("Constraint",),
    "generate.engine": ("Engine",),
    "generate.sampling": (
        "Sampling",
        "sample_tokens",
    ),
    "generate.scoring": ("TokenScore", "token_scores"),
    "generate.session": ("Session",),
    "generate.state": ("State",),
    "generate.stream": ("Stream",),
    "generate.suggest": ("suggest",),
    "look.inspection": ("Inspection",),
    "look.watch": ("watch",),
    "metrics.metric": (
        "EvalSet",
        "GenerationSet",
        "Metric",
        "Unit",
    ),
    "models.sequence": ("SequenceModel",),
    "nn.cell": (
        "Cell",
        "cells",
    ),
    "nn.core": (
        "Core",
        "cores",
    ),
    "nn.embeddings": ("embedding",),
    "nn.heads": ("Head", "head"),
    "nn.part": ("CoreState", "Part", "detach", "fork", "move", "select"),
    "pipelines.pipeline": (
        "Pipeline",
        "Predictor",
    ),
    "recipe": (
        "load_recipe",
        "recipe_names",
    ),
    "registry": ("Registry",),
    "runs.adapting": ("adapt_run", "evaluate_adapting"),
    "runs.run": (
        "Run",
        "load",
    ),
    "runs.state_tuning": ("StateTuning",),
    "tasks.task": ("Task",),
    "training.adapting": ("Adapting",),
    "training.evaluate": (
        "EvalResult",
        "evaluate",
    ),
    "training.trainer": (
        "TrainingStep",
        "Trainer",
    ),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Adapting",
    "Batch",
    "Batches",
    "Cell",
    "CheckpointError",
    "Choice",
    "ConfigError",
    "Constraint",
    "Core",
    "CoreState",
    "DataError",
    "Domain",
    "Engine",
    "EvalResult",
    "EvalSet",
    "Experiment",
    "Failure",
    "Fills",
    "GenerationSet",
    "Head",
    "Inspection",
    "Label",
    "Metric",
    "Part",
    "Pipeline",
    "Prediction",
    "Predictor",
    "Preprocessor",
    "Registry",
    "Row",
    "Run",
    "Sampling",
    "SequenceModel",
    "Series",
    "Session",
    "Source",
    "Splits",
    "State",
    "StateTuning",
    "Stream",
    "Sweep",
    "Tags",
    "Task",
    "Text",
    "TokenScore",
    "Tokenizer",
    "Tokens",
    "Trainer",
    "TrainingError",
    "TrainingStep",
    "Unit",
    "UnspoolError",
    "Value",
    "Vectors",
    "adapt_run",
    "cells",
    "choice_scores",
    "cores",
    "detach",
    "embedding",
    "evaluate",
    "evaluate_adapting",
    "fork",
    "head",
    "load",
    "load_recipe",
    "move",
    "preprocessors",
    "recipe_names",
    "resume",
    "sample_tokens",
    "select",
    "suggest",
    "sweep",
    "token_scores",
    "tokenizers",
    "train",
    "verify",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'unspool' has no attribute {name!r}")
    return getattr(import_module(f"unspool.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
