"""Numba's cache of compiled functions, kept to the source that they were compiled of.

Numba compiles a function again when its own file has changed, but not when a function that it calls has.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any


def digest_of(files: Sequence[Path]) -> str:
    """A digest of what is in some files of source.

    >>> digest_of([Path(__file__)]) == digest_of([Path(__file__)])
    True
    """
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def forget_other_sources(function: Any, files: Sequence[Path]) -> None:
    """Remove what was compiled of another source from the folder in which Numba keeps a function.

    Args:
        function: a function compiled by Numba, with its cache on.
        files: the source of it and of all compiled functions that it calls.
    """
    folder = Path(function.stats.cache_path)
    note = folder / f"unspool-source-{digest_of(files)}"
    if not note.exists():
        for file in files:
            for compiled in folder.glob(f"{file.stem}.*.nb[ci]"):
                compiled.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        note.touch()
