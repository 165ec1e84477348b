"""The pages say what is so: their code runs, their commands work, their links lead somewhere, none is stale."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import typer

from unspool.checks.selftest import CHECKS, cases
from unspool.cli import app, main
from unspool.cli.shared import LATEST
from unspool.experiment.experiment import Experiment
from unspool.nn.cell import cells
from unspool.plugins import module_of
from unspool.recipe import load_recipe, recipe_names

ROOT = Path(__file__).parent.parent
OWN = ("diary.md", "performance.md")  # those pages report what was run elsewhere, at another time
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

TINY = ["train.minutes=0", "train.steps=3", "train.threads=1", "train.precision=float32", "core.width=16"]
TINY += ["data.limit=20000", "evaluate.times=1", "sample.times=1", "sample.length=20"]
PARSED = ("verify", "verify-resume", "serve")
"""Verbs that train several times, or never end: here they are read, and their own tests run them."""

BLOCK = re.compile(
    r"(?:<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    code: str
    note: str

    def __str__(self):
        return f"{self.page.name}:{self.line}"


def blocks(*languages):
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text[: match.start("code")].count("\n")
            one = Block(page, line, match["language"], match["code"], match["note"] or "")
            if one.language in languages and page.name not in OWN and not one.note.startswith("not run:"):
                found.append(one)
    return found


FILES = {
    block.note.removeprefix("file: "): block.code
    for block in blocks("python", "toml", "text")
    if block.note[:5] == "file:"
}
CODE = [block for block in blocks("python") if not block.note.startswith("file:")]


def commands():
    """Every line of a shell block that begins with `unspool`, with the block's page and what should come of it."""
    found = []
    for block in blocks("sh", "console", "bash"):
        lines = block.code.replace("\\\n", " ").splitlines()
        for number, line in enumerate(lines):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["unspool"]:
                shown = [] if block.language == "sh" else lines[number + 1 :]
                after = [text for text in shown if not text.startswith("$ ")]
                found.append(pytest.param(words[1:], after, id=f"{block}: {' '.join(words)}"))
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the pages talk about: a small run, a text, the files that they show."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "my.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 200, encoding="utf-8")
    for name, code in FILES.items():
        (folder / name).write_text(code, encoding="utf-8")
    threads = torch.get_num_threads()
    with chdir(folder):
        list(Experiment.new(load_recipe("char-lm", TINY), Path("runs/char-lm")))
        yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def clean_shelves(monkeypatch):
    """What a page's plug-in registers is gone afterwards."""
    cells.kinds()  # all are on the shelf before it is copied
    monkeypatch.setattr(cells, "_known", dict(cells._known))
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield
    for name in ("my_cell", module_of("my_cell.py")):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("block", CODE, ids=str)
def test_the_code_runs(block, place, clean_shelves):
    code = compile("\n" * block.line + block.code, str(block.page), "exec")
    exec(code, {"__name__": "docs"})


@pytest.mark.parametrize(("words", "shown"), commands())
def test_the_command_works(words, shown, place, clean_shelves, capsys):
    verb = words[0]
    if verb in PARSED:
        parse(words)
        return
    prepare(words, capsys)
    said = run(small(words), capsys)
    if shown:
        assert said[2].splitlines() == shown
    else:
        assert said[0] == 0, said[2]


MAKES = ("--run", "--save-state", "--out", "--write")
"""Options that name what a command makes."""


def prepare(words, capsys):
    """Make what a command needs of earlier ones, which another worker may have run, and remove what it will make."""
    made = {words[at + 1] for at, word in enumerate(words[:-1]) if word in MAKES}
    made = {name for name in made if words.count(name) == 1}  # a state that is read and written again stays
    for name in made:
        shutil.rmtree(name, ignore_errors=True)
        Path(name).unlink(missing_ok=True)
    if LATEST in words:  # not the run of another page
        (Path("runs/char-lm") / "checkpoints").touch()
    for name in words:
        if name not in made and not Path(name).exists():
            for param in commands():
                earlier = param.values[0]
                makes = any(word in MAKES and earlier[at + 1] == name for at, word in enumerate(earlier[:-1]))
                if makes and earlier.count(name) == 1:
                    prepare(earlier, capsys)
                    assert run(small(earlier), capsys)[0] == 0
                    break


