"""What the settings of a recipe mean, from the docstrings and annotations of the constructors that read them."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import wrap
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import annotated_types as bounds

COLUMNS = 96
"""The width of a comment."""
ENDLESS = 1e9
"""A limit this high protects the machine and is of no interest to a reader."""
EQUATION = re.compile(r"[\w', ]+ = ")
SECTION, KEY = re.compile(r"\[([\w.]+)\]"), re.compile(r"(\w+) *=")

PURPOSES = {
    "about": "how the recipe is listed",
    "data": "where the data is, and how it is read and split",
    "tokenizer": "how text becomes tokens",
    "source_tokenizer": "how the text that is read becomes tokens",
    "labels": "how labels become ids",
    "preprocessor": "how records become tensors",
    "task": "what is predicted, and what a batch is",
    "model": "what surrounds the core",
    "core": "the network",
    "encoder": "the network that reads the source",
    "train": "the budget, the optimizer and the machine",
    "evaluate": "how often to evaluate",
    "sample": "what a language model writes on the way",
    "save": "how often to save",
    "expect": "what `unspool verify` checks",
}
"""What each section is for."""
PLAIN = {
    "seed": "The seed of all random numbers.",
    "about.shape": "What goes in and what comes out: `unspool recipes` lists by it.",
    "about.lecture": "The lecture that it is from, or the paper.",
    "expect.seeds": "The recipe is trained with so many seeds, and each claim holds for all of them.",
    "expect.published": "What others measured.",
}
"""Settings that no constructor reads."""


@dataclass(frozen=True)
class Setting:
    """One key of a section: what it means, which values it takes, and its default as TOML."""

    meaning: str
    takes: str = ""
    default: str = ""

    def comment(self) -> str:
        """All of it in one line."""
        values = "; ".join(filter(None, (self.takes, self.default and f"default {self.default}"))).replace("`", "")
        return f"{self.meaning} ({values})" if self.meaning and values else self.meaning or values


def explain(name: str) -> tuple[str, dict[str, Setting]]:
    """A named recipe, or a .toml file, with every setting explained.

    Returns:
        Its text with a comment above each section and each setting, and the explanation of each `section.key`.

    >>> text, settings = explain("char-lm")
    >>> settings["task.batch_size"].takes
    'whole number, 1 or more'
    """
    from unspool.recipe import load_recipe, read_recipe

    known, explained = known_settings(load_recipe(name)), dict[str, Setting]()
    section, lines = "", list[str]()
    for line in read_recipe(name).splitlines():
        header, key = SECTION.match(line), KEY.match(line)
        if header:
            section = header[1]
            line = f"{line} # {PURPOSES[section.rpartition('.')[2]]}"
        if key:
            place = f"{section}.{key[1]}" if section else key[1]
            explained[place] = known.get(place, Setting(""))
            lines += commented(explained[place].comment())
        lines.append(line)
    return "\n".join(lines) + "\n", explained


def commented(text: str) -> list[str]:
    """A text as lines of comment."""
    return [f"# {line}" for line in wrap(text, COLUMNS - 2, break_on_hyphens=False)]


def known_settings(recipe: Mapping[str, Any]) -> dict[str, Setting]:
    """What is known of every setting that a recipe could have, by `section.key`."""
    found = {place: Setting(meaning) for place, meaning in PLAIN.items()}
    for section, (kinds, readers) in section_readers(recipe).items():
        for key, setting in settings_of(*readers).items():
            found.setdefault(f"{section}.{key}", setting)
        if kinds:
            chosen = paragraph(readers[0]).split("\n\n")[0]
            found[f"{section}.kind"] = Setting(chosen, f"one of {', '.join(kinds)}")
    return found


def section_readers(recipe: Mapping[str, Any]) -> dict[str, tuple[list[str], list[Callable[..., Any]]]]:
    """The kinds that each section of a recipe can name (none for most), and the constructors that read it."""
    from unspool.build import ModelOptions, task_class
    from unspool.data.tokenizer import tokenizers
    from unspool.nn.core import cores
    from unspool.sections import SECTIONS, HardwareOptions, complete
    from unspool.tasks.task import tasks

    full, task = complete(dict(recipe)), task_class(dict(recipe))
    found: dict[str, tuple[list[str], list[Callable[..., Any]]]] = {"data": ([], [task.dataset])}
    found["task"] = tasks.kinds(), [task] if task.pipeline is None else [task, task.pipeline]
    if task.preprocessing is not None:
        found["preprocessor"] = [], [task.preprocessing]
        for name in task.preprocessing.tokenizers:
            found[name] = tokenizers.kinds(), [tokenizers.find(full[name]["kind"])]
    for name in ("core", "encoder"):
        if name in full:
            found[name] = cores.kinds(), [cores.find(full[name]["kind"])]
    inner = full["core"].get("core")
    if isinstance(inner, Mapping):  # the core that another is wrapped around
        found["core.core"] = cores.kinds(), [cores.find(inner["kind"])]
    more: dict[str, list[Callable[..., Any]]] = {"model": [ModelOptions], "train": [HardwareOptions]}
    return found | {name: ([], [*more.get(name, ()), cls]) for name, cls in SECTIONS.items()}


def settings_of(*readers: Callable[..., Any]) -> dict[str, Setting]:
    """The settings that some constructors read; the first that explains one says what it means.

    >>> def train(steps: int = 3): ...
    >>> settings_of(train)
    {'steps': Setting(meaning='', takes='whole number', default='`3`')}
    """
    found: dict[str, Setting] = {}
    for reader in readers:
        hints = get_type_hints(reader.__init__ if inspect.isclass(reader) else reader, include_extras=True)
        for name, parameter in inspect.signature(reader).parameters.items():
            if name in hints and parameter.kind is not parameter.VAR_KEYWORD:
                found.setdefault(
                    name, Setting(meaning(reader, name), takes(hints[name]), toml_default(parameter.default))
                )
    return found


def meaning(reader: Callable[..., Any], name: str) -> str:
    """What the docstring of a constructor, or of a class that it is made from, says of an argument.

    That is its entry under "Args:", or else the first sentence that names it in backticks.

    >>> from unspool.data.splits import SplitOptions
    >>> meaning(SplitOptions, "valid")
    'The share for validation, where validation has no file or folder of its own.'
    """
    if found := argument(reader, name):
        return found
    for text in docstrings(reader):
        for sentence in re.split(r"(?<=[.:])\s+(?=[A-Z`])", " ".join(description(text).split())):
            if f"`{name}`" in sentence:
                return sentence
    return ""


def argument(reader: Callable[..., Any], name: str) -> str:
    """The entry of an argument under "Args:"; "" where there is none."""
    entries = (arguments(text).get(name, "") for text in docstrings(reader))
    found = next(filter(None, entries), "")
    return found[:1].upper() + found[1:]


def docstrings(reader: Callable[..., Any]) -> list[str]:
    """The docstring of a function; those of a class and of the classes that it is made from."""
    texts = [vars(one).get("__doc__") for one in reader.__mro__] if isinstance(reader, type) else [reader.__doc__]
    return [inspect.cleandoc(text or "") for text in texts]


def arguments(docstring: str) -> dict[str, str]:
    """The entries under "Args:" of a docstring, by name without stars.

    >>> arguments("One line.\\n\\nArgs:\\n    a: one thing\\n        or two.\\n    b, c: others.\\n\\nReturns: d: no.")
    {'a': 'one thing or two.', 'b': 'others.', 'c': 'others.'}
    """
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if not line.startswith(" "):
            inside = line == "Args:" or (inside and not line)
        elif inside:
            entry = re.match(r"    ([\w, *]+): (.*)", line)
            if entry and not line.startswith("     "):
                names = entry[1].replace("*", "").split(", ")
                found |= dict.fromkeys(names, entry[2])
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def paragraph(thing: Callable[..., Any]) -> str:
    """The first paragraph of a docstring as one line."""
    return " ".join(description(thing).split("\n\n")[0].split())


def description(thing: Callable[..., Any] | str) -> str:
    """A docstring, or that of a class or function, without arguments and examples; equations are set as code."""
    text = thing if isinstance(thing, str) else inspect.cleandoc(thing.__doc__ or "")
    text = text.partition(">>>")[0].strip()
    paragraphs: list[str] = []
    for part in text.split("\n\n"):
        if part.startswith(("Args:", "Returns:", "Raises:")):
            continue
        if part.startswith("    "):  # an example of code, and what led to it
            paragraphs = []
        elif EQUATION.match(part):
            paragraphs.append("\n".join(f"    {line}" for line in part.split("\n")))
        else:
            paragraphs.append(part)
    return "\n\n".join(paragraphs)


def takes(annotation: Any) -> str:
    """The values that an annotation allows, in words.

    >>> takes(bool), takes(Literal["a", "b"]), takes(Annotated[int, bounds.Ge(0)])
    ('`true`, `false`', '`"a"`, `"b"`', 'whole number, 0 or more')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return bounded(arguments[0], [rule for extra in arguments[1:] for rule in getattr(extra, "metadata", [extra])])
    if origin is Literal:
        return ", ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple and Ellipsis in arguments:
        return f"a list, each a {takes(arguments[0])}"
    if origin is tuple:
        return f"a list of {len(arguments)}, each a {takes(arguments[0])}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(takes, arguments)))
    plain = {bool: "`true`, `false`", str: "text", int: "whole number", float: "number"}
    return plain.get(annotation, "a table of a kind and its keys")


def bounded(kind: Any, rules: list[Any]) -> str:
    """A number within its limits, in words."""
    words: list[str] = []
    for rule in rules:
        if isinstance(rule, bounds.Le) and float(rule.le) >= ENDLESS:  # type: ignore[arg-type]
            continue
        if isinstance(rule, bounds.Gt):
            words.append("1 or more" if kind is int and rule.gt == 0 else f"above {rule.gt}")
        elif isinstance(rule, bounds.Ge):
            words.append(f"{rule.ge} or more")
        elif isinstance(rule, bounds.Lt):
            words.append(f"below {rule.lt}")
        elif isinstance(rule, bounds.Le):
            words.append(f"at most {rule.le}")
    return ", ".join([takes(kind), *words])


def toml_default(default: Any) -> str:
    """A default as TOML writes it; "" where there is none.

    >>> toml_default(True), toml_default((0.9, 0.95)), toml_default("a")
    ('`true`', '`[0.9, 0.95]`', '`"a"`')
    """
    from unspool.recipe import toml_value

    if default is inspect.Parameter.empty:
        return ""
    return f"`{json.dumps(toml_value(default), ensure_ascii=False)}`"  # what TOML and JSON write the same way
