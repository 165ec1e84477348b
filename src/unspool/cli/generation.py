"""What `unspool sample` wants, and how it is written: one text, several, beams, choices or documents."""

import sys
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from unspool.cli.constrained import show_choices, token_values
from unspool.cli.shared import notes, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unspool.generate.candidates import Candidate
    from unspool.generate.compiled.program import Precision
    from unspool.generate.constraints import Constraint
    from unspool.generate.sampling import Sampling
    from unspool.generate.state import State
    from unspool.runs.run import Run

USUAL = 500
"""How many tokens a text has at most that is no document."""


@dataclass(frozen=True)
class Request:
    """What is to be generated.

    Args:
        prompt: what each text begins with.
        length: at most so many tokens; None: 500, or 2,000 of a document.
        sampling: how they are drawn.
        seed: of the draws; None: a random one.
        count: how many texts.
        stop: a text ends before these.
        ban: texts that are never generated.
        bias: what is added to the logits of texts.
        constraint: what every text matches.
        logprobs: whether each token is shown with its log-probability.
        precision: of the weights.
        choices: texts of which one is drawn.
        folder: where whole documents are written.
        beam: how many beams search, in place of drawing.
        groups: of beams, which differ.
        diversity: by how many nats the groups are kept apart.
        state: a file with the state to go on from.
        new_state: the file to write the state behind the text to.
    """

    prompt: str
    length: int | None
    sampling: "Sampling"
    seed: int | None
    count: int
    stop: "Sequence[str]"
    ban: "Sequence[str]"
    bias: "Mapping[str, float]"
    constraint: "Constraint | None"
    logprobs: bool
    precision: "Precision"
    choices: "Sequence[str]"
    folder: Path | None
    beam: int
    groups: int
    diversity: float
    state: Path | None
    new_state: Path | None

    def rules(self) -> "dict[str, Any]":
        """What changes the scores of the tokens, as generation takes it."""
        return {"ban": self.ban, "bias": self.bias, "constraint": self.constraint}

    def tokens(self) -> int:
        """How many tokens a text has at most."""
        return self.length or USUAL


def generate(run: "Run", wanted: Request, as_json: bool) -> None:
    """Write what is wanted in the way that it asks for."""
    if wanted.choices:
        began = begin(run, wanted)
        with notes():
            show_choices(run, wanted.prompt, wanted.choices, began, wanted.sampling, wanted.seed, as_json)
    elif wanted.folder:
        show_documents(run, wanted, wanted.folder, as_json)
    elif wanted.beam:
        show_texts(wanted, searched(run, wanted), as_json)
    elif wanted.count > 1 or as_json or wanted.logprobs:
        show_texts(wanted, several(run, wanted, begin(run, wanted)), as_json)
    else:
        show_stream(run, wanted, begin(run, wanted))


def show_documents(run: "Run", wanted: Request, folder: Path, as_json: bool) -> None:
    """Write documents into a new folder, and say how they are."""
    from unspool.cli.documents import write_documents
    from unspool.generate.documents import LONGEST
    from unspool.runs.run import format_values

    longest = wanted.length or LONGEST
    figures = write_documents(run, folder, wanted.count, longest, wanted.sampling, wanted.seed, wanted.prompt)
    print_json(figures) if as_json else typer.echo(format_values(figures))


def searched(run: "Run", wanted: Request) -> "list[Candidate]":
    """The likeliest continuations that a beam search finds. Raises: ConfigError for more than there are beams."""
    from unspool.generate.candidates import likeliest

    beam = wanted.beam
    if wanted.count > beam:
        raise ConfigError(
            f"--beam {beam} finds at most {beam} texts, {wanted.count} are asked for", hint=f"--beam {wanted.count}"
        )
    options = {**wanted.rules(), "groups": wanted.groups, "diversity": wanted.diversity, "tokens": wanted.logprobs}
    with notes():
        found = likeliest(run.model, run.tokenizer, wanted.prompt, wanted.tokens(), beam, **options)
    return found[: wanted.count]


def begin(run: "Run", wanted: Request) -> "State | None":
    """The state that a text goes on from. Raises: ConfigError where the new state has no folder to be written to."""
    new = wanted.new_state
    if new is not None and not new.parent.is_dir():
        raise ConfigError(f"there is no folder {new.parent}", hint="--save-state FILE in a folder that exists")
    return None if wanted.state is None else run.load_state(wanted.state)


def several(run: "Run", wanted: Request, state: "State | None") -> "list[Candidate]":
    """Several continuations of a prompt, the likeliest first."""
    from unspool.generate.candidates import candidates
    from unspool.generate.text import token_before
    from unspool.runs.run import engine_of

    with notes():
        first = run.read(wanted.prompt, state=state)
    first = first if wanted.seed is None else replace(first, seed=wanted.seed)
    before = token_before(run.tokenizer, wanted.prompt, first.ids, state is not None)
    options = {**wanted.rules(), "before": before, "stop": wanted.stop, "tokens": wanted.logprobs}
    engine = engine_of(run, wanted.precision)
    return candidates(engine, run.tokenizer, first, wanted.tokens(), wanted.sampling, wanted.count, **options)


def show_texts(wanted: Request, made: "list[Candidate]", as_json: bool) -> None:
    """Several ways in which a text goes on, each with how likely it is."""
    from unspool.cli.score import token_table

    texts = [wanted.prompt + candidate.text for candidate in made]
    if as_json:
        values = [{"text": t, "log_probability": c.log_probability} for t, c in zip(texts, made, strict=True)]
        tokens = [{"tokens": token_values(one)} if wanted.logprobs else {} for one in made]
        print_json([value | some for value, some in zip(values, tokens, strict=True)])
        return
    for number, (text, candidate) in enumerate(zip(texts, made, strict=True), start=1):
        say(f"--- {number} of {len(made)}, log-probability {candidate.log_probability:.1f} nats")
        typer.echo(text)
        if wanted.logprobs:
            typer.echo("\n".join(["", *token_table(candidate.tokens, top=0), ""]))


def show_stream(run: "Run", wanted: Request, state: "State | None") -> None:
    """A text as it is made; the state behind it is saved, however it ends."""
    options = {**wanted.rules(), "sampling": wanted.sampling, "seed": wanted.seed, "stop": wanted.stop}
    options |= {"precision": wanted.precision}
    with notes():
        stream = run.stream(wanted.prompt, state=state, length=wanted.tokens(), **options)
    try:
        first = next(stream, "")  # a prompt that cannot be read is refused before it is printed
        for piece in chain((wanted.prompt, first), stream):
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
    finally:
        if wanted.new_state is not None:
            stream.state.save(wanted.new_state)
