"""The documents that are open in pages: a bounded number, each for as long as somebody uses it."""

import threading
import time
from collections.abc import Callable
from secrets import token_urlsafe

from unspool.serve.document import Document

MOST = 8
"""So many documents are open at once; the one that was used longest ago is closed."""
IDLE = 3600.0
"""Seconds after which a document that nobody uses is closed. A page opens it again by sending its text."""


class OpenDocuments:
    """Documents by an id that cannot be guessed.

    Args:
        make: opens an empty one.
        most: how many are open at once.
        idle: seconds.
        clock: tells the time in seconds.
    """

    def __init__(
        self,
        make: Callable[[], Document],
        most: int = MOST,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.make, self.most, self.idle, self.clock = make, most, idle, clock
        self._lock = threading.Lock()
        self._open: dict[str, tuple[Document, float]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self) -> tuple[str, Document]:
        """A new document and its id."""
        id, document = token_urlsafe(16), self.make()
        with self._lock:
            self._drop(self.most - 1)
            self._open[id] = document, self.clock()
        return id, document

    def find(self, id: str) -> Document | None:
        """The document with this id; None where there is none, or none any more."""
        with self._lock:
            self._drop(self.most)
            found = self._open.pop(id, None)
            if found is None:
                return None
            self._open[id] = found[0], self.clock()  # now the last of them
            return found[0]

    def close(self, id: str) -> bool:
        """Forget a document. Returns whether it was there."""
        with self._lock:
            found = self._open.pop(id, None)
            if found is not None:
                found[0].stop()
            return found is not None

    def _drop(self, most: int) -> None:
        """Close what is idle, and the oldest beyond so many."""
        now = self.clock()
        idle = [id for id, (_, used) in self._open.items() if now - used > self.idle]
        for id in [*idle, *[id for id in self._open if id not in idle][: max(0, len(self._open) - len(idle) - most)]]:
            self._open.pop(id)[0].stop()
