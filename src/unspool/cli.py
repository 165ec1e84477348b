"""The command line: parse, call, print.

Answers go to stdout, talk to stderr; nothing heavy is imported before it is needed.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import chain
from itertools import count as count_up
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.errors import ConfigError, UnspoolError

if TYPE_CHECKING:
    from unspool.experiment import Experiment

app = typer.Typer(
    name="unspool",
    help="Train, sample and inspect sequence models, from a character RNN to a transformer.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Settings as section.key=value, for instance data.path=my.txt.", metavar="KEY=VALUE"),
]
RunPath = Annotated[Path, typer.Argument(help="A run folder, or one of its checkpoints/step-N.", metavar="RUN")]
RecipeName = Annotated[
    str, typer.Argument(help="A named recipe (see `unspool recipes`) or a .toml file.", metavar="RECIPE")
]
Json = Annotated[bool, typer.Option("--json", help="Print data as JSON on stdout.")]
Plugins = Annotated[
    list[Path] | None, typer.Option("--plugin", help="A Python file that registers cells, cores, tasks.")
]
USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Click's UsageError, which newer versions of typer carry inside."""
OUT_OF_MEMORY = re.compile("out of memory|allocate memory|size calculation overflow")
"""How torch says that there is not enough, or that there never could be."""
Device = Annotated[str, typer.Option(help="cpu, cuda, mps or auto.")]


def tell_version(wanted: bool) -> bool:
    """Print the version and stop, where that is wanted."""
    if wanted:
        from importlib.metadata import version

        typer.echo(version("unspool"))
        raise typer.Exit
    return wanted


@app.callback()
def everything(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=tell_version, is_eager=True)
    ] = False,
) -> None:
    """Train, sample and inspect sequence models, from a character RNN to a transformer."""


@app.command()
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    run: Annotated[Path | None, typer.Option(help="The folder to write; runs/RECIPE by default.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for that long, whatever the recipe's budget.")] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a model: a named recipe or a .toml file, on data.path=FILE for your own data."""
    from unspool import config
    from unspool.experiment import Experiment

    load_plugins(plugin)
    made = config.load(recipe, overrides or ())
    if minutes is not None:
        if not 0 < minutes < float("inf"):
            raise ConfigError(f"--minutes should be above zero, received {minutes}", hint="for example --minutes 3")
        made.setdefault("train", {}).update(minutes=minutes, steps=0, epochs=0)
    if plugin:
        made["plugin"] = [str(path.resolve()) for path in plugin]
    follow(Experiment.new(made, run or free_folder(Path("runs") / Path(recipe).stem)), as_json)


@app.command()
def resume(run: RunPath, overrides: Overrides = None, plugin: Plugins = None, as_json: Json = False) -> None:
    """Go on with a run from its last checkpoint, bit for bit as if it had never stopped."""
    from unspool.experiment import Experiment

    load_plugins(plugin)
    experiment = Experiment.resume(run, overrides or ())
    if experiment.trainer.finished:
        budget = " and ".join(f"train.{k}" for k in ("steps", "epochs", "minutes") if experiment.recipe["train"].get(k))
        say(f"{run} is finished. Go on with a larger budget: unspool resume {quote(str(run))} {budget}=N")
    follow(experiment, as_json)


@app.command()
def sample(
    run: RunPath,
    prompt: Annotated[str, typer.Option(help="What the text begins with.")] = "",
    length: Annotated[int | None, typer.Option(help="At most so many tokens; 500, or 2000 of a piece.", min=1)] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy; 1 is the model's own; lower is safer.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw from the K likeliest only; 0 is off.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest that reach P together; 1 is off.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Draw from what is P times as likely as the likeliest; 0 is off.")] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(help="Over 1 repeats less; 1 is off.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.", min=0, max=2**63 - 1)] = None,
    count: Annotated[int, typer.Option(help="Write that many, and show the likeliest first.", min=1)] = 1,
    to: Annotated[Path | None, typer.Option(help="A new folder for COUNT whole pieces, as .abc, .mid, .wav.")] = None,
    beam: Annotated[int, typer.Option(help="Draw nothing, search the likeliest with N beams; 0 is off.", min=0)] = 0,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Let a trained model write: text streams to stdout as it is made, whole pieces of music go --to a folder."""
    from unspool.generate.sampling import Sampling
    from unspool.run import LONGEST, Run, told

    load_plugins(plugin)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    loaded = Run.load(run, device)
    if to:
        from unspool.compose import compose

        figures = compose(loaded, to, count, length or LONGEST, sampling, seed, prompt)
        typer.echo(json.dumps(figures, indent=1) if as_json else told(figures))
        return
    length = length or 500
    if beam and count > beam:
        raise ConfigError(f"--beam {beam} finds at most {beam} texts, {count} are asked for", hint=f"--beam {count}")
    if count > 1 or as_json or beam:
        drawn = None if beam else loaded.candidates(prompt, length, sampling, count, seed)
        made = loaded.likeliest(prompt, length, beam)[:count] if drawn is None else drawn
        if as_json:
            print_json([{"text": prompt + c.text, "log_probability": c.log_probability} for c in made])
            return
        for number, candidate in enumerate(made, start=1):
            say(f"--- {number} of {count}, log-probability {candidate.log_probability:.1f} nats")
            typer.echo(prompt + candidate.text)
        return
    pieces = loaded.stream(prompt, length, sampling, seed)
    first = next(pieces, "")  # a prompt that cannot be read is refused before it is printed
    for piece in chain((prompt, first), pieces):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


