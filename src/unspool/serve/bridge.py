"""From the scheduler's thread to the event loop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from threading import Lock
from time import monotonic
from weakref import WeakKeyDictionary

from unspool.generate.jobs import Job, Piece, Request
from unspool.generate.scheduler import Scheduler
from unspool.serve.numbers import Numbers

APART = 0.001
"""Seconds, times the texts that are live, between two parts of a stream: many streams send fewer and longer parts."""


class Bridge:
    """Submits requests to a scheduler and lets coroutines wait for their pieces.

    However many texts are live, the event loop is woken once a step.

    Args:
        name: of the model, for the numbers.
        scheduler: of the model.
        numbers: where tokens are counted.
    """

    def __init__(self, name: str, scheduler: Scheduler, numbers: Numbers) -> None:
        self.name, self.scheduler, self.numbers = name, scheduler, numbers
        self._events: WeakKeyDictionary[Job, asyncio.Event] = WeakKeyDictionary()
        self._lock, self._changed = Lock(), set[Job]()
        self._loop: asyncio.AbstractEventLoop | None = None
        scheduler.listener = self._notify

    def submit(self, request: Request) -> Job:
        """Ask the scheduler; `pieces` or `finished` must be awaited, or nobody cancels the job."""
        self._loop = asyncio.get_running_loop()
        job = self.scheduler.submit(request)
        self._events[job] = asyncio.Event()
        return job

    def _notify(self, jobs: list[Job]) -> None:
        """In the scheduler's thread: have the event loop woken, unless it has not come to the last time yet."""
        with self._lock:
            first = not self._changed
            self._changed.update(jobs)
        if first and self._loop is not None:
            with suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, set()
        for job in changed:
            event = self._events.get(job)
            if event is not None:
                event.set()

    async def pieces(self, job: Job) -> AsyncGenerator[list[Piece], None]:
        """What comes, as it comes; the job is cancelled when nobody asks any more.

        Raises:
            UnspoolError: the request has failed.
        """
        event, first = self._events.setdefault(job, asyncio.Event()), True
        if job.done:
            event.set()
        try:
            while True:
                await event.wait()
                event.clear()
                ended, found = job.done, job.take()
                if found:
                    if first:
                        self.numbers.first.labels(self.name).observe(monotonic() - job.began)
                        first = False
                    yield found
                if ended:
                    break
                await asyncio.sleep(APART * self.scheduler.counts()["live"])
            if job.error is not None:
                raise job.error
        finally:
            job.cancel()
            self._events.pop(job, None)
            self.numbers.read.labels(self.name).inc(job.tokens_read)
            self.numbers.written.labels(self.name).inc(job.tokens_written)

    async def finished(self, job: Job) -> list[Piece]:
        """Every piece, when all texts have ended."""
        return [piece async for found in self.pieces(job) for piece in found]
