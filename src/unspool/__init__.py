"""Train, sample, inspect and compare sequence models, from a character RNN to a transformer.

    from unspool import Run
    print("".join(Run.load("runs/char-lm").stream("The ", length=200)))

Every name here is imported when it is first used, so that `import unspool` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.batch import Batch, Batches, Domain, Tokens, Vectors
    from unspool.data.source import Source
    from unspool.data.splits import Splits
    from unspool.data.tokenizer import Tokenizer, tokenizers
    from unspool.errors import CheckpointError, ConfigError, DataError, TrainingError, UnspoolError
    from unspool.experiment.experiment import Experiment
    from unspool.generate.engine import Engine
    from unspool.generate.sampling import Sampling, sample_tokens
    from unspool.look.inside import Look
    from unspool.look.watch import watch
    from unspool.models.sequence import SequenceModel
    from unspool.nn.cell import Cell, cells
    from unspool.nn.core import Core, cores
    from unspool.nn.ends import Head, embedding, head
    from unspool.nn.part import Part, State, detach, fork, move, select
    from unspool.registry import Registry
    from unspool.runs.run import Run
    from unspool.tasks.legacy import Task
    from unspool.train.evaluate import Score, evaluate
    from unspool.train.trainer import Step, Trainer

_HOME = {
    "batch": ("Batch", "Batches", "Domain", "Vectors", "Tokens"),
    "data.source": ("Source",),
    "data.splits": ("Splits",),
    "data.tokenizer": ("Tokenizer", "tokenizers"),
    "errors": ("CheckpointError", "ConfigError", "DataError", "TrainingError", "UnspoolError"),
    "experiment.experiment": ("Experiment",),
    "generate.engine": ("Engine",),
    "generate.sampling": ("Sampling", "sample_tokens"),
    "look.inside": ("Look",),
    "look.watch": ("watch",),
    "models.sequence": ("SequenceModel",),
    "nn.cell": ("Cell", "cells"),
    "nn.core": ("Core", "cores"),
    "nn.ends": ("Head", "embedding", "head"),
    "nn.part": ("Part", "State", "detach", "fork", "move", "select"),
    "registry": ("Registry",),
    "runs.run": ("Run",),
    "tasks.legacy": ("Task",),
    "train.evaluate": ("Score", "evaluate"),
    "train.trainer": ("Step", "Trainer"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Batch",
    "Batches",
    "Cell",
    "CheckpointError",
    "ConfigError",
    "Core",
    "DataError",
    "Domain",
    "Engine",
    "Experiment",
    "Head",
    "Look",
    "Part",
    "Registry",
    "Run",
    "Sampling",
    "Score",
    "SequenceModel",
    "Source",
    "Splits",
    "State",
    "Step",
    "Task",
    "Tokenizer",
    "Tokens",
    "Trainer",
    "TrainingError",
    "UnspoolError",
    "Vectors",
    "cells",
    "cores",
    "detach",
    "embedding",
    "evaluate",
    "fork",
    "head",
    "move",
    "sample_tokens",
    "select",
    "tokenizers",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module 'unspool' has no attribute {name!r}")
    return getattr(import_module(f"unspool.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
