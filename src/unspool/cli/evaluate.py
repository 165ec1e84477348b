"""Verbs that measure a trained run: eval, and suggest with the keystrokes that it saves."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.adapting import show_adapting, takes_adapting
from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, notes, print_json, say
from unspool.errors import ConfigError, DataError, UnspoolError
from unspool.files import writing

if TYPE_CHECKING:
    from unspool.generate.suggest import Suggestion
    from unspool.metrics.drawings import Drawing
    from unspool.recipe import Recipe
    from unspool.runs.evaluation import Results
    from unspool.runs.run import Run
    from unspool.training.adapting import Adapting


@app.command("eval")
@takes_adapting
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "valid",
    pictures: Annotated[
        Path | None, typer.Option(help="A folder for what the evaluation draws: NAME.png, and its numbers, NAME.json.")
    ] = None,
    examples: Annotated[
        int, typer.Option(help="Show N generated texts beside right ones, with their grades.", min=0, max=10**4)
    ] = 0,
    file: Annotated[Path | None, typer.Option(help="With --adapt: a text of yours, in place of the split.")] = None,
    adapting: "Adapting | None" = None,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Evaluate a trained model on a whole split: its loss, every metric of its task, tables, and baselines.

    With --adapt a language model reads the split once, from beginning to end, and learns from each chunk after scoring
    it; the values of the same reading without learning stand beside. The run stays as it is.
    """
    from unspool.runs.examples import examples_of
    from unspool.runs.run import Run, evaluation_of

    load_plugins(plugin)
    check_split(split)
    refuse_beside_adapt(adapting, file, pictures, examples)
    loaded = Run.load(run, device)
    if adapting is not None:
        show_adapting(loaded, adapting, split, file, as_json)
        return
    with notes():
        results, drawings = evaluation_of(loaded, split)
    if not results:
        raise ConfigError(f"{run} has no {split} split", hint=how_to_have(split, loaded.recipe))
    for path in save_pictures(drawings, pictures, Path(loaded.name).name) if pictures else ():
        say(f"picture: {path}")
    shown = examples_of(loaded, split, examples) if examples else {}
    if as_json:
        print_json({**results, "examples": {name: one.as_dict() for name, one in shown.items()}} if shown else results)
    else:
        show_evaluation(results, drawings, split)
        for name, one in shown.items():
            typer.echo("\n".join(["", f"{split}, {name}: {one.summary()}", "", *one.lines()]))


def refuse_beside_adapt(adapting: "Adapting | None", file: Path | None, pictures: Path | None, examples: int) -> None:
    """Raise a ConfigError for options that mean nothing with --adapt, or without it."""
    if adapting is None and file is not None:
        raise ConfigError("--file is a text for --adapt", hint="--adapt dynamic")
    if adapting is not None and (pictures is not None or examples):
        name = "--examples" if pictures is None else "--pictures"
        raise ConfigError(
            f"--adapt measures the loss alone, and {name} cannot be used with it", hint=f"leave out {name}"
        )


def save_pictures(drawings: "Mapping[str, Drawing]", folder: Path, title: str) -> list[Path]:
    """Write what an evaluation draws into a folder, which is made where it is not there."""
    from unspool.look.plots import save_drawings

    if not drawings:
        raise ConfigError("this evaluation draws nothing", hint="leave --pictures out")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return save_drawings(drawings, folder, title)


def show_evaluation(results: "Results", drawings: "Mapping[str, Drawing]", split: str) -> None:
    """A line for each set and group, and the tables of shares."""
    from unspool.metrics.drawings import Heatmap, heatmap_lines
    from unspool.runs.evaluation import by_set
    from unspool.runs.run import format_values

    for name, values in by_set(results, split).items():
        typer.echo(f"{split}, {name}:   {format_values(values, between='   ')}")
    for name, drawing in drawings.items():
        if isinstance(drawing, Heatmap):
            typer.echo("\n".join(["", f"{split}, {name} (%)", *heatmap_lines(drawing)]))


