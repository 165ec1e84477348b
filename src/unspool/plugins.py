"""Other people's code: files given with --plugin, and packages that register under an entry point."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from unspool.errors import ConfigError

PLUGINS = "unspool.plugins"
"""The entry point group whose modules are imported before a name is looked up."""


@contextmanager
def plugged_in(name: object) -> Iterator[None]:
    """Turn any exception that a plug-in raises while it is imported into a ConfigError."""
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


def load_plugin(path: Path) -> ModuleType:
    """Import a user's file once, so that what it registers can be named. The user asked for it: this runs the file."""
    name = module_of(path)
    if not path.is_file():
        raise ConfigError(f"there is no plug-in file {path}", hint="--plugin takes the path of a Python file")
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ and Path(loaded.__file__).resolve() == path.resolve():
        return loaded
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
    return module


def load_entry_points() -> None:
    """Import every module that an installed package offers under the entry point group `unspool.plugins`."""
    for point in entry_points(group=PLUGINS):
        with plugged_in(point.value):
            point.load()
