"""One process at a time writes into a run folder."""

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from unspool.errors import CheckpointError
from unspool.files import WRITABLE, writing
from unspool.schema import from_json

try:
    import fcntl
except ImportError:  # Windows has none: there the file alone says that somebody writes
    fcntl = None  # type: ignore[assignment]

NAME = "lock.json"
"""The file in a run folder that says who writes into it."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    host: str


class Lock:
    """The right to write into a run folder, held from `acquire` to `release`, or until the process ends.

    The file lock.json names the holder, and the system's own lock on that file says whether it still runs. A file that
    a killed process left behind is taken over, and `note` says so; one of another machine is not, because from here
    nobody can tell.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with Lock(folder):
    ...     Lock(folder).acquire()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    unspool.errors.CheckpointError: process ... on ... is writing into ...
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.file: IO[str] | None = None
        self.note = ""

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock; nothing happens where it is held already. Raises: CheckpointError where another holds it."""
        if self.file is not None:
            return
        with writing(self.path, WRITABLE):
            file = self._opened()
        before = holder_in(file)
        here = Holder(os.getpid(), socket.gethostname())
        if before is not None and (before.host != here.host or fcntl is None):
            file.close()
            raise CheckpointError(
                f"process {before.pid} on {before.host} is writing into {self.path.parent}, or was ended while it did",
                hint=f"where it no longer runs, remove {self.path}",
            )
        if before is not None:
            self.note = f"process {before.pid} was ended while it wrote into {self.path.parent}: its lock is taken over"
        with writing(self.path, WRITABLE):
            file.seek(0)
            file.truncate()
            file.write(json.dumps(asdict(here)))
            file.flush()
        self.file = file

    def release(self) -> None:
        """Give the lock back, and remove its file."""
        if self.file is not None:
            self.path.unlink(missing_ok=True)
            self.file.close()
            self.file = None

    def _opened(self) -> IO[str]:
        """The file with the system's lock on it. Raises: CheckpointError where a process that runs holds it."""
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o644)
            file = os.fdopen(handle, "r+", encoding="utf-8")
            if fcntl is None:
                return file
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = holder_in(file)
                file.close()
                who = f"process {holder.pid} on {holder.host}" if holder else "another process"
                raise CheckpointError(
                    f"{who} is writing into {self.path.parent}", hint="wait until it ends, or stop it with Ctrl-C"
                ) from None
            except OSError:  # a file system without locks: the file alone has to do
                return file
            if self.path.exists() and os.path.samestat(os.fstat(handle), self.path.stat()):
                return file
            file.close()  # the holder before has just removed it

    def __del__(self) -> None:
        self.release()


def holder_in(file: IO[str]) -> Holder | None:
    """Who a lock's file names; None where it names nobody."""
    file.seek(0)
    try:
        return from_json(file.read(1000), Holder)
    except (OSError, ValueError):
        return None
