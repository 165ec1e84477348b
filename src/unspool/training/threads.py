"""How many threads torch may use, and how many a training uses while other processes come and go."""

from collections import deque
from statistics import median

import torch

SLOW = 2.5
"""Steps that take this many times what they should are taken for a machine that others use too."""
WINDOW = 5
"""So many steps in a row decide."""
FIRST_PAUSE, LONGEST_PAUSE = 50, 1600
"""How many steps are done on one thread before several are tried again: twice as many each time it was in vain."""


class ThreadControl:
    """Falls back to one thread while steps on several take much longer than they should, and returns later.

    Threads that share the work of a step wait for the slowest: where another process has one of two cores, a step on
    two threads can take ten times as long as a step on one.

    Args:
        threads: how many are best on a quiet machine.
        seconds_per_position: how long they took there, by position of the batch.

    >>> control = ThreadControl(2, 0.001)
    >>> [control.after(0.01) for _ in range(6)]
    [2, 2, 2, 2, 1, 1]
    """

    def __init__(self, threads: int, seconds_per_position: float) -> None:
        self.best, self.threads = threads, threads
        self.expected = seconds_per_position
        self.recent: deque[float] = deque(maxlen=WINDOW)
        self.pause = self.left = FIRST_PAUSE

    def after(self, seconds_per_position: float) -> int:
        """Note how long a step took by position; how many threads the next one should use."""
        if self.best == 1:
            return 1
        self.recent.append(seconds_per_position)
        if self.threads > 1:
            if len(self.recent) == WINDOW and median(self.recent) > SLOW * self.expected:
                self._use(1)
            return self.threads
        self.left -= 1
        if self.left <= 0:
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
            self.left = self.pause
            self._use(self.best)
        return self.threads

    def _use(self, threads: int) -> None:
        self.threads = threads
        self.recent.clear()


class TorchThreads:
    """How many threads torch uses, and how many it may: the number before a training of ours chose fewer.

    Without it the second training of a process would not try two threads where the first was faster on one.

    >>> threads, before = TorchThreads(), torch.get_num_threads()
    >>> threads.use(1)
    >>> threads.allowed() == before
    True
    >>> threads.use(before)
    """

    def __init__(self) -> None:
        self.before = self.used = torch.get_num_threads()

    def allowed(self) -> int:
        """The number that was there before ours; what somebody else has set since counts instead."""
        if torch.get_num_threads() != self.used:
            self.before = self.used = torch.get_num_threads()
        return self.before

    def use(self, number: int) -> None:
        """Set how many threads torch uses, where it is not the number already."""
        self.allowed()
        if number != self.used:
            torch.set_num_threads(number)
            self.used = number


torch_threads = TorchThreads()
"""Of this process."""
