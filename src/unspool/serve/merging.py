"""Several jobs whose pieces come as one stream."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from unspool.generate.jobs import Job, Piece
from unspool.serve.bridge import Bridge


async def merged(bridge: Bridge, jobs: Sequence[Job]) -> AsyncGenerator[tuple[int, list[Piece]], None]:
    """The pieces of several jobs as they come, each time with the number of the job.

    All of them are cancelled when nobody asks any more, or when one fails.

    Args:
        bridge: that they were submitted through.
        jobs: at least one.

    Raises:
        UnspoolError: one of them has failed.
    """
    if len(jobs) == 1:
        try:
            async for pieces in bridge.pieces(jobs[0]):
                yield 0, pieces
        finally:
            jobs[0].cancel()
        return
    queue: asyncio.Queue[tuple[int, list[Piece]] | BaseException | None] = asyncio.Queue(maxsize=len(jobs))

    async def forward(number: int) -> None:
        try:
            async for pieces in bridge.pieces(jobs[number]):
                await queue.put((number, pieces))
            await queue.put(None)
        except Exception as error:
            await queue.put(error)

    tasks = [asyncio.ensure_future(forward(number)) for number in range(len(jobs))]
    left = len(jobs)
    try:
        while left:
            found = await queue.get()
            if isinstance(found, BaseException):
                raise found
            if found is None:
                left -= 1
            else:
                yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for job in jobs:
            job.cancel()
