"""Names for the things a recipe may ask for.

A constructor is its own schema: its keyword arguments are the keys a recipe may set, and their annotations say which
values they take. Pydantic checks the values; nothing is written twice.
"""

import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

from unspool.errors import ConfigError, unknown

T = TypeVar("T")

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

PLUGINS = "unspool.plugins"
"""The entry point group whose modules are imported before a name is looked up."""


class Registry(Generic[T]):
    """A shelf: `kind` -> class, filled by the files of one folder, by plug-in files and by entry points.

    >>> from unspool.nn.cell import cells
    >>> "lstm" in cells.kinds()
    True
    >>> cells.build("cell", "lstm", input_size=2, hidden_size=3).hidden_size
    3
    """

    def __init__(self, what: str, folder: str) -> None:
        self.what, self.folder = what, folder
        self._known: dict[str, type[T]] = {}

    def register(self, kind: str) -> Callable[[type[T]], type[T]]:
        """A decorator that puts a class on the shelf under this name."""

        def add(cls: type[T]) -> type[T]:
            there = self._known.get(kind)
            if there is not None and there.__module__ != cls.__module__:
                raise ConfigError(
                    f"the {self.what} {kind!r} of {cls.__module__} is already defined in {there.__module__}",
                    hint="give yours another name",
                )
            self._known[kind] = cls
            return cls

        return add

    def kinds(self) -> list[str]:
        """Every name on the shelf, sorted."""
        package = import_module(self.folder)
        for module in pkgutil.iter_modules(package.__path__):
            import_module(f"{self.folder}.{module.name}")
        for point in entry_points(group=PLUGINS):
            with plugged_in(point.value):
                point.load()
        return sorted(self._known)

    def find(self, kind: object) -> type[T]:
        """The class of that name; the nearest right name is suggested when there is none."""
        kinds = self.kinds()
        if kind not in kinds:
            raise unknown(self.what, str(kind), kinds)
        return self._known[str(kind)]

    def build(self, key: str, options: str | Mapping[str, Any], **given: Any) -> T:
        """The thing that a recipe's section asks for.

        `key` is where the options stand in the recipe (errors quote it), `options` a kind alone or a table with `kind`
        and the constructor's arguments, `given` what the surrounding code decides.
        """
        table = {"kind": options} if isinstance(options, str) else dict(options)
        kind = table.pop("kind", None)
        if not isinstance(kind, str):
            raise ConfigError(f"{key} names no {self.what}", hint=f"set {key}.kind to one of {', '.join(self.kinds())}")
        cls = self.find(kind)
        return cls(**validated(cls, table, key, f"{self.what} {kind!r}", given), **given)


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


@contextmanager
def plugged_in(name: object) -> Iterator[None]:
    """Turns whatever somebody else's code raises while it is imported into one sentence."""
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"the plug-in {name} failed: {type(error).__name__}: {error}", hint="--debug shows where"
        ) from error


def module_of(plugin: str | Path) -> str:
    """The name under which a plug-in file is imported."""
    return f"unspool_plugin_{Path(plugin).stem}"


def load_plugin(path: Path) -> None:
    """Import a user's file, so that what it registers can be named. The user asked for it: this runs the file."""
    name = module_of(path)
    if not path.is_file():
        raise ConfigError(f"there is no plug-in file {path}", hint="--plugin takes the path of a Python file")
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"the plug-in {path} is not a Python file", hint="its name should end in .py")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        with plugged_in(path):
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise


def defaults(function: Callable[..., Any], *without: str) -> dict[str, Any]:
    """What a recipe may leave out, and what is taken then.

    >>> defaults(lambda width, layers=1: ...)
    {'layers': 1}
    """
    found = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.name not in without}
    plain = {name: value for name, value in found.items() if isinstance(value, str | int | float | tuple)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
