"""What `unspool sample` says and takes of constraints, biases and log-probabilities."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.shared import aligned, print_json
from unspool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from unspool.generate.candidates import Candidate
    from unspool.generate.constraints import Constraint
    from unspool.generate.sampling import Sampling
    from unspool.generate.state import State
    from unspool.runs.run import Run

Regex = Annotated[str | None, typer.Option(help="Write what this regular expression matches.", metavar="PATTERN")]
JsonSchema = Annotated[Path | None, typer.Option(help="Write JSON that the schema in a file allows.", metavar="FILE")]
Choices = Annotated[
    list[str] | None, typer.Option(help="Draw one of several texts; all their probabilities.", metavar="TEXT")
]
Biases = Annotated[
    list[str] | None, typer.Option(help="Add a number to the logits of a text; may be repeated.", metavar="TEXT=NUMBER")
]
Groups = Annotated[int, typer.Option(help="Keep the beams in G groups that differ.", min=1, max=1000)]
Diversity = Annotated[float, typer.Option(help="By how many nats the groups are kept apart.", min=0, max=1e6)]
Logprobs = Annotated[bool, typer.Option("--logprobs", help="Show each token with its log-probability.")]


def constraint_of(regex: str | None, schema: Path | None) -> "Constraint | None":
    """The constraint that the options ask for. Raises: ConfigError, DataError."""
    if regex is None and schema is None:
        return None
    if regex is not None and schema is not None:
        raise ConfigError("--regex and --json-schema are two constraints", hint="leave one of them out")
    from unspool.generate.constraints import Constraint

    if regex is not None:
        try:
            return Constraint.regex(regex)
        except ConfigError as error:
            raise ConfigError(str(error), hint=f"--regex PATTERN: {error.hint}") from None
    from unspool.generate.json_schema import LARGEST

    if schema is None or not schema.is_file():
        raise DataError(f"there is no file {schema}", hint="--json-schema FILE")
    if schema.stat().st_size > 4 * LARGEST:
        raise DataError(f"{schema} is larger than {4 * LARGEST:,} bytes", hint="make it smaller")
    try:
        return Constraint.json_schema(schema.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{schema} cannot be read: {error}", hint="save it as UTF-8") from None


def biases_of(given: Sequence[str]) -> dict[str, float]:
    """What each text adds to the logits of its tokens.

    >>> biases_of(["a=b=+2.5", "c=-1"])
    {'a=b': 2.5, 'c': -1.0}
    """
    found = {}
    for one in given:
        text, _, number = one.rpartition("=")
        try:
            found[text] = float(number)
        except ValueError:
            raise ConfigError(f"cannot read --bias {one}", hint="--bias TEXT=+2.5") from None
    return found


def show_choices(
    run: "Run",
    prompt: str,
    texts: Sequence[str],
    state: "State | None",
    sampling: "Sampling",
    seed: int | None,
    as_json: bool,
) -> None:
    """One of several texts, and the probabilities of all of them."""
    from unspool.data.tokenizer import TextStream
    from unspool.generate.choices import choice_scores, draw_choice
    from unspool.generate.text import token_before
    from unspool.runs.run import engine_of

    began = run.read(prompt, state=state)
    began = began if seed is None else replace(began, seed=seed)
    found = choice_scores(engine_of(run), run.tokenizer, texts, began)
    drawn = draw_choice(found, sampling, began.seed, began.position)
    spelt = TextStream(run.tokenizer, token_before(run.tokenizer, prompt, began.ids, state is not None))
    text = prompt + "".join(map(spelt.feed, run.tokenizer.encode(drawn.text).tolist()))
    if as_json:
        print_json({"text": text, "choice": drawn.text, "choices": [one.__dict__ for one in found]})
        return
    rows = [(f"{one.probability:.4f}", f"{one.log_probability:.4f}", repr(one.text)) for one in found]
    table = aligned([("probability", "log-probability", "choice"), *rows])
    typer.echo("\n".join([text, "", *table]))


def token_values(candidate: "Candidate") -> list[dict[str, object]]:
    """The tokens of a text, as JSON has them."""
    return [{"id": one.id, "text": one.text, "log_probability": one.log_probability} for one in candidate.tokens]
