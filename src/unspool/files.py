"""Reads that are bounded and checked, and atomic writes: a file is in its place whole or not at all."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.errors import CheckpointError
from unspool.schema import from_json

if TYPE_CHECKING:
    from torch import Tensor

ANOTHER_RUN = "choose another --run DIR"
WRITABLE = "make the folder writable, or copy it to a place that is"
FREE = "free some space, then `unspool resume RUN`, or the same command again where nothing was saved yet"
RESTORE = "restore it from a copy"
LARGEST = 2**28
"""So many bytes a text file of a run has at most: 256 MB."""


def write_text(path: Path, text: str) -> None:
    """Put a small file in its place, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, remedy: str = WRITABLE) -> None:
    """Put a file in its place, whole or not at all."""
    with writing(path, remedy):
        draft = path.with_name(f".draft-{path.name}")
        try:
            write_through(draft, content)
            draft.replace(path)
            flush_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, remedy: str = WRITABLE) -> Iterator[None]:
    """Turn errors of the disk into CheckpointErrors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CheckpointError(
                f"no space left on the disk for {path}; what was saved before is whole",
                hint=f"free some space, or {remedy}" if remedy not in (WRITABLE, ANOTHER_RUN) else FREE,
            ) from error
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}", hint=remedy) from error


def regular(path: Path) -> Path:
    """The path itself, of a plain file: a pipe or a device is refused, since reading it might never end.

    Raises:
        CheckpointError: where it is missing or anything but a plain file.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing", hint="the folder is not a whole run") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} is not readable: {reason}", hint=RESTORE) from None
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{path} is not a regular file", hint=RESTORE)
    return path


def read_text(path: Path) -> str:
    """The text in a file of a run."""
    if regular(path).stat().st_size > LARGEST:
        raise CheckpointError(f"{path} is larger than {LARGEST // 2**20} MB", hint=RESTORE)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} is not readable: {reason}", hint=RESTORE) from None


def read_json(path: Path, wanted: Any = dict[str, Any]) -> Any:
    """The value in a JSON file of a run, checked against a type: a dataclass says which fields there are.

    Raises:
        CheckpointError: where the file is missing, or its content is not of that type.
    """
    try:
        return from_json(read_text(path), wanted)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be used: {error}", hint=RESTORE) from None


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """The tensors in a safetensors file, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(regular(path))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}", hint=RESTORE) from None


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_through(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make a rename last through a power cut; Windows has no such call and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
