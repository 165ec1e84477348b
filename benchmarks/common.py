"""What the benchmarks share: the machine's description, a measured child process and the report.

A benchmark prints lines for people on stderr and one JSON document, last, on stdout.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def say(message: str) -> None:
    """A line for people."""
    print(message, file=sys.stderr, flush=True)


def report(document: Mapping) -> None:
    """The one JSON document, last on stdout."""
    print(json.dumps(document, indent=2), flush=True)


def environment() -> dict:
    """Machine and versions, as they stand in every report."""
    import torch

    load = {"load_average_of_the_last_minute": os.getloadavg()[0]} if hasattr(os, "getloadavg") else {}
    return {
        "machine": {"cpu_model": cpu_model(), "cores": usable_cores(), **load},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


def usable_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name, or what the platform calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


@dataclass(frozen=True)
class Line:
    """A line a child printed, and the time the child had used by then."""

    text: str
    cpu_seconds: float
    wall_seconds: float


class Child:
    """A child process read line by line; its CPU time is user + system over all its threads.

    After `lines` is used up, `cpu_seconds` and `wall_seconds` hold the totals of the whole run.
    """

    def __init__(self, command: Sequence[str], folder: Path | None = None, variables: Mapping[str, str] | None = None):
        unbuffered = {"PYTHONUNBUFFERED": "1"}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            list(command),
            cwd=folder,
            env={**os.environ, **unbuffered, **(variables or {})},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.command = list(command)
        self.cpu_seconds = self.wall_seconds = 0.0

    def lines(self) -> Iterator[Line]:
        """Each line of the child's stdout as it comes."""
        try:
            for text in self.process.stdout:
                yield Line(text.rstrip("\n"), self.cpu_seconds_so_far(), time.monotonic() - self.started)
            self.finish()
        finally:
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()

    def cpu_seconds_so_far(self) -> float:
        """User + system time from /proc/PID/stat, whose name field may hold spaces."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]), int(fields[12])
        return (user + system) / os.sysconf("SC_CLK_TCK")

    def finish(self) -> None:
        """Wait, take the totals, and stop the benchmark if the child failed."""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.wall_seconds = time.monotonic() - self.started
        if self.process.returncode:
            sys.exit(f"{' '.join(self.command)} ended with exit status {self.process.returncode}")
