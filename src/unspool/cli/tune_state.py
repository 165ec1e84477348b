"""The verb that tunes a first state."""

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Overrides, Plugins, RunPath, aligned, app, load_plugins, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from unspool.runs.state_tuning import Gain, StateTuning

FEW = 30
"""So many chunks held out are too few to trust a difference."""


@app.command("tune-state")
def tune_state(
    run: RunPath,
    settings: Overrides = None,
    out: Annotated[Path, typer.Option(help="The file to write; a picture of its name comes beside.")] = Path(
        "voice.state"
    ),
    steps: Annotated[int, typer.Option(help="At most so many steps.", min=1, max=10**6)] = 500,
    rate: Annotated[float, typer.Option(help="Learning rate of the state.")] = 0.05,
    length: Annotated[int, typer.Option(help="Tokens of each chunk that begins from it.", min=1, max=10**5)] = 100,
    seed: Annotated[int, typer.Option(help="Of the order of the chunks.", min=0, max=2**63 - 1)] = 0,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Tune the state that a model begins a text from, a voice in a few kB, on data.path=FILE; its weights stay.

    `unspool sample RUN --state FILE` uses it. A tenth of the text is held out to stop by, and another to report on.
    Ctrl-C keeps the best state so far.
    """
    from unspool.experiment.progress import asked_to_stop
    from unspool.look.plots import draw_gain
    from unspool.runs.run import Run
    from unspool.runs.state_tuning import StateTuning

    load_plugins(plugin)
    picture = out.with_suffix(".png")
    refuse_out(out, picture)
    loaded = Run.load(run, device)
    tuning = StateTuning(loaded, settings or (), length, steps=steps, rate=rate, seed=seed)
    with asked_to_stop(tuning.tuner.stop) as asked:
        follow_tuning(tuning)
    state, gain = tuning.state, tuning.gain()
    state.save(out)
    draw_gain(gain.by_position, picture, f"{Path(loaded.name).name}: {out.stem}")
    if as_json:
        print_json({"state": str(out), "picture": str(picture), "bytes": out.stat().st_size, **gain.as_dict()})
    else:
        show_gain(gain)
    say(f"the state: {out} ({out.stat().st_size / 1e3:,.1f} kB)   its gain by position: {picture}")
    say(f"next:\n  unspool sample {quote(str(run))} --state {quote(str(out))}")
    if asked:
        sys.exit(128 + asked[0])


def refuse_out(out: Path, picture: Path) -> None:
    """Raise a ConfigError where the state cannot be written."""
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent}", hint="--out FILE in a folder that exists")
    if out.is_dir() or out == picture:
        raise ConfigError(f"--out {out} is a {'folder' if out.is_dir() else 'picture'}", hint="--out voice.state")


def follow_tuning(tuning: "StateTuning") -> None:
    """Tune to the end, with a line for every evaluation."""
    from math import log

    sizes = ", ".join(f"{name} {len(chunks):,}" for name, chunks in tuning.chunks.items())
    numbers = sum(value.numel() for _, value in tuning.tuner.tuned)
    say(f"{numbers:,} numbers are tuned; chunks of {tuning.chunks['train'].shape[1] - 1} tokens: {sizes}")
    for step in tuning.tuner:
        if step.valid is not None and (step.best or sys.stderr.isatty()):
            say(f"step {step.number:,}: held out {step.valid / log(2):.4f} bits per token{' (best)' * step.best}")
    if tuning.tuner.ended:
        say(f"stopped at step {tuning.tuner.number:,}: the loss held out no longer improves")


def show_gain(gain: "Gain") -> None:
    """A table of the three ways to begin a text."""
    names = {"zero": "from an empty state", "read": "after reading the text", "tuned": "from the tuned state"}
    first = {name: values[: max(1, len(values) // 10)] for name, values in gain.by_position.items()}
    rows = [("", "bits per character", f"bits per token, first {len(first['zero'])}")]
    for name, title in names.items():
        rows.append((title, f"{gain.bits_per_character[name]:.4f}", f"{sum(first[name]) / len(first[name]):.4f}"))
    few = gain.chunks < FEW
    typer.echo(
        "\n".join(
            [*aligned(rows), f"on {gain.chunks:,} chunk{'s' * (gain.chunks > 1)} held out{', which is few' * few}"]
        )
    )
