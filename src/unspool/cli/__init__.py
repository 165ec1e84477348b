"""The command line: parse, call, print.

Answers go to stdout, talk to stderr; nothing heavy is imported before it is needed. Each module here registers its
verbs when it is imported, and `unspool --help` lists them in that order.
"""

import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from unspool.cli import train  # noqa: F401 (its verbs, and below those of the others, as --help lists them)

# isort: split
from unspool.cli import sample  # noqa: F401

# isort: split
from unspool.cli import predict  # noqa: F401

# isort: split
from unspool.cli import score  # noqa: F401

# isort: split
from unspool.cli import evaluate, export, look, recipes, runs, serve, tune_state, verify  # noqa: F401
from unspool.cli.shared import SETTING, app, say
from unspool.errors import UnspoolError

__all__ = ["app", "main"]

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Click's UsageError, which newer versions of typer carry inside."""
INTERRUPTED = 130
LONGEST = 2000
"""So many characters a sentence has at most, whatever names and values it quotes."""
OUT_OF_MEMORY = re.compile("out of memory|allocate memory|size calculation overflow")
"""How torch says that there is not enough, or that there never could be."""


def main(arguments: list[str] | None = None) -> None:
    """The `unspool` command: 0 when all is well, 1 when a check failed, 2 with one clear sentence for an error."""
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for talk in (sys.stdout, sys.stderr):  # a terminal that lacks a letter shows another
        if isinstance(talk, TextIOWrapper):
            talk.reconfigure(errors="replace")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the core to other processes
    try:
        load_verbs(arguments)
        code = app(arguments, prog_name="unspool", standalone_mode=False)
        if code == INTERRUPTED:  # newer versions of typer say so by themselves, and by nothing else
            complain("interrupted", "what was saved before is whole")
        if sys.stdout is not None:
            sys.stdout.flush()
    except UnspoolError as error:
        if "--debug" in arguments:
            raise
        complain(str(error), error.hint)
        code = 2
    except USAGE_ERROR as error:
        complain(error.format_message().rstrip("."), usage_hint(error))
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted", "what was saved before is whole")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has had enough
        let_go_of_stdout()
        code = 0
    except OSError as error:
        let_go_of_stdout()
        complain(f"the system refuses: {error}", "look for a full disk or a missing permission")
        code = 2
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        complain("not enough memory", "make core.width, task.batch_size, task.length or --count smaller")
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def load_verbs(arguments: Sequence[str]) -> None:
    """Import plug-ins before a verb is looked up that is none of ours: it may be one of theirs.

    A plug-in adds a verb as this package does: `from unspool.cli import app`, then `@app.command()`.
    """
    verb = next((word for word in arguments if not word.startswith("-")), "")
    ours = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    if not verb or verb in ours:
        return
    from unspool.plugins import load_entry_points, load_plugin

    load_entry_points()
    for option, value in pairwise(arguments):
        if option == "--plugin":
            load_plugin(Path(value))


def let_go_of_stdout() -> None:
    """Where stdout takes nothing any more, let nothing be written to it when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def usage_hint(error: Any) -> str:
    """A hint: the help of the command that was refused, and how a setting is written where it takes some."""
    context = error.ctx
    if context is None or context.parent is None:
        return "`unspool --help` lists the verbs"
    settings = any(parameter.metavar == SETTING for parameter in context.command.params)
    example = "; a setting is section.key=value, for instance train.steps=100" if settings else ""
    return f"`{context.command_path} --help`{example}"


def complain(message: str, hint: str) -> None:
    """One sentence about what is wrong, one about what to do."""
    for title, text in (("error", message), ("hint", hint)):
        if text:
            line = " ".join(map(str.strip, text.splitlines()))
            say(f"{title}: {line if len(line) <= LONGEST else f'{line[:LONGEST]} ...'}")
