"""The verb that says how probable a model thinks a text."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import Device, Json, Plugins, RunPath, aligned, app, given_text, load_plugins, notes, print_json
from unspool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from unspool.data.tokenizer import Tokenizer
    from unspool.generate.scoring import TokenScore

Texts = Annotated[list[str] | None, typer.Argument(help="Texts, each scored by itself.", metavar="TEXT")]
TextFile = Annotated[str | None, typer.Option(help="A file that is one text; - is standard input.")]
Context = Annotated[str, typer.Option(help="What comes before each text, and is not scored itself.")]
StateFile = Annotated[Path | None, typer.Option(help="Go on from a state that --save-state wrote.")]
Top = Annotated[int, typer.Option(help="Show the K likeliest tokens in each place.", min=0, max=1000)]
Window = Annotated[int, typer.Option(help="Begin anew every N tokens; 0: the state is carried.", min=0, max=10**9)]
Summary = Annotated[bool, typer.Option("--total", help="No tokens, only the sums.")]


@app.command()
def score(
    run: RunPath,
    texts: Texts = None,
    file: TextFile = None,
    prompt: Context = "",
    state: StateFile = None,
    top: Top = 0,
    window: Window = 0,
    total: Summary = False,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Show how probable each token of a text is, and the text in all, in nats.

    Texts are the arguments, else --file, else standard input, which is one text. The first token of a text that
    nothing comes before has no probability.
    """
    from unspool.generate.scoring import id_scores
    from unspool.generate.text import warn_of_unknown
    from unspool.runs.run import Run, engine_of, format_values

    load_plugins(plugin)
    if texts and file is not None:
        raise ConfigError("texts and --file are both given", hint="leave one of them out")
    loaded = Run.load(run, device)
    tokenizer, engine = loaded.tokenizer, engine_of(loaded)
    begun = loaded.load_state(state) if state else None
    with notes():
        begun = loaded.read(prompt, state=begun) if prompt else begun
    found = []
    for text in texts or [standard_text(file)]:
        with notes():
            warn_of_unknown(tokenizer, text)
        sums = Sums(text, begun is not None, keeps=not total)
        for one in id_scores(engine, tokenizer, tokenizer.encode(text).tolist(), begun, top, window):
            sums.add(one)
        values = sums.values(tokenizer)
        found.append({"text": text, **values, **({} if total else {"tokens": [asdict(one) for one in sums.tokens]})})
        if not as_json:
            summary = f"{values.pop('scored_tokens')} tokens scored: {format_values(values)}"
            typer.echo("\n".join([*([] if total else token_table(sums.tokens, top)), summary]))
    if as_json:
        print_json(found)


def standard_text(file: str | None) -> str:
    """The text of --file, or of standard input. Raises: DataError where none is given."""
    if file is None and sys.stdin.isatty():
        raise DataError("no text is given", hint='unspool score RUN "a text", or --file FILE')
    return given_text(None, file or "-") or ""


class Sums:
    """What the scores of a text come to.

    Args:
        text: that is scored.
        behind: whether something was read before it.
        keeps: whether the tokens are kept, and not only added up.
    """

    def __init__(self, text: str, behind: bool, keeps: bool) -> None:
        self.text, self.behind, self.keeps = text, behind, keeps
        self.tokens: list[TokenScore] = []
        self.number, self.nats = 0, 0.0  # of the tokens that have a score

    def add(self, score: "TokenScore") -> None:
        """One more token."""
        if score.log_probability is not None:
            self.number, self.nats = self.number + 1, self.nats + score.log_probability
        if self.keeps:
            self.tokens.append(score)

    def values(self, tokenizer: "Tokenizer") -> dict[str, float | int | None]:
        """The tokens that have a score, the log-probability of the text in nats, bits per character."""
        from unspool.metrics.metric import perplexity, text_bits

        values: dict[str, float | int | None] = {"scored_tokens": self.number, "log_probability": self.nats}
        if self.number:
            loss = -self.nats / self.number
            values |= {"loss": loss, "perplexity": perplexity(loss)}
            values |= text_bits(tokenizer, self.text, -self.nats, self.behind)
        return values


def token_table(scores: "Sequence[TokenScore]", top: int) -> list[str]:
    """A table: each token, its log-probability in nats, its probability, and what was likelier."""
    from unspool.data.tokenizer import visible

    rows = [("token", "log-probability", "probability", f"the likeliest {top}" if top else "")]
    for one in scores:
        value = one.log_probability
        best = " ".join(f"{visible(text)} {exp(p):.3f}" for text, p in one.top.items())
        numbers = ("", "") if value is None else (f"{value:.4f}", f"{exp(value):.4f}")
        rows.append((visible(one.text), *numbers, best))
    return aligned(rows)
