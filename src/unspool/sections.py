"""A recipe as typed objects, and a recipe with every default written out."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import signature
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from unspool.build import ModelOptions, dataset, pipeline_options, task_class
from unspool.data.splits import Dataset
from unspool.data.tokenizer import tokenizers
from unspool.errors import ConfigError, unknown
from unspool.models.sequence import SequenceModel
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.recipe import TOKENIZERS, Recipe
from unspool.registry import Registry
from unspool.schema import Natural, NotNegative, defaults, validated
from unspool.tasks.task import Task, tasks
from unspool.training.precision import PrecisionName
from unspool.training.trainer import Trainer


@dataclass(frozen=True)
class EvaluateOptions:
    """The [evaluate] section.

    Args:
        times: how often to evaluate, evenly over the budget.
        patience: stop after so many evaluations without a better loss; 0: never.
    """

    times: Natural = 10
    patience: Natural = 0


@dataclass(frozen=True)
class SampleOptions:
    """The [sample] section: what a model writes during its training.

    Args:
        times: how often, evenly over the budget.
        prompt: what the text begins with.
        length: how many tokens.
        temperature: 0 is greedy, 1 the model's own distribution.
    """

    times: Natural = 4
    prompt: str = "\n"
    length: Natural = 200
    temperature: NotNegative = 0.8


@dataclass(frozen=True)
class SaveOptions:
    """The [save] section.

    Args:
        every: a checkpoint every so many steps, besides those at evaluations; 0: none.
        tensorboard: whether logs for TensorBoard are written.
    """

    every: Natural = 0
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.tensorboard and not find_spec("tensorboard"):
            raise ConfigError("save.tensorboard needs tensorboard", hint="pip install tensorboard")


@dataclass(frozen=True)
class HardwareOptions:
    """What the [train] section says of the machine.

    Args:
        precision: the precision of matrix products; "auto" measures which is fastest here.
        threads: how many threads of the processor; 0 picks the fastest number.
        device: where to train: cpu, cuda, mps, or auto for the fastest.
    """

    precision: Literal["auto", PrecisionName] = "auto"
    threads: Annotated[int, Ge(0), Le(1024)] = 0
    device: str = "auto"


@dataclass(frozen=True)
class Sections:
    """A recipe as typed objects: each section as what reads it, every value checked.

    Args:
        recipe: the same as plain data, every default written out.
        seed: of everything that is drawn.
        task: the class of the task.
        dataset: what reads the data: `sections.dataset.read()`.
        evaluate: how often to evaluate.
        sample: how often to let the model write, and how.
        save: how often to save.
        hardware: precision, threads and device.
    """

    recipe: Recipe
    seed: int
    task: type[Task]
    dataset: Dataset
    evaluate: EvaluateOptions
    sample: SampleOptions
    save: SaveOptions
    hardware: HardwareOptions

    @classmethod
    def of(cls, recipe: Recipe) -> "Sections":
        """The sections of a recipe. Raises: ConfigError that names the key, what it takes, and what it was given.

        >>> sections = Sections.of({"data": {"corpus": "python-docs"}, "core": {"kind": "recurrent", "width": 8}})
        >>> sections.task.__name__, sections.evaluate.times
        ('Language', 10)
        """
        full = complete(recipe)
        hardware = {key: full["train"][key] for key in defaults(HardwareOptions)}
        return cls(
            full,
            full["seed"],
            task_class(full),
            dataset(full),
            EvaluateOptions(**validated(EvaluateOptions, full["evaluate"], "evaluate", "evaluation")),
            SampleOptions(**validated(SampleOptions, full["sample"], "sample", "sampling")),
            SaveOptions(**validated(SaveOptions, full["save"], "save", "saving")),
            HardwareOptions(**validated(HardwareOptions, hardware, "train", "training")),
        )


SHELVES: dict[str, tuple[Registry[Any], str]] = {
    "task": (tasks, "language"),
    "core": (cores, "recurrent"),
}
"""Sections that name a thing on a shelf, and the usual one."""

WITHIN: dict[str, Registry[Any]] = {"cell": cells, "core": cores}
"""Options of a core that name a thing on a shelf, with options of its own."""

SECTIONS: dict[str, Any] = {
    "model": SequenceModel,
    "train": Trainer,
    "evaluate": EvaluateOptions,
    "sample": SampleOptions,
    "save": SaveOptions,
}
"""Sections that are the arguments of one constructor."""


def complete(recipe: Recipe) -> Recipe:
    """The recipe with every default written out, so that it means the same when a default changes.

    >>> complete({"core": {"kind": "recurrent", "width": 8}})["core"]["cell"]
    'lstm'
    """
    full: Recipe = {name: recipe[name] for name in ("seed", "plugin", "about", "expect") if name in recipe}
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
        cls = shelf.find(table["kind"])
        extra = pipeline_options(cls, {}) if name == "task" else {}
        known = {*signature(cls).parameters, *extra}
        table = known_options(table, known, name, f"{shelf.what} {table['kind']!r}", cls)
        full[name] = {"kind": table["kind"], **defaults(cls, "seed"), **table}
    full["task"] = {"kind": full["task"]["kind"], **pipeline_options(task, {}), **full["task"]}
    if preprocessing:
        full["preprocessor"] = defaults(preprocessing) | recipe.get("preprocessor", {})
    for name, constructor in (("data", task.dataset), *SECTIONS.items()):
        full[name] = defaults(constructor, "seed") | recipe.get(name, {})
    full["model"] = defaults(ModelOptions) | full["model"]
    full["train"] |= defaults(HardwareOptions) | recipe.get("train", {})
    return full


def inner_options(cls: type[Any], table: Mapping[str, Any]) -> dict[str, str]:
    """Options of what stands within a section, a core's cell say, by their names; with their keys in that section.

    >>> inner_options(cores.find("recurrent"), {"cell": "lstm"})["biases"]
    'cell.biases'
    """
    found: dict[str, str] = {}
    usual = defaults(cls)
    for place, shelf in WITHIN.items():
        asked = table.get(place) or usual.get(place, "")
        inner = {"kind": asked} if isinstance(asked, str) else asked
        if place in usual and isinstance(inner, Mapping) and inner.get("kind"):
            theirs = shelf.find(inner["kind"])
            named = {name: name for name in defaults(theirs)} | inner_options(theirs, inner)
            found = {name: f"{place}.{key}" for name, key in named.items()} | found
    return found


def known_options(
    table: Mapping[str, Any], known: Set[str], key: str, what: str, cls: type[Any] | None = None
) -> dict[str, Any]:
    """The options of a section, without the empty ones that its kind does not have.

    With another kind a recipe's section keeps its options; "core.cell=" leaves out what the new kind has no use for.

    Args:
        table: the section, its `kind` too.
        known: the options of that kind.
        key: the name of the section.
        what: the kind in words.
        cls: of that kind; an unknown option may be one of what is within it.

    Raises:
        ConfigError: for an option that this kind does not have.

    >>> known_options({"kind": "transformer", "cell": ""}, {"width"}, "core", "core 'transformer'")
    {'kind': 'transformer'}
    """
    found = {name: value for name, value in table.items() if name in known or name == "kind" or value != ""}
    for name in found:
        if name != "kind" and name not in known:
            error = unknown(f"option for {what}:", name, known, prefix=f"{key}.")
            if cls and (place := inner_options(cls, found).get(name)):
                error.hint = f"did you mean {f'{key}.{place}'!r}? {key}.{name}= leaves it out"
            elif not error.hint.startswith("did you mean"):
                error.hint = f"{key}.{name}= leaves it out, or {error.hint}"
            raise error
    return found
