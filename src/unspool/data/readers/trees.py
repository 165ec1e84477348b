"""Many files as one: a folder, or a .tar or .tar.gz of it that is read and never unpacked."""

import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from unspool.data.readers.text import files_below, matches, read_bytes, unreadable
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
    place = existing(path)
    found = sorted(folder_files(place, endings) if os.path.isdir(place) else archive_files(place, endings))
    if not found:
        raise DataError(
            f"there is no {' or '.join(endings)} file in {path}", hint="check the path: is it the folder with the data?"
        )
    return [(name, data) for name, (_, data) in zip(without_common([name for name, _ in found]), found, strict=True)]


def places(path: str, *endings: str) -> list[PurePosixPath]:
    """The places that `files` gives, and none where there are none; nothing is read."""
    place = existing(path)
    if os.path.isdir(place):
        found = [PurePosixPath(os.path.relpath(name, place)) for name in files_below(place, endings)]
    else:
        found = [name for name, _ in archive_files(place, endings, read=False)]
    return without_common(sorted(found))


def existing(path: str) -> str:
    """The path without ~. Raises: DataError where there is nothing."""
    place = os.path.expanduser(path)
    if not os.path.exists(place):
        matches(place)
    return place


def without_common(found: list[PurePosixPath]) -> list[PurePosixPath]:
    """Places without the folders that they all are in.

    >>> without_common([PurePosixPath("all/train/pos/1.txt"), PurePosixPath("all/test/pos/1.txt")])
    [PurePosixPath('train/pos/1.txt'), PurePosixPath('test/pos/1.txt')]
    """
    if not found:
        return []
    around = len(PurePosixPath(os.path.commonpath([str(name.parent) for name in found])).parts)
    return [PurePosixPath(*name.parts[around:]) for name in found]


def folder_files(place: str, endings: tuple[str, ...]) -> Iterator[File]:
    """The files below a folder."""
    for name in files_below(place, endings):
        yield PurePosixPath(os.path.relpath(name, place)), read_bytes(name)


def archive_files(place: str, endings: tuple[str, ...], read: bool = True) -> Iterator[File]:
    """The files in an archive, empty where they are not read; whatever a name there says, nothing is written."""
    try:
        with tarfile.open(place) as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                wanted = member.isfile() and name.suffix.lower() in endings and not name.name.startswith(".")
                if wanted and (content := archive.extractfile(member)) is not None:
                    yield name.relative_to(name.anchor), content.read() if read else b""
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = str(error).splitlines()[0].removesuffix(":") if str(error) else "it ends too early"
        reason = "it is no .tar.gz" if reason == "file could not be opened successfully" else reason
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
