"""The compiled loop, and whether it is compiled already for this processor."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from unspool.nn.kernels.numba_cache import digest_of, forget_other_sources

HERE = Path(__file__).parent
SOURCE = [HERE / f"{name}.py" for name in ("drawing", "elementwise", "heads", "kernel", "matrices", "program")]
SOURCE += [HERE.parent.parent / "nn" / "kernels" / "vectors.py"]
"""What is compiled."""


@cache
def compiled_kernel() -> Any:
    """The module of the compiled loop, without what was cached of another source; importing it takes 0.3 s."""
    from unspool.generate.compiled import kernel

    forget_other_sources(kernel.run, SOURCE)
    return kernel


def marker() -> Path:
    """A file beside Numba's cache that says that this source is compiled for this processor."""
    from llvmlite.binding import get_host_cpu_name
    from numba import __version__
    from numba.core import config

    asked: Any = config
    processor = f"{asked.CPU_NAME or get_host_cpu_name()} {asked.CPU_FEATURES or ''} {__version__}"
    digest = sha256(f"{digest_of(SOURCE)} {processor}".encode()).hexdigest()[:16]
    return Path(compiled_kernel().run.stats.cache_path) / f"unspool-kernel-{digest}"
