"""The verb that says how probable a model thinks a text."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp, fsum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.sample import notes
from unspool.cli.shared import Device, Json, Plugins, RunPath, aligned, app, given_text, load_plugins, print_json
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
    from unspool.generate.scoring import token_scores
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
            scored = Scored(text, token_scores(engine, tokenizer, text, begun, top, window), begun is not None)
        values = scored.values(tokenizer)
        if not as_json:
            summary = f"{values.pop('scored_tokens')} tokens scored: {format_values(values)}"
            typer.echo("\n".join([*([] if total else scored.lines(top)), summary]))
        tokens = {} if total else {"tokens": [asdict(one) for one in scored.scores]}
        found.append({"text": text, **values, **tokens})
    if as_json:
        print_json(found)


def standard_text(file: str | None) -> str:
    """The text of --file, or of standard input. Raises: DataError where none is given."""
    if file is None and sys.stdin.isatty():
        raise DataError("no text is given", hint='unspool score RUN "a text", or --file FILE')
    return given_text(None, file or "-") or ""


@dataclass(frozen=True)
class Scored:
    """A text with the scores of its tokens; `behind` says whether something was read before it."""

    text: str
    scores: "Sequence[TokenScore]"
    behind: bool

    def values(self, tokenizer: "Tokenizer") -> dict[str, float | int | None]:
        """The sums: tokens that have a score, the log-probability of the text in nats, bits per character."""
        from unspool.metrics.metric import perplexity, text_bits

        known = [one.log_probability for one in self.scores if one.log_probability is not None]
        nats = fsum(known)
        values: dict[str, float | int | None] = {"scored_tokens": len(known), "log_probability": nats}
        bits = text_bits(tokenizer, self.text, -nats, self.behind) if known else {}
        means = {"loss": -nats / len(known), "perplexity": perplexity(-nats / len(known))} if known else {}
        return {**values, **means, **bits}

    def lines(self, top: int) -> list[str]:
        """A table: each token, its log-probability in nats, its probability, and what was likelier."""
        from unspool.data.tokenizer import visible

        rows = [("token", "log-probability", "probability", f"the likeliest {top}" if top else "")]
        for one in self.scores:
            value = one.log_probability
            best = " ".join(f"{visible(text)} {exp(p):.3f}" for text, p in one.top.items())
            numbers = ("", "") if value is None else (f"{value:.4f}", f"{exp(value):.4f}")
            rows.append((visible(one.text), *numbers, best))
        return aligned(rows)