@app.command("eval")
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Judge a trained model on a whole split: nats, bits per character and byte, perplexity; BLEU of translations."""
    from unspool.run import Run, told

    load_plugins(plugin)
    if split not in ("train", "valid", "test"):
        raise ConfigError(
            f"--split should be train, valid or test, received {split!r}", hint="for example --split valid"
        )
    loaded = Run.load(run, device)
    figures = loaded.evaluate(split)
    if not figures:
        raise ConfigError(f"{run} has no {split} split", hint=f"train with data.{split}=0.1 or data.{split}_path=FILE")
    if as_json:
        print_json(figures)
        return
    for way, values in figures.items():
        typer.echo(f"{split}, {way}:   {told(values, between='   ')}")


@app.command()
def recipes(as_json: Json = False) -> None:
    """List the recipes that come with Unspool."""
    from unspool.config import names

    found = names()
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for name, about in found.items():
        typer.echo(f"{name:<{width}}  {about}")


@app.command()
def verify(
    recipe: RecipeName,
    overrides: Overrides = None,
    seeds: Annotated[int, typer.Option(help="How many seeds; the recipe's own number by default.", min=0)] = 0,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and check every claim in its [expect] section."""
    from unspool import config
    from unspool.verify import verify as check

    load_plugins(plugin)
    verdicts = check(config.load(recipe, overrides or ()), seeds, lambda experiment: follow(experiment, quiet=True))
    if as_json:
        print_json([verdict.__dict__ for verdict in verdicts])
    else:
        for verdict in verdicts:
            typer.echo(verdict.told())
    if not all(verdict.holds for verdict in verdicts):
        raise typer.Exit(1)


@app.command("verify-resume")
def verify_resume(
    recipe: RecipeName,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(help="How many steps to train.", min=2)] = 40,
    kills: Annotated[int, typer.Option(help="How many times to kill the training.", min=1)] = 5,
    seed: Annotated[int, typer.Option(help="Where the kills fall.")] = 0,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Prove that a run killed at random steps and resumed ends in the same bits as one that was not."""
    from unspool import config
    from unspool.verify import verify_resume as check

    load_plugins(plugin)
    made = config.load(recipe, overrides or ())
    proof = check(made, steps, kills, seed, [str(path.resolve()) for path in plugin or ()], say)
    if as_json:
        print_json(proof.__dict__)
    else:
        typer.echo(proof.told())
    if proof.different:
        raise typer.Exit(1)


@app.command()
def selftest(
    cell: Annotated[str, typer.Option(help="Test one cell: its name, or FILE.py:Class.")] = "",
    core: Annotated[str, typer.Option(help="Test one core by name.")] = "",
    device: Device = "cpu",
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Check the promises on this machine, for everything registered or for your own cell."""
    import torch

    from unspool.selftest import run_all

    torch.set_num_threads(1)  # the models are tiny, and threads would wait for each other
    load_plugins(plugin)
    failed = 0
    told = []
    for result in run_all(cell, core, device):
        failed += not result.passed
        told.append(result.__dict__)
        if not as_json:
            typer.echo(result.told())
    if as_json:
        print_json(told)
    else:
        say(f"{len(told) - failed} passed, {failed} failed")
    if failed:
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell what this machine has, and what will be used."""
    from unspool.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        typer.echo(f"{name:<{width}}  {value}")


def follow(experiment: "Experiment", as_json: bool = False, quiet: bool = False) -> dict[str, float]:
    """Show an experiment as it goes on, and let Ctrl-C end it with everything saved."""
    from unspool.progress import show

    with asked_to_stop(experiment.stop):
        return show(experiment, as_json, quiet)


@contextmanager
def asked_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) asks to stop; the second one means it."""

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        say("stopping after this step; once more to stop at once")
        stop()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def free_folder(wanted: Path) -> Path:
    """The folder itself, or its first numbered neighbour that does not exist: no run is ever overwritten."""
    names = (wanted if n == 1 else wanted.with_name(f"{wanted.name}-{n}") for n in count_up(1))
    return next(folder for folder in names if not folder.exists())


def load_plugins(paths: list[Path] | None) -> None:
    """Import what the user asked for."""
    from unspool.registry import load_plugin

    for path in paths or ():
        load_plugin(path)


def print_json(data: Any) -> None:
    """One JSON document on stdout."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False))


def say(text: str) -> None:
    """Talk: to stderr."""
    typer.echo(text, err=True)


def main(arguments: list[str] | None = None) -> None:
    """The `unspool` command: 0 when all is well, 1 when a check failed, 2 with one clear sentence for an error."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for talk in (sys.stdout, sys.stderr):  # a terminal that lacks a letter shows another
        if isinstance(talk, TextIOWrapper):
            talk.reconfigure(errors="replace")
    try:
        code = app(arguments, prog_name="unspool", standalone_mode=False)
        sys.stdout.flush()
    except UnspoolError as error:
        if "--debug" in arguments:
            raise
        complain(str(error), error.hint)
        code = 2
    except USAGE_ERROR as error:
        complain(error.format_message().rstrip("."), "`unspool --help`, or `unspool VERB --help`")
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted", "what was saved before is whole")
        code = 130
    except BrokenPipeError:  # the reader, `head` say, has had enough
        let_go_of_stdout()
        code = 0
    except OSError as error:
        let_go_of_stdout()
        complain(f"the system refuses: {error}", "look for a full disk or a missing permission")
        code = 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        complain("not enough memory", "make core.width, task.batch_size, task.length or --count smaller")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def let_go_of_stdout() -> None:
    """Where stdout takes nothing any more, let nothing be written to it when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str, hint: str) -> None:
    """One sentence about what is wrong, one about what to do."""
    for title, text in (("error", message), ("hint", hint)):
        if text:
            say(f"{title}: {' '.join(map(str.strip, text.splitlines()))}")


if __name__ == "__main__":
    main()
