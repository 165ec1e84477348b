"""The verb that generates text: `unspool sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unspool.cli.adapting import adapted, takes_adapting
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
)
from unspool.cli.generation import Request, generate
from unspool.cli.shared import Device, Json, Plugins, RunPath, app, load_plugins, say
from unspool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unspool.generate.compiled.program import Precision
    from unspool.runs.run import Run
    from unspool.training.adapting import Adapting


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
FLOAT = "--to, --beam and --choice run in float32"
WHOLE = "--count, --json and --logprobs show whole texts"
APART = [
    ("--adapt", "--state --save-state", "--adapt makes other weights than those of the run"),
    ("--adapt", "--to", "--adapt reads one text"),
    ("--to", "--precision", FLOAT),
    ("--beam", "--precision", FLOAT),
    ("--choice", "--precision", FLOAT),
    ("--choice", "--regex --json-schema --bias --logprobs --beam --to --ban --save-state --stop --count",
     "--choice draws one of some texts"),
    ("--to", "--state --save-state --stop --regex --json-schema --bias --logprobs --ban --beam",
     "--to writes whole documents"),
    ("--beam", "--state --save-state --stop", "--beam searches from a prompt"),
    ("--count", "--save-state", WHOLE),
    ("--json", "--save-state", WHOLE),
    ("--logprobs", "--save-state", WHOLE),
]  # fmt: skip
"""An option, those that cannot be used with it, and why."""


@app.command()
@takes_adapting
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
    adapting: "Adapting | None" = None,
    adapt_to: AdaptTo = None,
    plugin: Plugins = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Let a trained language model write text, or a model of music documents into a folder (--to).

    Text streams to stdout as it is made. Models that say one thing of each input are used by `unspool predict`.
    With --adapt it learns from the text of --adapt-to and from the prompt first; the run stays as it is.
    """
    from unspool.generate.sampling import Sampling
    from unspool.runs.run import Run

    load_plugins(plugin)
    if adapt_to is not None and adapting is None:
        raise ConfigError("--adapt-to is a text for --adapt", hint="--adapt dynamic")
    if diverse_groups > 1 and not beam:
        raise ConfigError("--diverse-groups are groups of beams", hint=f"--beam {4 * diverse_groups}")
    refuse_together({
        "--adapt": adapting, "--ban": ban, "--beam": beam, "--bias": bias, "--choice": choice, "--count": count > 1,
        "--json": as_json, "--json-schema": json_schema, "--logprobs": logprobs, "--precision": precision != "float32",
        "--regex": regex, "--save-state": save_state, "--state": state, "--stop": stop, "--to": to,
    })  # fmt: skip
    loaded = Run.load(run, device)
    prompt = text_of(loaded, prompt)
    if adapting is not None:
        loaded = adapted(loaded, adapting, prompt, adapt_to)
    wanted = Request(
        prompt, length, Sampling(temperature, top_k, top_p, min_p, repetition_penalty), seed, count, stop or (),
        banned_texts(ban), biases_of(bias or ()), constraint_of(regex, json_schema), logprobs, known(precision),
        choice or (), to, beam, diverse_groups, diversity, state, save_state,
    )  # fmt: skip
    generate(loaded, wanted, as_json)


def refuse_together(given: "Mapping[str, object]") -> None:
    """Raise a ConfigError for two options of which one has no meaning beside the other."""
    for option, others, why in APART:
        meant = [name for name in others.split() if given[option] and given[name]]
        if meant:
            raise ConfigError(f"{why}, and {' and '.join(meant)} cannot be used with it", hint=f"leave out {meant[0]}")


def text_of(run: "Run", prompt: str) -> str:
    """The prompt as text, where it names a piece of music what that has; a line on stderr says where it ends."""
    if not prompt:
        return prompt
    from unspool.pipelines.writing import read_prompt

    text, summary = read_prompt(run.pipeline(), prompt)
    if summary:
        say(summary)
    return text


def known(precision: str) -> "Precision":
    """The precision of that name. Raises: ConfigError where there is none."""
    from unspool.generate.compiled.program import PRECISIONS

    if precision not in PRECISIONS:
        names = ", ".join(PRECISIONS)
        raise ConfigError(f"--precision is one of {names}, received {precision!r}", hint="--precision int8")
    return precision


def banned_texts(ban: list[str] | None) -> list[str]:
    """The texts that are banned: those of --ban, and the unknown word unless an empty one says that it may come."""
    from unspool.generate.text import BANNED

    given = ban or []
    return [text for text in given if text] + ([] if "" in given else [one for one in BANNED if one not in given])
