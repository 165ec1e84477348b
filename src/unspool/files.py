"""Atomic reads and writes: a file is in its place whole or not at all, and errors of the disk are CheckpointErrors."""

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

ANOTHER_RUN = "choose another --run DIR"
GOES_ON = "; `unspool resume RUN` goes on from its last checkpoint"


def write_text(path: Path, text: str) -> None:
    """Put a small file in its place, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, remedy: str = ANOTHER_RUN) -> None:
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
def writing(path: Path, remedy: str = ANOTHER_RUN) -> Iterator[None]:
    """Turn errors of the disk into CheckpointErrors."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CheckpointError(
                f"no space left on the disk for {path}; what was saved before is whole",
                hint=f"free some space{GOES_ON if remedy == ANOTHER_RUN else f', or {remedy}'}",
            ) from error
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}", hint=remedy) from error


def read_text(path: Path) -> str:
    """The text in a file of a run."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing", hint="the folder is not a whole run") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{path} is not readable: {reason}", hint="restore it from a copy") from None


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        data = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}", hint="restore it from a copy") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} should hold an object", hint="restore it from a copy")
    return data


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """The tensors in a safetensors file, on the CPU."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file: {error}", hint="restore it from a copy"
        ) from None


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
