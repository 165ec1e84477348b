"""Many files as one: a folder, or a .tar or .tar.gz of it that is read and never unpacked."""

import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from unspool.data.readers.text import matches, read_bytes, unreadable
from unspool.errors import DataError

ARCHIVES = (".tar", ".tar.gz", ".tgz")
SPLITS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}
"""Folders and files of these names are a part of the data, and which."""

File = tuple[PurePosixPath, bytes]
"""A file's place in the tree, and what is in it."""


def is_tree(path: str) -> bool:
    """Whether a path is a folder or an archive."""
    return path.lower().endswith(ARCHIVES) or os.path.isdir(os.path.expanduser(path))


def files(path: str, *endings: str) -> list[File]:
    """Every file with such an ending in a folder or archive, sorted by place; folders around them all are left out."""
    place = os.path.expanduser(path)
    if not os.path.exists(place):
        matches(place)
    found = sorted(folder_files(place, endings) if os.path.isdir(place) else archive_files(place, endings))
    if not found:
        raise DataError(
            f"there is no {' or '.join(endings)} file in {path}", hint="check the path: is it the folder with the data?"
        )
    around = len(PurePosixPath(os.path.commonpath([str(name.parent) for name, _ in found])).parts)
    return [(PurePosixPath(*name.parts[around:]), data) for name, data in found]


def folder_files(place: str, endings: tuple[str, ...]) -> Iterator[File]:
    """The files below a folder."""
    for file in Path(place).rglob("*"):
        if file.suffix.lower() in endings and file.is_file():
            yield PurePosixPath(file.relative_to(place).as_posix()), read_bytes(str(file))


def archive_files(place: str, endings: tuple[str, ...]) -> Iterator[File]:
    """The files in an archive; whatever a name there says, nothing is written anywhere."""
    try:
        with tarfile.open(place) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                wanted = member.isfile() and name.suffix.lower() in endings and not name.name.startswith(".")
                if wanted and (content := archive.extractfile(member)) is not None:
                    yield name.relative_to(name.anchor), content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{place} is not a whole archive: {reason}", hint="copy or download it again") from None
    except OSError as error:
        raise unreadable(place, error) from None


def split_of(place: PurePosixPath) -> str:
    """The part of the data that a file belongs to by the names of its folders: "train" where none says another.

    >>> split_of(PurePosixPath("test/pos/7.txt"))
    'test'
    """
    return next((SPLITS[part] for part in place.parent.parts if part in SPLITS), "train")


def label_of(place: PurePosixPath) -> str:
    """The label that a file has by its folder; "" where there is none but that of a split.

    >>> label_of(PurePosixPath("test/pos/7.txt")), label_of(PurePosixPath("test/pos.txt"))
    ('pos', '')
    """
    parent = place.parent.name
    return "" if parent in SPLITS else parent
