"""Threads that run compiled functions, which let go of Python's lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any


@cache
def helpers() -> ThreadPoolExecutor:
    """The threads beside the calling one."""
    return ThreadPoolExecutor(max_workers=64, thread_name_prefix="unspool-kernel")


def in_parts(function: Callable[..., Any], count: int, parts: int, *arguments: Any) -> None:
    """Call a function for parts of `count` things at once: function(*arguments, first, last).

    >>> found = []
    >>> in_parts(lambda first, last: found.append((first, last)), 10, 2)
    >>> sorted(found)
    [(0, 5), (5, 10)]
    """
    ends = [count * part // parts for part in range(parts + 1)]
    others = [helpers().submit(function, *arguments, *ends[part : part + 2]) for part in range(1, parts)]
    function(*arguments, *ends[:2])
    for other in others:
        other.result()