@app.command()
def suggest(
    run: RunPath,
    text: Annotated[str, typer.Argument(help="What was typed so far.")] = "",
    count: Annotated[int, typer.Option(help="How many words to suggest.", min=1, max=16)] = 3,
    keys: Annotated[
        str | None, typer.Option(help='Keys of a phone, such as "4663" or "4663 63": rank the words that they allow.')
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="With --keys: longer words too.")] = False,
    measure: Annotated[
        int, typer.Option(help="Type that many held-out words instead; 0 is off.", min=0, max=10**9)
    ] = 0,
    measure_keys: Annotated[
        int, typer.Option(help="The same on the keys of a phone, in several ways; 0 is off.", min=0, max=10**9)
    ] = 0,
    split: Annotated[str, typer.Option(help="What to measure on: train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Suggest how the word that a text ends with goes on, or the next word; or measure the keystrokes that it saves.

    With --keys the digits of a phone stand for words, as T9 has them: 4663 is good, home, gone, ...
    """
    from unspool.generate.suggest import suggest as suggest_words
    from unspool.runs.run import Run

    load_plugins(plugin)
    loaded = Run.load(run, device)
    if (measure or measure_keys) and (text or keys is not None):
        given = "a text is" if text else "--keys are"
        option = "--measure" if measure else "--measure-keys"
        raise ConfigError(f"{option} types held-out words, and {given} given", hint="leave one of them out")
    if measure and measure_keys:
        raise ConfigError("--measure and --measure-keys are two tables", hint="leave one of them out")
    if complete and keys is None:
        raise ConfigError("--complete says which words --keys allow", hint='--keys "4663" --complete')
    if measure or measure_keys:
        check_split(split)
        (show_savings if measure else show_kspc)(loaded, measure or measure_keys, split, count, as_json)
        return
    if keys is not None:
        found = words_on_keys(loaded, text, keys, count, complete)
    else:
        found = suggest_words(loaded.model, loaded.tokenizer, [text], count)[0]
    if as_json:
        print_json([suggestion.__dict__ for suggestion in found])
    for suggestion in () if as_json else found:
        typer.echo(suggestion.word if keys is None else suggestion.rest.strip())


def words_on_keys(run: "Run", text: str, keys: str, count: int, complete: bool) -> "list[Suggestion]":
    """The words that keys allow; those of the run's own training text come first where it is still there."""
    from unspool.data.keypad import KeyDictionary, words_of
    from unspool.generate.suggest import suggest_keys

    tokenizer = run.tokenizer
    try:
        known = KeyDictionary(words_of(split_text(run, "train")))
    except UnspoolError as error:
        say(f"note: without the training text any string of letters may come first: {error}")
        known = KeyDictionary([])
    (found,) = suggest_keys(run.model, tokenizer, [text], [keys], count, complete, known)
    if not found:
        hint = "--complete allows longer words" if not complete else "press other keys: 2 is abc, 3 def, ..., 9 wxyz"
        raise DataError(f"no word of this model lies on the keys {keys!r}", hint=hint)
    return found


def split_text(run: "Run", split: str) -> str:
    """The text of a split of the data that a run was trained on."""
    from unspool.runs.loading import load_data

    data = getattr(load_data(run.recipe, run.checkpoint.run), split)  # type: ignore[union-attr]
    return data if isinstance(data, str) else "\n".join(data)


def show_savings(run: "Run", words: int, split: str, count: int, as_json: bool) -> None:
    """The keystrokes that suggestions save on held-out words."""
    from unspool.generate.keystrokes import keystrokes_saved
    from unspool.runs.run import format_values

    for savings in keystrokes_saved(run.model, run.tokenizer, split_text(run, split), count, words):
        show_count(savings.words, words)
    say("" if sys.stderr.isatty() else f"{savings.words:,} words")
    print_json(savings.figures()) if as_json else typer.echo(format_values(savings.figures()))


def show_kspc(run: "Run", words: int, split: str, count: int, as_json: bool) -> None:
    """A table of keystrokes per character on held-out words."""
    from unspool.generate.keystrokes import compare_keys

    texts = split_text(run, split), split_text(run, "train")
    for found in compare_keys(run.model, run.tokenizer, *texts, words, suggestions=count):
        show_count(found.letters.words if found.letters else found.words, words)
    left_out = f", {found.skipped:,} left out that no key spells" if found.skipped else ""
    say(("\n" if sys.stderr.isatty() else "") + f"{found.words:,} words{left_out}")
    if as_json:
        print_json({"words": found.words, "skipped": found.skipped, "ways": found.table()})
        return
    typer.echo(f"{'keystrokes per character':38}{'KSPC':>7}{'first':>8}{'offered':>9}{'published':>11}")
    for row in found.table():
        shares = [f"{row[name]:.1%}" if row[name] is not None else "" for name in ("first", "offered")]
        typer.echo(
            f"{row['way']:38}{row['kspc']:7.3f}{shares[0]:>8}{shares[1]:>9}{row['published'] or '':>11}".rstrip()
        )


def show_count(done: int, of: int) -> None:
    """How many words are typed, on a terminal."""
    if sys.stderr.isatty():
        say(f"\r{done:,} of {of:,} words", end="")


def how_to_have(split: str, recipe: "Recipe") -> str:
    """What makes a run of the recipe have a split: the options that its dataset has."""
    from unspool.build import task_class
    from unspool.schema import defaults

    options = defaults(task_class(recipe).dataset)
    ways = {split: f"data.{split}=0.1", f"{split}_path": f"data.{split}_path=FILE"}
    known = [way for name, way in ways.items() if name in options]
    return f"train with {' or '.join(known)}" if known else f"train on data that has a {split} part"


def check_split(split: str) -> None:
    """Refuse a split that there never is."""
    if split not in ("train", "valid", "test"):
        raise ConfigError(
            f"--split should be train, valid or test, received {split!r}", hint="for example --split valid"
        )
