"""Numba's cache of the compiled loop, and whether it is of this source and this processor.

Numba compiles a function again when its own file has changed, but not when a function that it calls has.
"""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

KERNEL = ("drawing", "elementwise", "heads", "kernel", "matrices", "program", "vectors")
"""The modules that are compiled."""


@cache
def compiled_kernel() -> Any:
    """The module of the compiled loop, without what was cached of another source; importing it takes 0.3 s."""
    from unspool.generate.compiled import kernel

    folder = Path(kernel.run.stats.cache_path)
    note = folder / f"unspool-source-{source_digest()}"
    if not note.exists():
        for name in KERNEL:
            for file in folder.glob(f"{name}.*.nb[ci]"):
                file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        note.touch()
    return kernel


def source_digest() -> str:
    """A digest of what is compiled."""
    here = Path(__file__).parent
    return sha256(b"".join((here / f"{name}.py").read_bytes() for name in KERNEL)).hexdigest()[:16]


def marker() -> Path:
    """A file beside Numba's cache that says that this source is compiled for this processor."""
    from llvmlite.binding import get_host_cpu_name
    from numba import __version__
    from numba.core import config

    asked: Any = config
    processor = f"{asked.CPU_NAME or get_host_cpu_name()} {asked.CPU_FEATURES or ''} {__version__}"
    digest = sha256(f"{source_digest()} {processor}".encode()).hexdigest()[:16]
    return Path(compiled_kernel().run.stats.cache_path) / f"unspool-kernel-{digest}"
