"""Registries: the classes that a recipe can name."""

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

from unspool.errors import ConfigError, unknown
from unspool.plugins import load_entry_points
from unspool.schema import validated

T = TypeVar("T")


class Registry(Generic[T]):
    """Classes by the name that a recipe gives as `kind`: those of one package, of plug-in files and of entry points.

    Args:
        what: what its classes are called in messages, "cell" for instance.
        folder: the package whose modules register them.

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
        """A decorator that registers a class under this name."""

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
        """Every registered name, sorted."""
        package = import_module(self.folder)
        for module in pkgutil.iter_modules(package.__path__):
            import_module(f"{self.folder}.{module.name}")
        load_entry_points()
        return sorted(self._known)

    def find(self, kind: object) -> type[T]:
        """The class of that name; the nearest right name is suggested when there is none.

        The file that is called like it is imported first; only if it is not there all files of the shelf are.
        """
        name = str(kind)
        if name not in self._known:
            module = name.replace("-", "_")
            if module.isidentifier() and find_spec(f"{self.folder}.{module}"):
                import_module(f"{self.folder}.{module}")
        if name not in self._known:
            kinds = self.kinds()
            if name not in kinds:
                error = unknown(self.what, name, kinds)
                error.hint += f" (a {self.what} of your own: --plugin FILE)"
                raise error
        return self._known[name]

    def kind_of(self, cls: type[T]) -> str:
        """The name under which a class was registered: no other file of the shelf is imported for it.

        >>> from unspool.nn.cell import cells
        >>> cells.kind_of(cells.find("gru"))
        'gru'
        """
        return next(kind for kind, known in self._known.items() if known is cls)

    def build(self, key: str, options: str | Mapping[str, Any], **given: Any) -> T:
        """The thing that a recipe's section asks for.

        `key` is where the options stand in the recipe (errors quote it), `options` a kind alone or a table with `kind`
        and the constructor's arguments, `given` what the surrounding code decides. What it was
        built from is kept on it as `built_from`, so that a model can be written down.
        """
        table = {"kind": options} if isinstance(options, str) else dict(options)
        kind = table.pop("kind", None)
        if not isinstance(kind, str):
            raise ConfigError(f"{key} names no {self.what}", hint=f"set {key}.kind to one of {', '.join(self.kinds())}")
        cls = self.find(kind)
        made = cls(**validated(cls, table, key, f"{self.what} {kind!r}", given), **given)
        plain = {name: value for name, value in given.items() if isinstance(value, str | int | float)}
        made.built_from = {"kind": kind, **table, **plain}  # type: ignore[attr-defined]
        return made
