"""`unspool look RUN --temperatures`: what the temperature does to generated text, as a table and a picture."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from unspool.cli.shared import print_json, say
from unspool.data.keypad import KeyDictionary, words_of
from unspool.generate.temperatures import TextQuality, sample_temperatures
from unspool.look.canvas import COLOURS, Picture
from unspool.runs.loading import load_data

if TYPE_CHECKING:
    from unspool.runs.run import Run

SHARES = {"real_words": "real words", "distinct_words": "distinct words", "repeated": "repeated passages"}


def show_temperatures(run: "Run", folder: Path, as_json: bool) -> None:
    """Print the table, and draw its curves into the folder."""
    tokenizer = run.tokenizer
    text = load_data(run.recipe, run.checkpoint.run).train  # type: ignore[union-attr]
    known = KeyDictionary(words_of(text if isinstance(text, str) else "\n".join(text))).counts
    rows = []
    if not as_json:
        typer.echo(f"{'temperature':>11}{'words':>8}" + "".join(f"{name:>19}" for name in SHARES.values()) + "  text")
    prompt = str(run.recipe["sample"].get("prompt", ""))
    prompt = "" if tokenizer.unknown(prompt) else prompt
    for row in sample_temperatures(run.model, tokenizer, known, prompt=prompt):
        rows.append(row)
        if not as_json:
            shares = "".join(f"{percent(getattr(row, name)):>19}" for name in SHARES)
            typer.echo(f"{row.temperature:11g}{row.words:8,}{shares}  {row.sample}")
    if as_json:
        print_json([asdict(row) for row in rows])
    folder.mkdir(parents=True, exist_ok=True)
    path = draw_temperatures(rows).save(folder / "temperatures.png")
    say(f"a picture of it is {path}")


def percent(share: float | None) -> str:
    """A share as a table shows it."""
    return "" if share is None else f"{share:.1%}"


def draw_temperatures(rows: list[TextQuality]) -> Picture:
    """The three shares over the temperature."""
    picture = Picture(6.0, 3.4)
    axes = picture.axes[0]
    for (name, label), colour in zip(SHARES.items(), COLOURS, strict=False):
        points = [(row.temperature, getattr(row, name)) for row in rows if getattr(row, name) is not None]
        axes.plot([x for x, _ in points], [y for _, y in points], marker="o", color=colour, label=label)
    axes.set_xlabel("temperature")
    axes.set_ylabel("share")
    axes.set_ylim(-0.02, 1.02)
    picture.legend(axes)
    return picture
