"""States that are stored under unguessable names: bounded in bytes, and gone after a time."""

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe
from threading import RLock
from time import time
from typing import Any

from unspool.errors import CheckpointError, LimitError
from unspool.files import write_bytes
from unspool.generate.state import State
from unspool.serve.problems import to_json

ID = re.compile(r"[a-z]+_[A-Za-z0-9_-]{32}")
"""How names look; nothing else comes near the disk."""
ANOTHER = "start the server with another --states FOLDER"


@dataclass(frozen=True)
class Stored:
    """A state that was stored.

    Args:
        model: the name of its model.
        info: what else is known of it, as JSON holds it.
        state: the state itself, where it is in memory.
        path: the file that it is in, where it is on the disk.
    """

    model: str
    info: Mapping[str, Any]
    state: State | None
    path: Path | None


@dataclass(frozen=True)
class _Entry:
    expires: float
    size: int
    stored: Stored | None  # None: on the disk


class StateStore:
    """States by name, in memory or in a folder.

    When there are too many bytes the oldest go. In a folder each is a `.state` file (safetensors) with a `.json` file
    beside it, and those that an earlier server wrote are found again. Threads may share it.

    Args:
        folder: where they are; None: in memory, and gone with the server.
        limit: bytes of all.
        keep: seconds after which one expires.

    >>> import torch
    >>> store = StateStore(None, limit=10**6, keep=60.0)
    >>> name = store.put("state", "char-lm", State((), torch.zeros(1, 5), torch.zeros(1, 3)), {"text": "abc"})
    >>> store.get(name).info["text"], store.get("state_" + 32 * "x")
    ('abc', None)
    """

    def __init__(self, folder: Path | None, limit: int, keep: float) -> None:
        self.folder, self.limit, self.keep = folder, limit, keep
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = RLock()
        self.size = 0  # bytes of all
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CheckpointError(f"cannot make {folder}: {error.strerror}", hint=ANOTHER) from None
            self._find(folder)

    def put(self, kind: str, model: str, state: State, info: Mapping[str, Any], name: str = "") -> str:
        """Store a state.

        Args:
            kind: the beginning of its name.
            name: the whole name, from `new_name`; "": a new one.
            model: the name of its model.
            state: is not changed.
            info: what else is to be known of it.

        Returns:
            Its name.

        Raises:
            LimitError: it is larger than everything together may be.
            CheckpointError: the disk refuses.
        """
        name, size = name or new_name(kind), state.size + len(to_json(info))
        if size > self.limit:
            raise LimitError(
                f"the state has {size:,} bytes, and {self.limit:,} are allowed",
                hint="start the server with a larger --state-megabytes",
            )
        expires, stored = time() + self.keep, Stored(model, info, state, None)
        if self.folder is not None:
            state.save(self.folder / f"{name}.state")
            about = {"model": model, "expires": expires, "info": info}
            write_bytes(self.folder / f"{name}.json", to_json(about).encode("utf-8", "replace"), ANOTHER)
            size = sum(file.stat().st_size for file in self._files(name))
        with self._lock:
            self._entries[name] = _Entry(expires, size, None if self.folder else stored)
            self.size += size
            self._clean()
        return name

    def get(self, name: str) -> Stored | None:
        """What is stored under a name; None where nothing is, or no more."""
        with self._lock:
            self._clean()
            entry = self._entries.get(name) if ID.fullmatch(name) else None
        if entry is None:
            return None
        if entry.stored is not None:
            return entry.stored
        state, about = self._files(name)
        try:
            found = json.loads(about.read_text(encoding="utf-8"))
            return Stored(str(found["model"]), dict(found["info"]), None, state)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def delete(self, name: str) -> bool:
        """Forget what is stored under a name; false where nothing is."""
        with self._lock:
            entry = self._entries.pop(name, None)
            if entry is None:
                return False
            self.size -= entry.size
            if entry.stored is None:
                for file in self._files(name):
                    file.unlink(missing_ok=True)
            return True

    def __len__(self) -> int:
        return len(self._entries)

    def _files(self, name: str) -> tuple[Path, Path]:
        folder = self.folder or Path()
        return folder / f"{name}.state", folder / f"{name}.json"

    def _clean(self) -> None:
        """Delete what is too old or too much, the oldest first."""
        now = time()
        while self._entries:
            name, entry = next(iter(self._entries.items()))
            if entry.expires > now and self.size <= self.limit:
                return
            self.delete(name)

    def _find(self, folder: Path) -> None:
        """The states that an earlier server wrote."""
        found = []
        for about in folder.glob("*.json"):
            state = about.with_suffix(".state")
            try:
                expires = float(json.loads(about.read_text(encoding="utf-8"))["expires"])
                size = about.stat().st_size + state.stat().st_size
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if ID.fullmatch(about.stem):
                found.append((expires, about.stem, size))
        for expires, name, size in sorted(found):
            self._entries[name] = _Entry(expires, size, None)
            self.size += size
        self._clean()


def new_name(kind: str) -> str:
    """A name that nobody can guess.

    >>> bool(ID.fullmatch(new_name("state")))
    True
    """
    return f"{kind}_{token_urlsafe(24)}"
