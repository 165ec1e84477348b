"""Texts that are on every computer with Python: nothing is downloaded."""

import importlib
import os
import platform
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from unspool.data.readers.text import Text
from unspool.errors import DataError, unknown

SOURCE_LIMIT = 8_000_000
"""How many characters of Python source are read at most: enough to learn from, small enough to start at once."""

SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "encodings",
    "pydoc_data",
    "ensurepip",
}
"""Folders of the standard library that hold tests, tables or other people's code."""


def python_docs() -> str:
    """The help pages of the Python language, in the order of their names: about 420,000 characters."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise DataError("this Python comes without its help pages", hint="set data.path=FILE") from None
    pages = ("\n".join(without_tables(topics[name])).strip("\n") for name in sorted(topics))
    return "\n\n\n".join(pages) + "\n"


def without_tables(page: str) -> Iterator[str]:
    """The lines of a page without the frames of its tables: a character model would spend itself on their blanks."""
    for line in page.splitlines():
        if not line.lstrip().startswith(("|", "+-", "+=", "====", "----")):
            yield line.rstrip()


def python_source() -> str:
    """The source of the standard library, whole files in the order of their names, up to SOURCE_LIMIT characters."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts: list[str] = []
    size = 0
    for text in sources(folder):
        size += len(text)
        if size > SOURCE_LIMIT:
            break
        texts.append(text)
    if not texts:
        raise DataError(f"there is no Python source in {folder}", hint="set data.path=FILE")
    return "".join(texts)


def sources(folder: Path) -> Iterator[str]:
    """The text of each .py file in the folder, then in its folders but the skipped ones, where it is in UTF-8."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED)
        for name in sorted(name for name in names if name.endswith(".py")):
            try:
                yield Path(place, name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue


corpora: dict[str, Callable[[], str]] = {"python-docs": python_docs, "python-source": python_source}
"""Name -> what reads it."""


def corpus(name: str) -> Text:
    """The corpus of that name.

    >>> "yield" in corpus("python-docs").text
    True
    """
    if name not in corpora:
        raise unknown("corpus", name, corpora)
    return Text(corpora[name](), (name,), (f"{name} is that of Python {platform.python_version()}",))
