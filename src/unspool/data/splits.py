"""Data in three splits, and the options that say how it is split."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from unspool.errors import ConfigError
from unspool.schema import Natural, Share

T = TypeVar("T", bound=Sequence[Any])


@dataclass(frozen=True)
class Splits(Generic[T]):
    """Data for training, validation and test: three texts, or three lists of records.

    Args:
        train: what the model is trained on.
        valid: what the best model is chosen by; empty where it is not given.
        test: what the chosen model is tested on; empty where it is not given.
        files: the files that were read.
        notes: what the user should know about how they were read, a sentence each.
        places: where a series was found, by its name, for error messages.
        lines: where the records of validation and test were found, likewise.

    >>> splits = Splits("to be ", "or not ")
    >>> splits.test, splits.fingerprint == Splits("to be or ", "not ").fingerprint
    ('', False)
    """

    train: T
    valid: T = None  # type: ignore[assignment]
    test: T = None  # type: ignore[assignment]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("valid", "test"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, type(self.train)())

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the three splits: a resumed run compares it, to be sure that its data is still the same."""
        digest = hashlib.sha256()
        for number, split in enumerate((self.train, self.valid, self.test)):
            if isinstance(split, str):
                digest.update((b"\0" if number else b"") + split.encode("utf-8", "surrogatepass"))
                continue
            for record in split:
                digest.update(json.dumps(record, sort_keys=True, default=as_text).encode())
            digest.update(b"\0")
        return digest.hexdigest()


@dataclass(kw_only=True)
class SplitOptions:
    """Options of [data]: how data is cut into splits.

    Args:
        limit: how much of the data is kept (records of each split, characters of a text); 0 keeps all.
        valid: the share for validation, where validation has no file or folder of its own.
        test: the share for the test, likewise.

    >>> SplitOptions(valid=0.05).shares
    (Fraction(1, 20), Fraction(0, 1))
    """

    limit: Natural = 0
    valid: Share = 0.1
    test: Share = 0.0

    def __post_init__(self) -> None:
        self.shares = shares(self.valid, self.test)


@dataclass(kw_only=True)
class SplitPaths:
    """Options of [data]: splits with files of their own.

    >>> SplitPaths(valid_path="dev.csv").train_path
    ''
    """

    train_path: str = ""
    valid_path: str = ""
    test_path: str = ""


def as_text(value: Any) -> str:
    """A value that JSON does not have, as text: equal only for equal values.

    >>> as_text(b"a") == as_text(b"b")
    False
    """
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else repr(value)


@runtime_checkable
class Dataset(Protocol):
    """What reads a recipe's [data] section: its constructor takes the section's options."""

    def read(self) -> Splits[Any]:
        """Read all splits. Raises: DataError that names file and line."""
        ...

    def from_stdin(self, splits: Any) -> str:
        """What of the splits was read from standard input, so that a run can keep it; "" when nothing was."""
        ...


class NoData:
    """The [data] section of a task that generates its own data: it has no options.

    >>> NoData().read().train
    ''
    """

    def read(self) -> Splits[str]:
        """Empty splits."""
        return Splits("")

    def from_stdin(self, splits: Splits[str]) -> str:
        """Nothing was read from standard input."""
        return ""


def non_empty(splits: Splits[T]) -> dict[str, T]:
    """The splits that are not empty, by name.

    >>> non_empty(Splits("to be", test="or not"))
    {'train': 'to be', 'test': 'or not'}
    """
    return {name: part for name in ("train", "valid", "test") if (part := getattr(splits, name))}


def shares(valid: float, test: float) -> tuple[Fraction, Fraction]:
    """The shares for validation and test as exact fractions of their decimal notation: 1 - 0.05 - 0.05 is 0.9.

    Raises:
        ConfigError: where they leave nothing for training.

    >>> 1 - sum(shares(0.05, 0.05))
    Fraction(9, 10)
    """
    found = Fraction(str(valid)), Fraction(str(test))
    if sum(found) >= 1:
        raise ConfigError(f"data.valid={valid} and data.test={test} leave nothing to train on", hint="data.valid=0.1")
    return found
