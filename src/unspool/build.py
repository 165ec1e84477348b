"""From a recipe to the things it names."""

from collections.abc import Mapping
from typing import Any

from unspool.batch import Kind, Numbers, Tokens
from unspool.config import Recipe
from unspool.data.source import Source
from unspool.data.tokenizer import Tokenizer, tokenizers
from unspool.errors import ConfigError
from unspool.models.sequence import SequenceModel
from unspool.nn.core import cores
from unspool.nn.ends import embedding, head
from unspool.registry import validated
from unspool.tasks.task import Task, tasks


def source(recipe: Recipe) -> Source:
    """Where the recipe's data is.

    >>> source({"data": {"corpus": "python-docs"}}).corpus
    'python-docs'
    """
    return Source(**validated(Source, recipe.get("data", {}), "data", "the data"))


def task(recipe: Recipe, splits: Any, tokenizer: Tokenizer | None = None) -> Task:
    """The recipe's task on that data; the tokenizer is fitted to the training text unless one is given."""
    if tokenizer is None:
        tokenizer = tokenizers.build("tokenizer", recipe.get("tokenizer", "char"))
        tokenizer.fit(splits.train + splits.valid + splits.test if tokenizer.sees_all else splits.train)
    given = {"splits": splits, "tokenizer": tokenizer, "seed": recipe.get("seed", 0)}
    return tasks.build("task", recipe.get("task", "language"), **given)


def model(recipe: Recipe, reads: Kind, writes: Kind) -> SequenceModel:
    """The recipe's model for things of these kinds, with weights drawn from torch's generator.

    >>> recipe = {"core": {"kind": "recurrent", "cell": "gru", "width": 8}}
    >>> sum(p.numel() for p in model(recipe, Tokens(5), Tokens(5)).parameters())
    517
    """
    if "core" not in recipe:
        raise ConfigError("the recipe has no [core]", hint=f"set core.kind to one of {', '.join(cores.kinds())}")
    core = cores.build("core", recipe["core"])
    ends = embedding(reads, core.input_width), core, head(writes, core.width)
    options = validated(SequenceModel, recipe.get("model", {}), "model", "the model", _GIVEN)
    return SequenceModel(*ends, **options)


_GIVEN = dict.fromkeys(("embedding", "core", "head"))


def kind(data: Mapping[str, Any]) -> Kind:
    """The kind that plain data says.

    >>> kind({"kind": "Tokens", "size": 65})
    Tokens(size=65)
    """
    kinds: dict[str, type[Tokens] | type[Numbers]] = {"Tokens": Tokens, "Numbers": Numbers}
    return kinds[data["kind"]](int(data["size"]))
