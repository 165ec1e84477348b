"""What any text of the code proposes to type exists: verbs, options, settings with their values, packages."""

import ast
import re
import shlex
import tomllib
from itertools import chain
from pathlib import Path
from typing import get_type_hints

import pytest
import typer
from pydantic import TypeAdapter

import unspool
from unspool.build import ModelOptions
from unspool.cli import app
from unspool.cli.explain import PLAIN, settings_of
from unspool.data.tokenizer import tokenizers
from unspool.nn.cell import cells
from unspool.nn.core import cores
from unspool.recipe import SECTIONS as NAMES
from unspool.recipe import TOKENIZERS, value_of
from unspool.sections import SECTIONS, HardwareOptions
from unspool.tasks.task import tasks

SRC = Path(unspool.__file__).parent
PROJECT = tomllib.loads((SRC.parents[1] / "pyproject.toml").read_text())["project"]
COMMANDS = typer.main.get_command(app).commands
FOR_LOOK = ("look", "runs/probes.py", "cli/look.py")
"""Where the texts are of the verb `look`."""

COMMAND = re.compile(r"`unspool ([^`]*)`|^unspool ([^;`,]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
SETTING = re.compile(r"(?<![\w./{}-])([a-z_]+)\.([a-z_.]*[a-z_])(?![\w.]*[.(/])(=[^\s,;)`']*)?")
INSTALL = re.compile(r"pip install '?([A-Za-z-]+)")
ENDINGS = ("json", "toml", "txt", "csv", "safetensors", "jsonl", "png")
"""What follows the point in names of files, which look like settings."""


def literals(path):
    """The texts of a file with the lines they are on, docstrings apart; what is filled in is "{}"."""
    tree = ast.parse(path.read_text())
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(value) for value in node.values}
            yield node.lineno, "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


TEXTS = [
    (path.relative_to(SRC).as_posix(), line, text)
    for path in sorted(SRC.rglob("*.py"))
    for line, text in literals(path)
]
PROPOSING = [(file, line, text) for file, line, text in TEXTS if not file.startswith(("formats/", "__init__"))]


def options_of(verb):
    return {name for parameter in COMMANDS[verb].params for name in (*parameter.opts, *parameter.secondary_opts)}


OPTIONS = set(chain.from_iterable(map(options_of, COMMANDS))) | {"--help", "--debug", "--version"}


def readers():
    """The constructors that read each section of some recipe."""
    shelf = [tasks.find(kind) for kind in tasks.kinds()]
    found = {name: [tokenizers.find(kind) for kind in tokenizers.kinds()] for name in TOKENIZERS}
    found |= {"data": [task.dataset for task in shelf], "core": [cores.find(kind) for kind in cores.kinds()]}
    found |= {"task": [*shelf, *(task.pipeline for task in shelf if task.pipeline)], "encoder": found["core"]}
    found |= {"preprocessor": [task.preprocessing for task in shelf if task.preprocessing]}
    found |= {"core.cell": [cells.find(kind) for kind in cells.kinds()], "core.core": found["core"]}
    more = {"model": [ModelOptions], "train": [HardwareOptions]}
    return found | {name: [cls, *more.get(name, ())] for name, cls in SECTIONS.items()}


READERS = {
    section: [(reader, frozenset(settings_of(reader))) for reader in dict.fromkeys(found)]
    for section, found in readers().items()
}
KINDS = {"task": tasks, "core": cores, "encoder": cores, "core.cell": cells} | dict.fromkeys(TOKENIZERS, tokenizers)


def fits(section, key, value):
    """Whether some recipe has that setting, and it can have that value."""
    if key == "kind" and section in KINDS:
        return value in ("", *KINDS[section].kinds()) or value.isupper()
    with_key = [reader for reader, keys in READERS.get(section, ()) if key in keys]
    if not value or value.isupper() or "{}" in value or value == "-":
        return bool(with_key)
    return any(takes(reader, key, value) for reader in with_key)


def takes(reader, key, value):
    wanted = get_type_hints(reader.__init__ if isinstance(reader, type) else reader, include_extras=True)[key]
    try:
        TypeAdapter(wanted).validate_python(value_of(value))
    except ValueError:
        return False
    return not (shelf := KINDS.get(f"core.{key}")) or value in shelf.kinds()


def settings(text):
    """The settings that a text names: section, key and value."""
    for section, key, value in SETTING.findall(text):
        if section in NAMES and key.split(".")[-1] not in ENDINGS and f"{section}.{key}" not in PLAIN:
            *inner, last = key.split(".")
            yield ".".join([section, *inner]), last, value[1:].strip('".')


def ids(cases):
    return [f"{file}:{line}" for file, line, *_ in cases]


NAMED = [(f, n, s, k, v) for f, n, text in PROPOSING for s, k, v in settings(text) if "{}" not in k]


@pytest.mark.parametrize(("file", "line", "section", "key", "value"), NAMED, ids=ids(NAMED))
def test_a_setting_that_is_named_exists_and_takes_the_value(file, line, section, key, value):
    assert fits(section, key, value), f"{file}:{line} proposes {section}.{key}={value}"


TYPED = [
    (file, line, quoted or whole)
    for file, line, text in PROPOSING
    for quoted, whole in COMMAND.findall(text)
    if text != "unspool state 1"  # how a file begins
]


@pytest.mark.parametrize(("file", "line", "words"), TYPED, ids=ids(TYPED))
def test_a_command_that_is_named_is_understood(file, line, words):
    verb, *rest = shlex.split(words.replace("{}", "x"))
    if verb.startswith("--") or verb in ("x", "VERB"):
        return
    command = COMMANDS[verb]
    context = command.make_context(verb, [], resilient_parsing=True)
    rest = rest[: rest.index("explains")] if "explains" in rest else [*rest, *["FILE"] * (rest[-1:] == ["--file"])]
    _, left, _ = command.make_parser(context).parse_args(args=rest)
    assert not left, f"{file}:{line} proposes unspool {words}, and {left} is too much"


OFFERED = [(file, line, option) for file, line, text in PROPOSING for option in OPTION.findall(text)]


@pytest.mark.parametrize(("file", "line", "option"), OFFERED, ids=ids(OFFERED))
def test_an_option_that_is_named_exists(file, line, option):
    verb = Path(file).stem if file.startswith("cli/") and Path(file).stem in COMMANDS else ""
    verb = "look" if file.startswith(FOR_LOOK) else verb
    there = options_of(verb) | {"--help", "--debug"} if verb in ("look", "sample", "predict") else OPTIONS
    assert option in there, f"{file}:{line} proposes {option}"


PACKAGES = [(file, line, name) for file, line, text in PROPOSING for name in INSTALL.findall(text)]


@pytest.mark.parametrize(("file", "line", "name"), PACKAGES, ids=ids(PACKAGES))
def test_a_package_that_is_named_is_one_of_ours(file, line, name):
    extras = [names for key, names in PROJECT["optional-dependencies"].items() if key != "dev"]
    known = {re.split(r"[>=<]", one)[0] for one in chain(PROJECT["dependencies"], *extras)}
    assert name in known, f"{file}:{line} proposes to install {name}"


def test_the_net_is_not_empty():
    assert len(NAMED) > 80 and len(TYPED) > 20 and len(OFFERED) > 50 and len(PACKAGES) >= 4
    assert not fits("core", "widht", "") and not fits("train", "schedule", "cosin")
