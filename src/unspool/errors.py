"""Every error a user can meet.

UnspoolError
├── ConfigError      a recipe, an override or an option says something impossible
├── DataError        a file, a text or a prompt cannot be read
├── CheckpointError  a run folder is missing, damaged or cannot be written
└── TrainingError    the loss became NaN or infinite
"""

from collections.abc import Iterable
from difflib import get_close_matches


class UnspoolError(Exception):
    """Base of them all: the command line prints its sentence and its hint, no traceback, and exits with 2.

    >>> raise UnspoolError("there is no file text.txt", hint="check the path")
    Traceback (most recent call last):
    ...
    unspool.errors.UnspoolError: there is no file text.txt
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(UnspoolError):
    """A recipe, an override or an option says something impossible."""


class DataError(UnspoolError):
    """A file, a text or a prompt cannot be read."""


class CheckpointError(UnspoolError):
    """A run folder is missing, damaged or cannot be written."""


class TrainingError(UnspoolError):
    """The loss became NaN or infinite."""


MOST, LONGEST = 100, 200
"""So many names a hint lists, and so many characters of a name an error quotes."""


def unknown(what: str, name: str, known: Iterable[str], prefix: str = "") -> ConfigError:
    """One sentence for every misspelt name, with the nearest right one.

    >>> unknown("cell", "lstn", ["gru", "lstm"]).hint
    "did you mean 'lstm'?"
    """
    choices = sorted(known)
    close = get_close_matches(name[:LONGEST], choices[:MOST], n=1)
    if close:
        hint = f"did you mean {prefix + close[0]!r}?"
    elif choices:
        more = f" and {len(choices) - MOST:,} more" if len(choices) > MOST else ""
        hint = f"choose one of {', '.join(prefix + choice for choice in choices[:MOST])}{more}"
    else:
        hint = f"there is no {what} to choose from"
    full = prefix + name
    shown = full if len(full) <= LONGEST else f"{full[:LONGEST]}..."
    return ConfigError(f"unknown {what} {shown!r}", hint=hint)
