"""Verbs that use a trained run."""

import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unspool.cli.adapting import (
    Adapt,
    AdaptChunk,
    AdaptDecay,
    AdaptRate,
    AdaptRule,
    CacheLambda,
    CacheSize,
    CacheTheta,
    adapted,
    adapting_of,
)
from unspool.cli.constrained import (
    Biases,
    Choices,
    Diversity,
    Groups,
    JsonSchema,
    Logprobs,
    Regex,
    biases_of,
    constraint_of,
    show_choices,
    token_values,
)
from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, print_json, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from unspool.generate.candidates import Candidate
    from unspool.generate.compiled.program import Precision
    from unspool.generate.constraints import Constraint
    from unspool.generate.sampling import Sampling
    from unspool.generate.state import State
    from unspool.runs.run import Run


Prompt = Annotated[str, typer.Option(help="What the text begins with; of music also a file: tune.abc or piece.mid.")]
Length = Annotated[int | None, typer.Option(help="At most so many tokens; 500, or 2000 a document.", min=1, max=10**9)]
Temperature = Annotated[float, typer.Option(help="0 is greedy; 1 is the model's own; lower is safer.")]
TopK = Annotated[int, typer.Option(help="Draw from the K likeliest only; 0 is off.")]
TopP = Annotated[float, typer.Option(help="Draw from the likeliest that reach P together; 1 is off.")]
MinP = Annotated[float, typer.Option(help="Draw from what is P times as likely as the likeliest; 0 is off.")]
Penalty = Annotated[float, typer.Option(help="Over 1 repeats less; 1 is off.")]
Seed = Annotated[int | None, typer.Option(help="The same seed writes the same text.", min=0, max=2**63 - 1)]
Number = Annotated[int, typer.Option(help="Write that many, and show the likeliest first.", min=1, max=10**5)]
Folder = Annotated[Path | None, typer.Option(help="A new folder for COUNT documents, as .abc, .mid, .wav.")]
Beam = Annotated[int, typer.Option(help="Draw nothing, search the likeliest with N beams; 0 is off.", min=0, max=1000)]
StateFile = Annotated[Path | None, typer.Option(help="Go on from a state that --save-state wrote.")]
NewStateFile = Annotated[Path | None, typer.Option(help="Write the state behind the text, to go on with.")]
Stop = Annotated[list[str] | None, typer.Option(help="End before TEXT; may be repeated.", metavar="TEXT")]
AdaptTo = Annotated[Path | None, typer.Option(help="With --adapt: a text to read before the prompt.")]
Banned = Annotated[
    list[str] | None,
    typer.Option(help="Never generate TEXT; may be repeated. <unk> is banned unless '' is.", metavar="TEXT"),
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="Of the weights: float32, bfloat16 or int8, for more tokens a second.")
]


