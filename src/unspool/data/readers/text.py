"""Reading text: a file, a folder, a pattern or standard input becomes one string."""
# ruff: noqa: RUF001 (the table below is about letters that look like others)

import glob
import hashlib
import os
import re
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unspool.data.readers.decoding import decode
from unspool.errors import DataError

ASCII = {
    "‚": ",", "„": ",,", "—": "--", "―": "--", "·": "*", "″": '"', "×": "x", "ẞ": "SS", "Æ": "AE", "Œ": "OE",
    "£": "PS", "©": "(c)", "®": "(r)", "\u2028": "\n", "\u2029": "\n\n",
}  # fmt: skip
"""Where unidecode, which the published notebooks use, writes something else than anyascii."""


@dataclass(frozen=True)
class Text:
    """A text, the files it came from and what the user should know about how they were read.

    >>> Text("to be", ("hamlet.txt",)).notes
    ()
    """

    text: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_text(path: str, encoding: str = "auto") -> Text:
    """The text of a file, of all .txt files below a folder, of a pattern's files (`**` too), or of "-", standard input.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_text("to be")
    ...     _ = Path(folder, "b.txt").write_text("or not")
    ...     read_text(folder).text
    'to be\\nor not'
    """
    names = find(path)
    texts, notes = [], []
    for name in names:
        said = "standard input" if name == "-" else name
        text, note = decode(read_bytes(name), said, encoding)
        texts.append(text)
        notes += [note] if note else [] if text else [f"{said} is empty"]
    if not any(texts):
        what = "standard input" if path == "-" else path
        raise DataError(f"there is no text in {what}: it is empty", hint="set data.path to a file with text in it")
    ended = [text + "\n" if text and not text.endswith("\n") else text for text in texts[:-1]]
    return Text("".join([*ended, texts[-1]]), tuple(names), tuple(notes))


def find(path: str) -> list[str]:
    """The files that a path means, sorted."""
    if path == "-":
        return [path]
    place = os.path.expanduser(path)
    try:
        mode = os.stat(place).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return matches(place)
    except OSError as error:
        raise unreadable(path, error) from None
    if stat.S_ISREG(mode):
        return [place]
    if not stat.S_ISDIR(mode):
        raise DataError(f"{path} is not a regular file", hint="pipe it in and set data.path=-")
    found = files_below(place, (".txt",))
    if not found:
        raise DataError(f"there is no .txt file in the folder {path}", hint=f"name the files, as in '{path}/**/*.md'")
    return found


def files_below(folder: str, endings: Sequence[str]) -> list[str]:
    """The files with such an ending in a folder and the folders in it, sorted; hidden ones are left out.

    What cannot be entered, or goes away meanwhile, is left out too.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        wanted = (name for name in names if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings)
        found += [file for name in wanted if os.path.isfile(file := os.path.join(place, name))]
    return sorted(found)


def matches(pattern: str) -> list[str]:
    """The files that a pattern means, sorted; a path without a wildcard that is not there is an error too."""
    if not glob.has_magic(pattern):
        raise DataError(
            f"there is no file {pattern!r}", hint=f"set data.path=FILE; the path is looked up from {os.getcwd()}"
        )
    found = sorted(name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name))
    if not found:
        raise DataError(
            f"no file matches {pattern}", hint=f"set data.path=FILE; the pattern is looked up from {os.getcwd()}"
        )
    return found


def read_bytes(name: str) -> bytes:
    """What is in the file, or on standard input for "-"."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise unreadable(name, error) from None
    except ValueError:  # a zero byte in it
        raise unreadable(name, FileNotFoundError()) from None


def read_option(name: str) -> tuple[str, str]:
    """The text of a file that an option names ("-": standard input), and a note on its encoding, which is guessed.

    Raises:
        DataError: for what is missing, a folder, cannot be read, or is no text.
    """
    name = os.path.expanduser(name)
    return decode(read_bytes(name), "standard input" if name == "-" else name)


def unreadable(name: str, error: OSError) -> DataError:
    """The error for a file that cannot be read: why, and what helps.

    >>> print(unreadable("talk.wav", FileNotFoundError()))
    there is no file 'talk.wav'
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"there is no file {name!r}", hint=f"check its name; it is looked up from {os.getcwd()}")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{name} is a folder, and a file is wanted", hint="name a file in it")
    reason = (error.strerror or str(error)).lower()
    return DataError(f"cannot read {name}: {reason}", hint="check who may read the file, or copy it elsewhere")


def clean(text: str, ascii: bool, squeeze: bool) -> str:
    """The text with what is not ASCII transliterated, and with runs of spaces made one, where that is asked for.

    >>> clean("“Æsop’s  café” — naïve", ascii=True, squeeze=True)
    '"AEsop\\'s cafe" -- naive'
    """
    if ascii:
        text = text.translate({ord(letter): in_ascii(letter) for letter in set(text) if not letter.isascii()})
    return re.sub(" +", " ", text) if squeeze else text


def in_ascii(letter: str) -> str:
    """One character transliterated by anyascii, or as unidecode does it; "" where neither knows it.

    >>> in_ascii("é"), in_ascii("ﬁ"), in_ascii("—"), in_ascii("字")
    ('e', 'fi', '--', 'Zi')
    """
    from anyascii import anyascii

    return ASCII.get(letter) or anyascii(letter)


def fingerprint(text: str) -> str:
    """The SHA-256 of the text in UTF-8: two texts are the same when it is.

    >>> fingerprint("to be")[:8]
    '0af1207e'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