def small(words):
    """The same command with a budget for a test; what it names stays."""
    verb = words[0]
    if shown_error(words):
        return words
    if verb == "train":
        words = re.sub(r" --minutes \S+", "", " ".join(words)).split(" ") if "--minutes" in words else words
        budget = [one for one in TINY if "limit" not in one or not any("data.path" in word for word in words)]
        return [*words, *budget]
    if verb == "resume":
        return [*(word for word in words if not word.startswith("train.")), "train.steps=3"]
    if verb == "sample":
        return [*words, "--length", "20"]
    if verb == "suggest" and "--measure-keys" in words:
        return [*words, "--measure-keys", "5"]
    return words


def shown_error(words):
    return "core.cell=lstn" in words


def run(words, capsys):
    """Exit code, stdout and stderr of one command."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(words)
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def parse(words):
    """Read a command as the command line does, and its recipe, and stop there."""
    group = typer.main.get_command(app)
    with group.make_context("unspool", list(words), resilient_parsing=False) as context:
        name, command, rest = group.resolve_command(context, list(words))
        values = command.make_context(name, rest, parent=context).params
    if "recipe" in values:
        load_recipe(values["recipe"], values["overrides"] or ())


def test_the_cell_of_the_guide_keeps_the_promises_and_learns(place, clean_shelves, capsys):
    assert FILES["my_cell.py"].count("\n") <= 40
    assert run(["selftest", "--cell", "my_cell.py:MGU"], capsys)[0] == 0
    (case,) = cases(cell="mgu")
    assert {check for check in CHECKS if CHECKS[check][0](case) > CHECKS[check][1]} == set()
    options = ["core.cell=mgu", "core.width=16", "data.path=my.txt", "train.minutes=0", "train.steps=60"]
    recipe = load_recipe("char-lm", [*options, "train.threads=1", "train.precision=float32", "sample.times=0"])
    losses = [event.loss for event in Experiment.new(recipe, Path("runs/learns")) if hasattr(event, "loss")]
    assert losses[-1] < losses[0] / 2


def test_a_package_can_bring_a_cell(tmp_path, monkeypatch, clean_shelves):
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "my_cell.py").write_text(FILES["my_cell.py"], encoding="utf-8")
    toml = next(block.code for block in blocks("toml") if "entry-points" in block.code)
    (group, points), *_ = tomllib.loads(toml)["project"]["entry-points"].items()
    about = tmp_path / "my_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in points.items()) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "mgu" in cells.kinds()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for match in LINK.finditer(prose):
        text, target = match["text"], match["target"].partition("#")[0]
        if not target or re.match(r"\w+:", target):
            continue
        file = page.parent / target
        assert file.exists(), f"{page.name} links to {target}"
        if file.suffix == ".py" and re.fullmatch(r"`\w+`", text):
            named = re.search(rf"\b(def|class) {text.strip('`')}\b", file.read_text(encoding="utf-8"))
            assert named, f"{page.name} says that {text} is in {target}"


def test_every_command_of_the_table_of_data_is_one():
    text = (ROOT / "docs/i-have.md").read_text(encoding="utf-8")
    found = re.findall(r"`unspool (train|sample|predict|suggest|look) ([\w-]+)", text)
    assert len(found) > 30
    for verb, name in found:
        if verb == "train" and name != "FILE":
            load_recipe(name)
        assert verb == "train" or name == "latest"


def test_every_training_by_lecture_can_be_typed(capsys):
    """`--show` resolves the recipe and every setting of the command; data are looked for only in a training."""
    text = (ROOT / "docs/by-lecture.md").read_text(encoding="utf-8")
    found = sorted(set(re.findall(r"`unspool (train [^`]*)`", text)))
    assert len(found) > 30
    for words in found:
        with pytest.raises(SystemExit) as end:
            main([*shlex.split(words), "--show"])
        assert end.value.code == 0, words
    capsys.readouterr()
    used = set(re.findall(r"unspool train ([\w-]+)", text))
    lectures = {name: str(load_recipe(name)["about"]["lecture"]) for name in recipe_names()}
    shown = {name for name, lecture in lectures.items() if lecture.startswith(("STAT453", "NYU", "MIT"))}
    assert shown - used == set(), "recipes of a lecture that the table leaves out"


def test_every_page_is_in_the_contents_of_the_site():
    listed = set(re.findall(r"^[\w/-]+$", (ROOT / "docs/index.md").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert pages | {f"lectures/{name}" for name in ("stat453", "practicum", "mit")} <= listed


def test_every_page_is_reached_from_the_readme():
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        todo += [page.parent / m["target"] for m in LINK.finditer(page.read_text("utf-8")) if "://" not in m["target"]]
    assert {page.resolve() for page in PAGES if page.name not in OWN} <= seen


def test_the_generated_pages_are_fresh():
    made = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
