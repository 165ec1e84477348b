"""A recipe: a TOML file and overrides from the command line, nothing else.

Settings have three layers: the constructors' defaults, the recipe, `section.key=value`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import Any

from unspool.errors import ConfigError, unknown
from unspool.schema import brief

Recipe = dict[str, Any]
"""Sections by name, options by key."""

SECTIONS = (
    "seed",
    "plugin",
    "about",
    "data",
    "tokenizer",
    "source_tokenizer",
    "labels",
    "preprocessor",
    "task",
    "model",
    "core",
    "encoder",
    "train",
    "evaluate",
    "sample",
    "save",
    "expect",
)
"""What may stand at the top of a recipe."""
MAIN = "char-lm"
"""The recipe to begin with."""
SHAPES = {
    "language": "the next token of a text",
    "music": "the next character of a tune, the next chord",
    "one-to-one": "one input, one output, no time",
    "one-to-many": "one input, a sequence out",
    "many-to-one": "a sequence in, one label out",
    "many-to-many": "a sequence in, a sequence out",
    "forecasting": "how a series of numbers goes on",
    "memory": "small problems that need memory",
}
"""What goes in and what comes out: `about.shape` of the recipes here, in the order in which they are listed."""
LECTURES = {
    "STAT453": "Raschka, STAT453: L15 and L19",
    "NYU practicum": "Canziani, NYU Deep Learning: the practica on recurrent networks",
    "MIT 6.S191": "Amini, MIT 6.S191: lecture 2 and lab 1",
    "beyond the lectures": "from papers, or of our own",
}
"""Where the recipes here come from: `about.lecture` begins with one of these, before a comma."""
LARGEST = 2**20
"""So many bytes a recipe has at most."""
DEEPEST = 16
"""So many tables stand in one another at most."""
TOKENIZERS = ("tokenizer", "source_tokenizer", "labels")
"""Sections that turn text into ids, each kept in a file of its name."""


def recipe_names() -> dict[str, str]:
    """The recipes that come with the package: name -> its first comment line.

    >>> "char-lm" in recipe_names()
    True
    """
    found = {}
    for entry in files("unspool.recipes").iterdir():
        if entry.name.endswith(".toml"):
            first = entry.read_text(encoding="utf-8").partition("\n")[0]
            found[entry.name.removesuffix(".toml")] = first.lstrip("# ").rstrip(".")
    return dict(sorted(found.items()))


def recipe_groups(by: str = "shape") -> dict[str, list[str]]:
    """The names of the recipes that come with the package by what their [about] section says, the main one first.

    Args:
        by: "shape" or "lecture".

    >>> list(recipe_groups())[0], recipe_groups()["language"][0]
    ('language', 'char-lm')
    """
    found: dict[str, list[str]] = {group: [] for group in (SHAPES if by == "shape" else LECTURES)}
    for name in sorted(recipe_names(), key=lambda name: (name != MAIN, name)):
        about = parse_recipe(read_recipe(name), name)["about"][by]
        found[about.partition(",")[0]].append(name)
    return found


def load_recipe(name: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """The recipe of that name, or of that .toml file, with the overrides applied.

    Args:
        name: of a recipe that comes with the package, or the path of a .toml file.
        overrides: texts as on the command line, "core.width=64", or values by their keys.

    >>> load_recipe("char-lm", ["core.width=64"])["core"]["width"]
    64
    """
    recipe = parse_recipe(read_recipe(str(name)), str(name))
    for one in overrides:
        if isinstance(overrides, Mapping):
            set_key(recipe, one, overrides[one])
        else:
            override(recipe, one)
    check_sections(recipe)
    return recipe


def read_recipe(name: str) -> str:
    """The text of a recipe, from the package or from a file."""
    path = Path(name)
    if path.suffix != ".toml" and name in recipe_names():
        return files("unspool.recipes").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    if path.suffix != ".toml":
        raise unknown_recipe(name)
    hint = "a recipe is a TOML file in UTF-8"
    try:
        if not path.is_dir() and not path.is_file() and path.exists():  # a pipe or a device might never end
            raise ConfigError(f"cannot read the recipe {name}: it is not a regular file", hint=hint)
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"cannot read the recipe {name}: it has more than {LARGEST // 2**20} MB", hint=hint)
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no recipe file {name}", hint="`unspool recipes` lists the named ones") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read the recipe {name}: {reason}", hint=hint) from None


def unknown_recipe(name: str) -> ConfigError:
    """What to type where no recipe has that name: the nearest one, or one for the data file that it is."""
    if Path(name).exists():
        recipe = MAIN if Path(name).suffix == ".txt" else "RECIPE"
        return ConfigError(
            f"{name} is data, not a recipe",
            hint=f"unspool train {recipe} {quote(f'data.path={name}')}; `unspool recipes` lists the recipes",
        )
    error = unknown("recipe", name, recipe_names())
    if not error.hint.startswith("did you mean"):
        error.hint = "`unspool recipes` lists them; one of your own is a .toml file"
    return error


def parse_recipe(text: str, name: str) -> Recipe:
    """The recipe that a TOML text says."""
    try:
        return _loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{name} is not valid TOML: {error}", hint="strings need quotes, tables stand in [brackets]"
        ) from None


def _loads(text: str) -> Recipe:
    """What a TOML text says. Raises: ValueError for one that is no TOML, and for numbers and depths beyond reason."""
    try:
        found = tomllib.loads(text)
    except RecursionError:
        raise TooMuch("it is nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python reads at most 4,300 digits
        raise TooMuch("a number has thousands of digits") from None
    _refuse_endless(found, DEEPEST)
    return found


class TooMuch(ValueError):
    """A TOML text that may be valid, and that no recipe needs."""


def _refuse_endless(value: Any, depth: int) -> None:
    """Raise TooMuch where tables and lists stand in one another more than `depth` times, or a number is beyond reason.

    >>> _refuse_endless({"core": {"core": {}}}, 1)
    Traceback (most recent call last):
    ...
    unspool.recipe.TooMuch: it is nested too deeply
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise TooMuch(f"a number has {int(abs(value).bit_length() * 0.302)} digits")
    if isinstance(value, dict | list):
        if not depth:
            raise TooMuch("it is nested too deeply")
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_endless(inner, depth - 1)