@app.command()
def sample(
    run: RunPath,
    prompt: Prompt = "",
    length: Length = None,
    temperature: Temperature = 0.8,
    top_k: TopK = 0,
    top_p: TopP = 1.0,
    min_p: MinP = 0.0,
    repetition_penalty: Penalty = 1.0,
    seed: Seed = None,
    count: Number = 1,
    to: Folder = None,
    beam: Beam = 0,
    state: StateFile = None,
    save_state: NewStateFile = None,
    stop: Stop = None,
    ban: Banned = None,
    precision: PrecisionOption = "float32",
    bias: Biases = None,
    regex: Regex = None,
    json_schema: JsonSchema = None,
    choice: Choices = None,
    diverse_groups: Groups = 1,
    diversity: Diversity = 0.5,
    logprobs: Logprobs = False,
    adapt: Adapt = None,
    adapt_to: AdaptTo = None,
    adapt_rule: AdaptRule = None,
    adapt_rate: AdaptRate = None,
    adapt_decay: AdaptDecay = None,
    adapt_chunk: AdaptChunk = None,
    cache_size: CacheSize = None,
    cache_theta: CacheTheta = None,
    cache_lambda: CacheLambda = None,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Let a trained language model write text, or a model of music documents into a folder (--to).

    Text streams to stdout as it is made. Models that say one thing of each input are used by `unspool predict`.
    With --adapt it learns from the text of --adapt-to and from the prompt first; the run stays as it is.
    """
    from unspool.data.music.prompts import is_piece
    from unspool.generate.sampling import Sampling
    from unspool.runs.run import Run

    load_plugins(plugin)
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    steps = {"rule": adapt_rule, "rate": adapt_rate, "decay": adapt_decay, "chunk": adapt_chunk}
    adapting = adapting_of(adapt, **steps, cache_size=cache_size, cache_theta=cache_theta, cache_lambda=cache_lambda)
    loaded = Run.load(run, device)
    if is_piece(prompt):
        from unspool.cli.documents import piece_text

        prompt = piece_text(loaded, prompt)
    files = {"--state": state, "--save-state": save_state, "--stop": stop}
    if adapting is not None:
        refuse_options(
            {"--state": state, "--save-state": save_state}, "--adapt makes other weights than those of the run"
        )
        refuse_options({"--to": to}, "--adapt reads one text")
        loaded = adapted(loaded, adapting, prompt, adapt_to)
    elif adapt_to is not None:
        raise ConfigError("--adapt-to is a text for --adapt", hint="--adapt dynamic")
    drawn = {"--regex": regex, "--json-schema": json_schema, "--bias": bias, "--logprobs": logprobs}
    wanted = Request(
        prompt, length or 500, sampling, seed, count, stop or (), banned_texts(ban),
        biases_of(bias or ()), constraint_of(regex, json_schema), logprobs, known(precision),
    )  # fmt: skip
    if to or beam or choice:
        refuse_options({"--precision": precision != "float32"}, "--to, --beam and --choice run in float32")
    if diverse_groups > 1 and not beam:
        raise ConfigError("--diverse-groups are groups of beams", hint=f"--beam {4 * diverse_groups}")
    if choice:
        other = {"--beam": beam, "--to": to, "--ban": ban, "--save-state": save_state, "--stop": stop}
        refuse_options({**drawn, **other, "--count": count > 1}, "--choice draws one of some texts")
        with notes():
            show_choices(loaded, prompt, choice, begin(loaded, state, None), sampling, seed, as_json)
    elif to:
        refuse_options({**files, **drawn, "--ban": ban}, "--to writes whole documents")
        show_documents(loaded, wanted, to, length, as_json)
    elif beam:
        refuse_options(files, "--beam searches from a prompt")
        show_texts(wanted, searched(loaded, wanted, beam, diverse_groups, diversity), as_json)
    else:
        began = begin(loaded, state, save_state)
        if count > 1 or as_json or logprobs:
            refuse_options({"--save-state": save_state}, "--count, --json and --logprobs show whole texts")
            show_texts(wanted, several(loaded, wanted, began), as_json)
        else:
            show_stream(loaded, wanted, began, save_state)


@dataclass(frozen=True)
class Request:
    """What is to be generated.

    Args:
        prompt: what each text begins with.
        length: at most so many tokens.
        sampling: how they are drawn.
        seed: of the draws; None: a random one.
        count: how many texts.
        stop: a text ends before these.
        ban: texts that are never generated.
        bias: what is added to the logits of texts.
        constraint: what every text matches.
        logprobs: whether each token is shown with its log-probability.
        precision: of the weights.
    """

    prompt: str
    length: int
    sampling: "Sampling"
    seed: int | None
    count: int
    stop: "Sequence[str]"
    ban: "Sequence[str]"
    bias: "Mapping[str, float]"
    constraint: "Constraint | None"
    logprobs: bool
    precision: "Precision"

    def rules(self) -> "dict[str, Any]":
        """What changes the scores of the tokens, as generation takes it."""
        return {"ban": self.ban, "bias": self.bias, "constraint": self.constraint}


def known(precision: str) -> "Precision":
    """The precision of that name. Raises: ConfigError where there is none."""
    from unspool.generate.compiled.program import PRECISIONS

    if precision not in PRECISIONS:
        names = ", ".join(PRECISIONS)
        raise ConfigError(f"--precision is one of {names}, received {precision!r}", hint="--precision int8")
    return precision


def show_documents(run: "Run", wanted: Request, folder: Path, length: int | None, as_json: bool) -> None:
    """Write documents into a new folder, and say how they are."""
    from unspool.cli.documents import write_documents
    from unspool.generate.documents import LONGEST
    from unspool.runs.run import format_values

    longest = length or LONGEST
    figures = write_documents(run, folder, wanted.count, longest, wanted.sampling, wanted.seed, wanted.prompt)
    print_json(figures) if as_json else typer.echo(format_values(figures))


def searched(run: "Run", wanted: Request, beam: int, groups: int, diversity: float) -> "list[Candidate]":
    """The likeliest continuations that a beam search finds. Raises: ConfigError for more than there are beams."""
    from unspool.generate.candidates import likeliest

    if wanted.count > beam:
        raise ConfigError(
            f"--beam {beam} finds at most {beam} texts, {wanted.count} are asked for", hint=f"--beam {wanted.count}"
        )
    options = {**wanted.rules(), "groups": groups, "diversity": diversity, "tokens": wanted.logprobs}
    with notes():
        found = likeliest(run.model, run.tokenizer, wanted.prompt, wanted.length, beam, **options)
    return found[: wanted.count]


def begin(run: "Run", state: Path | None, save_state: Path | None) -> "State | None":
    """The state that a text goes on from. Raises: ConfigError where the new state has no folder to be written to."""
    if save_state is not None and not save_state.parent.is_dir():
        raise ConfigError(f"there is no folder {save_state.parent}", hint="--save-state FILE in a folder that exists")
    return None if state is None else run.load_state(state)


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
    return candidates(engine, run.tokenizer, first, wanted.length, wanted.sampling, wanted.count, **options)


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


def show_stream(run: "Run", wanted: Request, state: "State | None", save_state: Path | None) -> None:
    """A text as it is made; the state behind it is saved, however it ends."""
    options = {**wanted.rules(), "sampling": wanted.sampling, "seed": wanted.seed, "stop": wanted.stop}
    options |= {"precision": wanted.precision}
    with notes():
        stream = run.stream(wanted.prompt, state=state, length=wanted.length, **options)
    try:
        first = next(stream, "")  # a prompt that cannot be read is refused before it is printed
        for piece in chain((wanted.prompt, first), stream):
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
    finally:
        if save_state is not None:
            stream.state.save(save_state)
