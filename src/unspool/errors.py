"""Every error a user can meet.

UnspoolError
├── ConfigError      a recipe, an override or an option says something impossible
├── DataError        a file, a text or a prompt cannot be read
├── CheckpointError  a run folder is missing, damaged or cannot be written
├── TrainingError    the loss became NaN or infinite
├── LimitError       a request is larger than a limit of the server
└── BusyError        there is more to do than the server takes on at a time
"""

from collections.abc import Iterable
from difflib import get_close_matches
from shlex import quote


class UnspoolError(Exception):
    """The base of all errors: the command line prints its message and its hint without a traceback, and exits with 2.

    Args:
        message: what happened, and where.
        hint: what to type or change; "": nothing is suggested.

    >>> raise UnspoolError("there is no file text.txt", hint="check the path")
    Traceback (most recent call last):
    ...
    unspool.errors.UnspoolError: there is no file text.txt
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(UnspoolError):
    """A recipe, an override or an option says something impossible.

    >>> raise ConfigError("core.width should be 1 or more", hint="core.width=64")
    Traceback (most recent call last):
    ...
    unspool.errors.ConfigError: core.width should be 1 or more
    """


class DataError(UnspoolError):
    """A file, a text or a prompt cannot be read.

    >>> raise DataError("text.txt, line 3 is not UTF-8", hint="save it as UTF-8")
    Traceback (most recent call last):
    ...
    unspool.errors.DataError: text.txt, line 3 is not UTF-8
    """


class CheckpointError(UnspoolError):
    """A run folder is missing, damaged or cannot be written.

    >>> raise CheckpointError("runs/a is not a run folder", hint="give the folder that `unspool train` wrote")
    Traceback (most recent call last):
    ...
    unspool.errors.CheckpointError: runs/a is not a run folder
    """


class TrainingError(UnspoolError):
    """The loss became NaN or infinite.

    >>> raise TrainingError("the loss is nan at step 3", hint="lower train.learning_rate")
    Traceback (most recent call last):
    ...
    unspool.errors.TrainingError: the loss is nan at step 3
    """


class LimitError(UnspoolError):
    """A request is larger than a limit of the server.

    >>> raise LimitError("the prompt has 9 tokens, and 8 are allowed", hint="shorten it")
    Traceback (most recent call last):
    ...
    unspool.errors.LimitError: the prompt has 9 tokens, and 8 are allowed
    """


class BusyError(UnspoolError):
    """There is more to do than the server takes on at a time.

    >>> raise BusyError("1,024 requests are waiting", hint="try again in a while")
    Traceback (most recent call last):
    ...
    unspool.errors.BusyError: 1,024 requests are waiting
    """


MOST, LONGEST = 100, 200
"""So many names a hint lists, and so many characters of a name an error quotes."""


def unknown(what: str, name: str, known: Iterable[str], prefix: str = "") -> ConfigError:
    """One sentence for every misspelt name, with the nearest right one, as a shell takes it.

    >>> unknown("cell", "lstn", ["gru", "lstm"]).hint
    "did you mean 'lstm'?"
    >>> unknown("column", "label", ["Dept.", "Mail body"], prefix="data.text=").hint
    "choose one of data.text=Dept., 'data.text=Mail body'"
    """
    choices = sorted(known)
    close = get_close_matches(name[:LONGEST], choices[:MOST], n=1)
    if close:
        hint = f"did you mean {prefix + close[0]!r}?"
    elif choices:
        more = f" and {len(choices) - MOST:,} more" if len(choices) > MOST else ""
        hint = f"choose one of {', '.join(quote(prefix + choice) for choice in choices[:MOST])}{more}"
    else:
        hint = f"there is no {what} to choose from"
    full = prefix + name
    shown = full if len(full) <= LONGEST else f"{full[:LONGEST]}..."
    return ConfigError(f"unknown {what} {shown!r}", hint=hint)
