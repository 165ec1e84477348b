"""The constructor is the schema: an option's annotation says which values it takes, and pydantic checks them."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from unspool.errors import ConfigError, unknown

Count = Annotated[int, Gt(0), Le(10**12)]
"""A whole number, at least one."""
Natural = Annotated[int, Ge(0), Le(10**12)]
"""A whole number, zero allowed."""
Positive = Annotated[float, Gt(0), Le(1e30)]
"""A number above zero."""
NotNegative = Annotated[float, Ge(0), Le(1e30)]
"""A number, zero allowed."""
Share = Annotated[float, Ge(0), Lt(1)]
"""A part of a whole: zero allowed, one not."""
Portion = Annotated[float, Ge(0), Le(1)]
"""A part of a whole: zero and one allowed."""


def validated(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    key: str,
    what: str,
    given: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The options as the function's annotations want them, or a ConfigError that names key, expectation and value.

    >>> def train(steps: Count = 1): ...
    >>> validated(train, {"steps": "20"}, "train", "training")
    {'steps': 20}
    """
    from pydantic import TypeAdapter, ValidationError

    given = given or {}
    accepted = {name: p for name, p in inspect.signature(function).parameters.items() if name not in given}
    hints = get_type_hints(function.__init__ if inspect.isclass(function) else function, include_extras=True)
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in accepted:
            raise unknown(f"option for {what}:", name, accepted, prefix=f"{key}.")
        wanted = hints.get(name, Any)
        try:  # true is not the number one
            adapter = TypeAdapter(wanted, config={"allow_inf_nan": False})
            values[name] = adapter.validate_python(value, strict=isinstance(value, bool))
        except ValidationError as error:
            complaint = error.errors(include_url=False)[-1]["msg"]
            raise unfit(f"{key}.{name}", complaint, value, wanted) from None
    missing = [
        n for n, p in accepted.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD and n not in values
    ]
    if missing:
        keys = " and ".join(f"{key}.{name}" for name in missing)
        raise ConfigError(f"{what} needs {keys}", hint=f"set it with {key}.{missing[0]}=VALUE")
    return values


def unfit(key: str, complaint: str, value: Any, wanted: Any) -> ConfigError:
    """The error for a value that its option cannot take, with the nearest one that it can.

    >>> print(unfit("train.steps", "Input should be greater than 0", -1, Count))
    train.steps should be greater than 0, received -1
    """
    sentence = complaint.replace("Input", key, 1) if complaint.startswith("Input") else f"{key}: {complaint}"
    close = get_close_matches(str(value), map(str, get_args(wanted)), n=1)
    hint = f"did you mean {key}={close[0]}?" if close else f"set it with {key}=VALUE"
    return ConfigError(f"{sentence}, received {value!r}", hint=hint)


def defaults(function: Callable[..., Any], *without: str) -> dict[str, Any]:
    """What a recipe may leave out, and what is taken then.

    >>> defaults(lambda width, layers=1: ...)
    {'layers': 1}
    """
    found = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.name not in without}
    plain = {name: value for name, value in found.items() if isinstance(value, str | int | float | tuple)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
