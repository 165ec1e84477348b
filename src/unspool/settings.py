"""The sections of a recipe that an experiment reads itself, and a recipe with every default written out."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from unspool.build import Ends, task_class
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.recipe import TOKENIZERS, Recipe
from unspool.registry import Registry
from unspool.schema import Natural, NotNegative, defaults
from unspool.tasks.task import tasks
from unspool.train.precision import PrecisionName
from unspool.train.trainer import Trainer


@dataclass(frozen=True)
class Evaluating:
    """The [evaluate] section: how often over the budget, and after how many disappointments to stop (0: never)."""

    times: Natural = 10
    patience: Natural = 0


@dataclass(frozen=True)
class Showing:
    """The [sample] section: how often over the budget to let the model write, and how."""

    times: Natural = 4
    prompt: str = "\n"
    length: Natural = 200
    temperature: NotNegative = 0.8


@dataclass(frozen=True)
class Saving:
    """The [save] section: a checkpoint every so many steps besides those at evaluations (0: none), and logs."""

    every: Natural = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.tensorboard and not find_spec("tensorboard"):
            raise ConfigError("save.tensorboard needs tensorboard", hint="pip install 'unspool[logs]'")


@dataclass(frozen=True)
class Measured:
    """What the [train] section leaves to the machine, unless the recipe says: 0 threads are as many as pay."""

    precision: Literal["auto", PrecisionName] = "auto"
    threads: Annotated[int, Ge(0), Le(1024)] = 0
    device: str = "auto"


SHELVES: dict[str, tuple[Registry[Any], str]] = {
    "task": (tasks, "language"),
    "core": (cores, "recurrent"),
}
"""Sections that name a thing on a shelf, and the usual one."""

SECTIONS: dict[str, Any] = {
    "model": SequenceModel,
    "train": Trainer,
    "evaluate": Evaluating,
    "sample": Showing,
    "save": Saving,
}
"""Sections that are the arguments of one constructor."""


def complete(recipe: Recipe) -> Recipe:
    """The recipe with every default written out, so that it means the same when a default changes.

    >>> complete({"core": {"kind": "recurrent", "width": 8}})["core"]["cell"]
    'lstm'
    """
    full: Recipe = {name: recipe[name] for name in ("seed", "plugin", "expect") if name in recipe}
    full.setdefault("seed", 0)
    task = task_class(recipe)
    preprocessing = task.preprocessing
    wanted = preprocessing.tokenizers if preprocessing else {}
    shelves = {name: (tokenizers, usual) for name, usual in wanted.items()} | SHELVES
    if "encoder" in recipe:
        shelves["encoder"] = (cores, "recurrent")
    for name in TOKENIZERS:
        if name in recipe and name not in wanted:
            raise ConfigError(f"this task has no use for [{name}]", hint=f"leave [{name}] out")
    for name, (shelf, usual) in shelves.items():
        asked = recipe.get(name, {})
        table = {"kind": usual} | ({"kind": asked} if isinstance(asked, str) else asked)
        full[name] = defaults(shelf.find(table["kind"]), "seed") | table
    if preprocessing:
        full["preprocessor"] = defaults(preprocessing) | recipe.get("preprocessor", {})
    for name, constructor in (("data", task.dataset), *SECTIONS.items()):
        full[name] = defaults(constructor, "seed") | recipe.get(name, {})
    full["model"] = defaults(Ends) | full["model"]
    full["train"] |= defaults(Measured) | recipe.get("train", {})
    return full
