"""Verbs that use a trained run."""

import sys
import warnings
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unspool.generate.sampling import Sampling
    from unspool.generate.state import State
    from unspool.generate.text import Candidate
    from unspool.runs.run import Run


@app.command()
def sample(
    run: RunPath,
    prompt: Annotated[
        str, typer.Option(help="What the text begins with; of music also a file: tune.abc or piece.mid.")
    ] = "",
    length: Annotated[
        int | None, typer.Option(help="At most so many tokens; 500, or 2000 a document.", min=1, max=10**9)
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy; 1 is the model's own; lower is safer.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw from the K likeliest only; 0 is off.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest that reach P together; 1 is off.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Draw from what is P times as likely as the likeliest; 0 is off.")] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(help="Over 1 repeats less; 1 is off.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.", min=0, max=2**63 - 1)] = None,
    count: Annotated[int, typer.Option(help="Write that many, and show the likeliest first.", min=1, max=10**5)] = 1,
    to: Annotated[Path | None, typer.Option(help="A new folder for COUNT documents, as .abc, .mid, .wav.")] = None,
    beam: Annotated[
        int, typer.Option(help="Draw nothing, search the likeliest with N beams; 0 is off.", min=0, max=1000)
    ] = 0,
    state: Annotated[Path | None, typer.Option(help="Go on from a state that --save-state wrote.")] = None,
    save_state: Annotated[Path | None, typer.Option(help="Write the state behind the text, to go on with.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before TEXT; may be repeated.", metavar="TEXT")] = None,
    ban: Annotated[
        list[str] | None,
        typer.Option(help="Never generate TEXT; may be repeated. <unk> is banned unless '' is.", metavar="TEXT"),
    ] = None,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Let a trained language model write text, or a model of music documents into a folder (--to).

    Text streams to stdout as it is made. Models that say one thing of each input are used by `unspool predict`.
    """
    from unspool.data.music.prompts import is_piece
    from unspool.generate.documents import LONGEST
    from unspool.generate.sampling import Sampling
    from unspool.generate.text import likeliest
    from unspool.runs.run import Run, format_values

    load_plugins(plugin)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    loaded = Run.load(run, device)
    if is_piece(prompt):
        from unspool.cli.documents import piece_text

        prompt = piece_text(loaded, prompt)
    options = {"--state": state, "--save-state": save_state, "--stop": stop, "--ban": ban}
    if to:
        from unspool.cli.documents import write_documents

        refuse_options(options, "--to writes whole documents")
        figures = write_documents(loaded, to, count, length or LONGEST, sampling, seed, prompt)
        print_json(figures) if as_json else typer.echo(format_values(figures))
        return
    length, banned, ends = length or 500, banned_texts(ban), stop or ()
    if beam:
        refuse_narrow(beam, count, "texts")
        refuse_options({**options, "--ban": None}, "--beam searches from a prompt")
        with notes():
            found = likeliest(loaded.model, loaded.tokenizer, prompt, length, beam, banned)[:count]
        show_texts(prompt, found, count, as_json)
        return
    if save_state is not None and not save_state.parent.is_dir():
        raise ConfigError(f"there is no folder {save_state.parent}", hint="--save-state FILE in a folder that exists")
    began = None if state is None else loaded.load_state(state)
    if count > 1 or as_json:
        refuse_options({"--save-state": save_state}, "--count and --json generate several texts")
        found = several(loaded, prompt, began, length, sampling, seed, count, ends, banned)
        show_texts(prompt, found, count, as_json)
        return
    with notes():
        stream = loaded.stream(prompt, state=began, length=length, sampling=sampling, seed=seed, stop=ends, ban=banned)
    try:
        show_stream(prompt, stream)
    finally:
        if save_state is not None:
            stream.state.save(save_state)


def several(
    run: "Run",
    prompt: str,
    state: "State | None",
    length: int,
    sampling: "Sampling",
    seed: int | None,
    count: int,
    stop: "Sequence[str]",
    ban: "Sequence[str]",
) -> "list[Candidate]":
    """Several continuations of a prompt, the likeliest first."""
    from unspool.generate.text import candidates, token_before
    from unspool.runs.run import engine_of

    with notes():
        first = run.read(prompt, state=state)
    first = first if seed is None else replace(first, seed=seed)
    before = token_before(run.tokenizer, prompt, first.ids, state is not None)
    return candidates(engine_of(run), run.tokenizer, first, length, sampling, count, before=before, stop=stop, ban=ban)


@contextmanager
def notes() -> "Iterator[None]":
    """Warnings inside the block, such as that of unknown words, are lines on stderr."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
    for warning in found:
        say(f"note: {warning.message}")


def banned_texts(ban: list[str] | None) -> list[str]:
    """The texts that are banned: those of --ban, and the unknown word unless an empty one says that it may come."""
    from unspool.generate.text import BANNED

    given = ban or []
    return [text for text in given if text] + ([] if "" in given else [one for one in BANNED if one not in given])


def refuse_options(options: "Mapping[str, object]", why: str) -> None:
    """Refuse options that have no meaning together with another."""
    given = [name for name, value in options.items() if value]
    if given:
        raise ConfigError(f"{why}, and {' and '.join(given)} cannot be used with it", hint=f"leave out {given[0]}")


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
