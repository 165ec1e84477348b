"""What is public, or on a shelf, says what it takes and shows how it is used."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import unspool
from unspool.cli.explain import argument
from unspool.data.preprocessors.preprocessor import preprocessors
from unspool.data.tokenizer import tokenizers
from unspool.metrics.metric import Metric
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.tasks.task import tasks

SHELVES = (cells, cores, tokenizers, preprocessors, tasks)
LAYERS = ("attention", "blocks", "embeddings", "heads", "linear_attention", "positions", "short_convolution")
STARRED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def classes(module):
    """The public classes that a module defines."""
    found = (thing for name, thing in vars(module).items() if isinstance(thing, type) and not name.startswith("_"))
    return [thing for thing in found if thing.__module__ == module.__name__]


def submodules(package):
    folder = importlib.import_module(package)
    return [importlib.import_module(f"{package}.{module.name}") for module in pkgutil.iter_modules(folder.__path__)]


def documented():
    """Every class and function whose docstring is held to the standard, by its full name."""
    found = [getattr(unspool, name) for name in unspool.__all__]
    found = [thing for thing in found if isinstance(thing, type) or inspect.isfunction(thing)]
    found += [shelf.find(kind) for shelf in SHELVES for kind in shelf.kinds()]
    found += [one for layer in LAYERS for one in classes(importlib.import_module(f"unspool.nn.{layer}"))]
    metrics = [one for module in submodules("unspool.metrics") for one in classes(module)]
    found += [one for one in metrics if issubclass(one, Metric) and not inspect.isabstract(one)]
    return {f"{thing.__module__}.{thing.__qualname__}": thing for thing in found}


def explained_fields(thing):
    """The fields of a dataclass or a named tuple that have a comment behind them."""
    if not dataclasses.is_dataclass(thing) and not hasattr(thing, "_fields"):
        return set()
    lines = [line.partition("  # ") for line in inspect.getsource(thing).splitlines()]
    return {code.split(":")[0].strip() for code, _, comment in lines if comment}


DOCUMENTED = documented()
everything = pytest.mark.parametrize("thing", DOCUMENTED.values(), ids=DOCUMENTED)


@everything
def test_it_has_an_example(thing):
    assert ">>> " in (thing.__doc__ or ""), "add a doctest to its own docstring"


@everything
def test_every_argument_is_explained(thing):
    takes = {name for name, one in inspect.signature(thing).parameters.items() if one.kind not in STARRED}
    takes = set() if getattr(thing, "_is_protocol", False) else takes
    silent = {name for name in takes if not argument(thing, name)} - explained_fields(thing)
    assert not silent, f"say under Args: what {', '.join(sorted(silent))} is"
