"""Verbs that use a trained run."""

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unspool.generate.fill import Filling
    from unspool.generate.text import Candidate
    from unspool.runs.run import Run


@app.command()
def sample(
    run: RunPath,
    prompt: Annotated[str, typer.Option(help="What the text begins with; ___ is a blank to be filled.")] = "",
    source: Annotated[
        str | None, typer.Option(help="What to translate, to answer, or the image file to caption; - reads lines.")
    ] = None,
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
    """Let a trained model write, fill blanks, answer a source or go on with series; music goes --to a folder.

    Text streams to stdout as it is made, series are lines of csv.
    """
    from unspool.generate.sampling import Sampling
    from unspool.runs.evaluation import LONGEST
    from unspool.runs.run import Run, told

    load_plugins(plugin)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    loaded = Run.load(run, device)
    usual = 500 if length is None else length
    if to:
        from unspool.cli.documents import compose

        figures = compose(loaded, to, count, length or LONGEST, sampling, seed, prompt)
        print_json(figures) if as_json else typer.echo(told(figures))
    elif loaded.foretells:
        if prompt or beam or source is not None:
            raise ConfigError(f"{run} goes on with its series and takes no text", hint="--length, --count, --seed")
        for row in loaded.foretold(length or 24, count, seed, as_json):
            typer.echo(row)
    elif loaded.fills and source is None:
        show_fillings(loaded.fill(prompt, count), as_json)
    elif loaded.answers or source is not None:
        show_answers(loaded, prompt, source, count, max(1, beam), as_json)
    elif beam:
        refuse_narrow(beam, count, "texts")
        show_texts(prompt, loaded.likeliest(prompt, usual, beam)[:count], count, as_json)
    elif count > 1 or as_json:
        show_texts(prompt, loaded.candidates(prompt, usual, sampling, count, seed), count, as_json)
    else:
        show_stream(prompt, loaded.stream(prompt, usual, sampling, seed))


def refuse_narrow(beam: int, count: int, what: str) -> None:
    """Refuse a search that cannot find as many as are asked for."""
    if count > beam:
        raise ConfigError(f"--beam {beam} finds at most {beam} {what}, {count} are asked for", hint=f"--beam {count}")


def show_texts(prompt: str, made: "list[Candidate]", count: int, as_json: bool) -> None:
    """Several ways in which a text goes on, each with how likely it is."""
    if as_json:
        print_json([{"text": prompt + c.text, "log_probability": c.log_probability} for c in made])
        return
    for number, candidate in enumerate(made, start=1):
        show_number(number, count, candidate)
        typer.echo(prompt + candidate.text)


def show_number(number: int, count: int, candidate: "Candidate") -> None:
    """Which of several it is, and how likely."""
    say(f"--- {number} of {count}, log-probability {candidate.log_probability:.1f} nats")


def show_stream(prompt: str, pieces: "Iterator[str]") -> None:
    """A text as it is made."""
    first = next(pieces, "")  # a prompt that cannot be read is refused before it is printed
    for piece in chain((prompt, first), pieces):
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def show_fillings(blanks: "list[list[Filling]]", as_json: bool) -> None:
    """What could stand in each blank, the likeliest first."""
    if as_json:
        print_json([[filling.__dict__ for filling in blank] for blank in blanks])
        return
    for number, blank in enumerate(blanks, start=1):
        if len(blanks) > 1:
            say(f"--- blank {number}")
        for filling in blank:
            typer.echo(f"{filling.probability:.3f}  " + filling.text.replace("\n", "\\n"))


def show_answers(loaded: "Run", prompt: str, source: str | None, count: int, beam: int, as_json: bool) -> None:
    """The best answers to a source, or to each line of standard input."""
    if source is None or prompt:
        raise ConfigError(
            f"{loaded.checkpoint.run} answers a source"
            + (", and takes no prompt" if prompt else ", and none is given"),
            hint="--source TEXT, or --source - for the lines of standard input",
        )
    refuse_narrow(beam, count, "answers")
    told = []
    for line in map(str.strip, sys.stdin) if source == "-" else (source,):
        made = loaded.answer(line, beam)[:count]
        told.append({"source": line, "answers": [candidate.__dict__ for candidate in made]})
        for number, candidate in enumerate(() if as_json else made, start=1):
            if count > 1:
                show_number(number, count, candidate)
            typer.echo(candidate.text)
    if as_json:
        print_json(told)


@app.command()
def suggest(
    run: RunPath,
    text: Annotated[str, typer.Argument(help="What was typed so far.")] = "",
    count: Annotated[int, typer.Option(help="How many words to suggest.", min=1, max=16)] = 3,
    measure: Annotated[int, typer.Option(help="Type that many held-out words instead; 0 is off.", min=0)] = 0,
    split: Annotated[str, typer.Option(help="What to measure on: train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Suggest how the word that a text ends with goes on, or the next word; or measure the keystrokes that it saves."""
    from unspool.runs.run import Run, told

    load_plugins(plugin)
    loaded = Run.load(run, device)
    if not measure:
        found = loaded.suggest(text, count)
        if as_json:
            print_json([suggestion.__dict__ for suggestion in found])
        for suggestion in () if as_json else found:
            typer.echo(suggestion.word)
        return
    if text:
        raise ConfigError("--measure types held-out words, and a text is given", hint="leave one of them out")
    checked(split)
    for savings in loaded.keystrokes_saved(split, count, measure):
        if sys.stderr.isatty():
            say(f"\r{savings.words:,} of {measure:,} words", end="")
    say("" if sys.stderr.isatty() else f"{savings.words:,} words")
    if as_json:
        print_json(savings.figures())
    else:
        typer.echo(told(savings.figures()))


@app.command("eval")
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "valid",
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Judge a trained model on a whole split: nats, bits per character and byte, perplexity; BLEU of translations."""
    from unspool.runs.run import Run, told

    load_plugins(plugin)
    checked(split)
    loaded = Run.load(run, device)
    figures = loaded.evaluate(split)
    if not figures:
        raise ConfigError(f"{run} has no {split} split", hint=f"train with data.{split}=0.1 or data.{split}_path=FILE")
    if as_json:
        print_json(figures)
        return
    for way, values in figures.items():
        typer.echo(f"{split}, {way}:   {told(values, between='   ')}")


def checked(split: str) -> None:
    """Refuse a split that there never is."""
    if split not in ("train", "valid", "test"):
        raise ConfigError(
            f"--split should be train, valid or test, received {split!r}", hint="for example --split valid"
        )
