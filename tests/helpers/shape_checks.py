"""Checks the shapes of most calls, not of all: a check costs more than a step of a tiny model.

`--jaxtyping-packages` makes jaxtyping and beartype check the annotations of every function of Unspool at every call,
which takes two thirds of the suite's time where a test writes a thousand characters. Here a function is checked the
first `FIRST` times that a test calls it, and every `EVERY`th time from then on.
"""

import functools
import inspect

import jaxtyping

FIRST, EVERY = 12, 16
tests = 0
"""How many tests have begun."""


def check_some_calls():
    """Wrap what the import hook of jaxtyping decorates functions with; before anything of Unspool is imported."""
    all_checked = jaxtyping.jaxtyped

    def jaxtyped(*functions, typechecker):
        def decorate(function):
            checked = all_checked(function, typechecker=typechecker)
            return sampled(function, checked) if inspect.isfunction(function) else checked

        return decorate(*functions) if functions else decorate

    jaxtyping.jaxtyped = jaxtyped


def sampled(function, checked):
    """A function that is the checked one at some of its calls."""
    calls, test = 0, -1

    @functools.wraps(function)
    def call(*args, **kwargs):
        nonlocal calls, test
        calls, test = (calls + 1 if test == tests else 1), tests
        return (checked if calls <= FIRST or calls % EVERY == 0 else function)(*args, **kwargs)

    return call
