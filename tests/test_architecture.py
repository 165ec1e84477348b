"""The map of the code, kept true."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import unspool

ROOT = Path(__file__).parent.parent
ROWS = [  # a file may import from its own group and from rows above it, never sideways, never down
    ["errors", "seeds", "schema"],
    ["batch", "files", "plugins"],
    ["registry", "recipe"],
    ["nn", "data"],
    ["models", "metrics"],
    ["generate", "training"],
    ["pipelines"],
    ["tasks"],
    ["build"],
    ["sections"],
    ["look"],
    ["runs"],
    ["formats"],
    ["experiment"],
    ["checks"],
    ["serve"],
    ["cli"],
    ["__main__"],
]
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
FILES = sorted((ROOT / "src/unspool").rglob("*.py"))
every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT / "src/unspool")))
HEAVY = {  # imported in these files only, inside the function that needs them
    "matplotlib": {"look/canvas.py"},
    "tokenizers": {"data/tokenizers/bpe.py", "data/tokenizers/wordpiece.py"},
    "sklearn": {"metrics/baselines.py"},
    "PIL": {"data/readers/images.py"},
    "outlines_core": {"generate/pattern_worker.py"},
    "pyarrow": {"data/readers/tables.py"},
    "soundfile": {"data/readers/sounds.py"},
    "sacrebleu": {"metrics/text.py"},
    "tensorboard": set(),
    "numba": {"generate/compiled/cache.py"},
}
COMPILED = {
    *(f"nn.kernels.{name}" for name in ("elman", "gru", "lstm", "products", "vectors")),
    *(f"generate.compiled.{name}" for name in ("drawing", "elementwise", "heads", "kernel", "matrices")),
}  # numba decorates what is in them, so it is they that are imported inside a function


def imports(path):
    """(module, at the top of the file) for everything that a file imports."""
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from ((name, id(node) in top) for name in names)


def place(path):
    return path.relative_to(ROOT / "src/unspool").parts[0].removesuffix(".py")


@every_file
def test_imports_only_point_up_the_map(path):
    here = place(path)
    if here in ("__init__", "recipes"):
        return
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] == "unspool" and len(parts) > 1 and parts[1] in ROW:
            there = parts[1]
            fine = there == here or ROW[there] < ROW[here] or ROW[there] == ROW[here] == 0
            assert fine, f"{here} must not import {there}"


@every_file
def test_heavy_packages_stay_in_their_file(path):
    name = str(path.relative_to(ROOT / "src/unspool"))
    for module, top in imports(path):
        package = module.split(".")[0]
        assert package not in ("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
        if module.removeprefix("unspool.") in COMPILED and name[:-3].replace("/", ".") not in COMPILED:
            assert not top, f"{module} must be imported inside the function that needs it"
        elif package in HEAVY and name[:-3].replace("/", ".") not in COMPILED:
            assert name in HEAVY[package] and not top, f"{package} must not be imported in {name}"


@every_file
def test_nothing_is_pickled(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
            assert node.attr not in ("load", "save")


@every_file
def test_files_and_functions_fit_in_a_sitting(path):
    assert len(path.read_text().splitlines()) <= 400
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            command = is_command(node)
            first = node.body[min(1, len(node.body) - 1)] if command else node  # behind its options and its docstring
            assert node.end_lineno - first.lineno < (40 if command else 60), f"{node.name} is too long"


def is_command(node):
    """A verb of the command line is mostly the list of its options."""
    return any("app." in ast.unparse(decorator) for decorator in node.decorator_list)


def test_the_top_of_the_package_fits_on_one_screen():
    modules = [path.stem for path in (ROOT / "src/unspool").glob("*.py") if not path.stem.startswith("__")]
    assert len(modules) <= 12, modules


@every_file
def test_a_class_has_at_most_twelve_public_methods(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            functions = [n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
            named = [
                n.name
                for n in functions
                if not {"property", "cached_property"} & set(map(ast.unparse, n.decorator_list))
            ]
            assert len(named) <= 12, f"{node.name} has {len(named)}: {named}"


def test_the_usual_file_is_short():
    sizes = sorted(len(path.read_text().splitlines()) for path in FILES)
    assert sizes[len(sizes) // 2] <= 120


@every_file
def test_no_architecture_is_a_special_case(path):
    text = path.read_text()
    assert "isinstance(" not in text or "Transformer)" not in text
    assert '== "transformer"' not in text


def test_the_public_names_are_sorted_and_complete():
    assert unspool.__all__ == sorted(unspool.__all__)
    assert set(unspool.__all__) == set(unspool._MODULE)
    tree = ast.parse((ROOT / "src/unspool/__init__.py").read_text())
    typed = {
        a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0 for a in node.names
    }
    assert set(unspool.__all__) <= typed


@pytest.mark.parametrize("name", unspool.__all__)
def test_a_public_name_is_where_it_says_and_says_what_it_is(name):
    thing = getattr(unspool, name)
    home = importlib.import_module(f"unspool.{unspool._MODULE[name]}")
    assert getattr(home, name) is thing
    if isinstance(thing, type) or inspect.isfunction(thing):
        assert (thing.__doc__ or "").strip()


def test_importing_the_package_imports_nothing_heavy():
    heavy = ("torch", "numpy", "pydantic", "matplotlib", "rich")
    code = f"import sys, unspool, unspool.cli; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


STATEFUL = ("nn", "models", "training", "look", "checks")
"""Where models may be handed a state, besides the engine."""


@every_file
def test_only_the_engine_hands_a_state_to_a_model(path):
    if place(path) in STATEFUL or path.relative_to(ROOT / "src/unspool") == Path("generate/engine.py"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        named = {keyword.arg for keyword in node.keywords}
        runs = called.split(".")[-1] in ("model", "core") and (len(node.args) > 1 or "state" in named)
        runs = runs and called != "build.model"
        begins = called.endswith(("model.start", "core.start", "cell.start", ".hidden_states"))
        assert not runs and not begins, f"{called} is the engine's: use unspool.generate.engine.Engine"


def test_the_tree_of_the_tests_is_that_of_the_package():
    """Tests of a folder's files are in the folder of its name; what spans several is at the top."""
    tests, package = ROOT / "tests", ROOT / "src/unspool"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("*.py")} - {
        Path("helpers"),
        Path("helpers/stored"),
        Path("plugged"),
    }
    assert not [folder for folder in folders if not (package / folder).is_dir()]
    assert not [path for folder in ("helpers", "plugged") for path in (tests / folder).glob("test_*")]
