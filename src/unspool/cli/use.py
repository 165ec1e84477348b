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

    from unspool.generate.text import Candidate


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
    """Let a trained language model write text, or a model of music documents into a folder (--to).

    Text streams to stdout as it is made. Models that say one thing of each input are used by `unspool predict`.
    """
    from unspool.generate.documents import LONGEST
    from unspool.generate.sampling import Sampling
    from unspool.runs.run import Run, format_values

    load_plugins(plugin)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    loaded = Run.load(run, device)
    usual = 500 if length is None else length
    if to:
        from unspool.cli.documents import compose

        figures = compose(loaded, to, count, length or LONGEST, sampling, seed, prompt)
        print_json(figures) if as_json else typer.echo(format_values(figures))
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
