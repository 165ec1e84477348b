"""Files that tests write."""

from pathlib import Path


def write(folder: Path, text: str, name: str = "series.csv") -> str:
    """Write a text file; its path."""
    (folder / name).write_text(text)
    return str(folder / name)
