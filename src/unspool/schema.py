"""The constructor is the schema: an option's annotation says which values it takes, and pydantic checks them."""

import inspect
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import lru_cache
from typing import Annotated, Any, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from unspool.errors import ConfigError, unknown

Count = Annotated[int, Gt(0), Le(10**12)]
"""A whole number, at least one."""
Depth = Annotated[int, Gt(0), Le(1000)]
"""How many things lie above each other: each is built one by one."""
Natural = Annotated[int, Ge(0), Le(10**12)]
"""A whole number, zero allowed."""
Positive = Annotated[float, Gt(0), Le(1e30)]
"""A number above zero."""
NotNegative = Annotated[float, Ge(0), Le(1e30)]
"""A number, zero allowed."""
Finite = Annotated[float, Ge(-1e30), Le(1e30)]
"""Any number but NaN and the infinities."""
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
    close = get_close_matches(str(value)[:80], map(str, get_args(wanted)), n=1)
    hint = f"did you mean {key}={close[0]}?" if close else f"set it with {key}=VALUE"
    return ConfigError(f"{sentence}, received {brief(value)}", hint=hint)


BRIEF = reprlib.Repr()
BRIEF.maxstring = BRIEF.maxlong = BRIEF.maxother = 80
BRIEF.maxlist = BRIEF.maxtuple = BRIEF.maxdict = 12


def brief(value: Any) -> str:
    """A value as an error quotes it: short, however long or deep it is.

    >>> brief([1, "two"]), len(brief("x" * 5000))
    ("[1, 'two']", 80)
    """
    return BRIEF.repr(value)


def from_json(text: str, wanted: Any) -> Any:
    """The value that a JSON text says, checked against a type, strictly: a string is no number.

    Args:
        text: of a file that anybody may have written: its depth and its digits are bounded.
        wanted: a type such as `dict[str, Any]`, or a dataclass that says which fields there are; others are ignored.

    Raises:
        ValueError: with the place and the complaint.

    >>> from_json('{"loss": 1.5}', dict[str, float])
    {'loss': 1.5}
    >>> from_json('{"loss": "1.5"}', dict[str, float])
    Traceback (most recent call last):
    ...
    ValueError: loss should be a valid number
    """
    with _explained():
        return adapter(wanted).validate_json(text, strict=True)


def checked(value: Any, wanted: Any) -> Any:
    """A value as a type wants it, a dataclass from a table. Raises: ValueError with the place and the complaint.

    >>> checked({"loss": 2}, dict[str, float])
    {'loss': 2.0}
    """
    with _explained():
        return adapter(wanted).validate_python(value)


@contextmanager
def _explained() -> Iterator[None]:
    """Turns the first of pydantic's complaints into one sentence."""
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = brief(".".join(map(str, first["loc"]))).strip("'") or "it"
        reason = str(first["msg"])
        if first["type"] == "json_invalid":
            raise ValueError(f"it is not valid JSON: {reason.removeprefix('Invalid JSON: ')}") from None
        raise ValueError(reason.replace("Input", place, 1) if "Input" in reason else f"{place}: {reason}") from None


@lru_cache(maxsize=64)
def adapter(wanted: Any) -> Any:
    """What checks values of a type."""
    from pydantic import TypeAdapter

    return TypeAdapter(wanted)


def defaults(function: Callable[..., Any], *without: str) -> dict[str, Any]:
    """What a recipe may leave out, and what is taken then.

    >>> defaults(lambda width, layers=1: ...)
    {'layers': 1}
    """
    found = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.name not in without}
    plain = {name: value for name, value in found.items() if isinstance(value, str | int | float | tuple)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