def override(recipe: Recipe, text: str) -> None:
    """Apply one `section.key=value`; a value is read as TOML where it can be, and as a string where not."""
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"cannot read the override {brief(text)}", hint="write it as section.key=value")
    try:
        set_key(recipe, key, value_of(value))
    except TooMuch as error:
        raise ConfigError(f"cannot read the value of {brief(key)}: {error}", hint="write a shorter one") from None


def set_key(recipe: Recipe, key: str, value: Any) -> None:
    """Set `section.key` of a recipe to a value.

    >>> recipe = {"core": "recurrent"}
    >>> set_key(recipe, "core.width", 64)
    >>> recipe
    {'core': {'kind': 'recurrent', 'width': 64}}
    """
    if not all(key.split(".")) or key.count(".") >= DEEPEST:
        raise ConfigError(f"cannot read the key {brief(key)}", hint="write it as section.key=value")
    *sections, last = key.split(".")
    table = recipe
    for depth, section in enumerate(sections, start=1):
        place = ".".join(sections[:depth])
        inner = table.setdefault(section, {})
        if isinstance(inner, str):  # core.cell.peephole=... after core.cell = "lstm"
            inner = table[section] = {"kind": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"cannot set {key}: {section} is a value, not a section", hint=f"set {place}=VALUE")
        table = inner
    table[last] = value


def value_of(text: str) -> Any:
    """A number, a boolean, a list or a table as TOML writes them; anything else is a string."""
    try:
        return _loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return {"True": True, "False": False}.get(text, text)


def check_sections(recipe: Recipe) -> None:
    """Refuse a section that nothing reads, and a section that is not a table."""
    for name, value in recipe.items():
        if name not in SECTIONS:
            raise unknown_section(name, recipe)
        if name == "seed":
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
                raise ConfigError(
                    f"seed should be a whole number, zero or more, received {brief(value)}", hint="seed=0"
                )
        elif name == "plugin":
            if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
                raise ConfigError(
                    f"plugin should be a list of files, received {brief(value)}",
                    hint="leave it out, and give --plugin FILE",
                )
        elif not isinstance(value, dict):
            raise ConfigError(f"{name} should be a section, received {brief(value)}", hint=f"set {name}.KEY=VALUE")


def unknown_section(name: str, recipe: Recipe) -> ConfigError:
    """Which section is meant: the one that has a setting of this name, or that of the nearest name.

    >>> unknown_section("width", {"core": {"width": 64}, "width": 3}).hint
    'did you mean core.width?'
    >>> unknown_section("cores", {}).hint
    "did you mean 'core'?"
    """
    homes = [section for section, table in recipe.items() if isinstance(table, dict) and name in table]
    error = unknown("section", name, SECTIONS)
    if homes:
        error.hint = f"did you mean {' or '.join(f'{home}.{name}' for home in homes)}?"
    elif not error.hint.startswith("did you mean"):
        error.hint = (
            f"write it as SECTION.KEY=VALUE, for instance train.steps=100; the sections are {', '.join(SECTIONS)}"
        )
    return error


def dump_recipe(recipe: Mapping[str, Any]) -> str:
    """The recipe as TOML: reading it back gives the same recipe.

    >>> print(dump_recipe({"seed": 1, "core": {"kind": "recurrent", "width": 64}}), end="")
    seed = 1
    <BLANKLINE>
    [core]
    kind = "recurrent"
    width = 64
    """
    import tomli_w

    return tomli_w.dumps(toml_value(recipe))


def toml_value(value: Any) -> Any:
    """A value as TOML knows it: paths as strings; options that are None are left out.

    >>> toml_value({"path": Path("a.txt"), "limit": None, "columns": ("x", "y")})
    {'path': 'a.txt', 'columns': ['x', 'y']}
    """
    if isinstance(value, Mapping):
        return {key: toml_value(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [toml_value(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
